"""Round trips of a process's calls: how long its answers took to come, for each method.

Layer: wire. Runs in: parent and actor, in whatever thread has got an answer.
Owns: the process's table `trips`, made with the first answer that is measured (`close`).
Never: fails a call: without room, the time is counted nowhere.

Not every call is measured: see `sampler`.
"""

from __future__ import annotations

import threading
from time import monotonic_ns

from procactors.wire.envelope import TRACE, bare
from procactors.wire.meter_table import FINE_NS, FINE_SHIFT, INDEX, SUM, MeterTable, index_of
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
        # By the methods as they travel; what has no row of its own goes to that of the others.
        self._rows: dict[bytes, memoryview] = {}
        self._try_again = 0
        self._is_closed = False
        # Many threads have answers. Reentrant: a signal handler may ask on top of `record`.
        self._lock = threading.RLock()

    def record(self, sent: int, method: bytes, sampler: Sampler, standing: int) -> None:
        """Count a call that was sent at that instant (monotonic nanoseconds), and answered now.

        Args:
            sent: when.
            method: as it travels.
            sampler: has chosen it.
            standing: for how many calls it stands.
        """
        now = monotonic_ns()
        took = now - sent
        sampler.end(sent, took, standing)
        with self._lock:
            row = self._rows.get(method) or self._row(method, now)
            if row is not None:
                row[INDEX[took >> FINE_SHIFT] if took < FINE_NS else index_of(took)] += standing
                row[SUM] += took * standing

    def _row(self, method: bytes, now: int) -> memoryview | None:
        if TRACE in method:  # of these there are as many as messages
            method = bare(method)
            if (known := self._rows.get(method)) is not None:
                return known
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
            row = self._rows[method] = table.row(method)
        except OSError:
            return None
        return row

    def close(self) -> None:
        """Unmap the table."""
        with self._lock:
            self._is_closed = True
            table, self._table = self._table, None
            self._rows.clear()
        if table is not None:
            table.close()
