"""Round trips of a process's calls: how long its answers took to come, for each method.

Layer: wire. Runs in: parent and actor, in whatever thread has got an answer.
Owns: the process's table `trips`, made with the first answer that is measured (`close`).
Never: fails a call: without room, the time is counted nowhere.

Not every call is measured: see `sampler`.
"""

from __future__ import annotations

import threading
from time import monotonic_ns

from procactors.wire.meter_table import SUM, MeterTable, index_of
from procactors.wire.sampler import Sampler

__all__ = ["Trips"]

#: Methods that a process has a row for, each in 1.5 KB.
_METHODS = 256
#: Nanoseconds between two tries to make what had no room.
_RETRY_NS = 1_000_000_000


class Trips:
    """The round trips of one process, to all actors together.

    Args:
        path: the table's file.
        name, class_name: of the actor that the process is, for those who read the table.
    """

    def __init__(self, path: str, name: str, class_name: str) -> None:
        self._path = path
        self._about = name, class_name
        self._table: MeterTable | None = None
        self._try_again = 0
        self._is_closed = False
        # Many threads have answers. Reentrant: a signal handler may ask on top of `record`.
        self._lock = threading.RLock()

    def record(self, method: bytes, sent: int, sampler: Sampler) -> None:
        """Count a call that was sent at that instant (monotonic nanoseconds), and answered now."""
        now = monotonic_ns()
        took, standing = now - sent, sampler.standing
        sampler.measured(took)
        with self._lock:
            row = self._row(method, now)
            if row is not None:
                row[SUM] += took * standing
                row[index_of(took)] += standing

    def _row(self, method: bytes, now: int) -> memoryview | None:
        table = self._table
        if table is None:
            if self._is_closed or now < self._try_again:
                return None
            self._try_again = now + _RETRY_NS
            try:
                table = self._table = MeterTable(self._path, _METHODS, 1, *self._about)
            except OSError:  # no room, or no descriptor: the call matters more
                return None
        try:
            return table.row(method)
        except OSError:
            return None

    def close(self) -> None:
        """Unmap the table."""
        with self._lock:
            self._is_closed = True
            table, self._table = self._table, None
        if table is not None:
            table.close()
