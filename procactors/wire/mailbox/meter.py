"""What an actor's reader counts of each method: how many were handled, how long each took.

Layer: wire. Runs in: actor, main thread.
Owns: the mailbox's table `metrics`, made with the first message (`close`).
Never: fails a message: without room for its row it is counted where nobody sees it.

A reader that is killed has handled some messages that are in no row (see `metered`). How many, is
known from the box, and of which method by its word METRICS: the next life adds them (`_settle`). So
at the beginning of each life the rows' sum is what the actor has handled.
"""

from __future__ import annotations

import os
from time import monotonic_ns

from procactors.wire.envelope import STREAM_KEY, TRACE, bare
from procactors.wire.mailbox.black_box import HANDLED, HANDLED_OWN, METRICS
from procactors.wire.meter_table import (
    COLUMNS,
    ERRORS,
    ITEMS,
    SECOND,
    SUM,
    MeterTable,
    index_of,
)

__all__ = ["METHODS", "Meter", "add", "scratch"]

#: Methods of an actor that have a row of their own.
METHODS = 64
#: Bytes of a stream's key before the method: `~`, the channel's number, a colon.
_STREAM_BYTES = 18
#: Seconds between two tries to make what had no room.
_RETRY_NS = 1_000_000_000


class Meter:
    """The table of one mailbox, as its reader fills it.

    Args:
        path: the mailbox's directory.
        name, class_name: the actor's, for those who read the table.
    """

    def __init__(self, path: str, name: str, class_name: str) -> None:
        self._path = os.path.join(path, "metrics")
        #: Of the mailbox's black box.
        self.words = memoryview(b"")
        self._about = name, class_name
        self._table: MeterTable | None = None
        # What has no room in the file.
        self._unseen: memoryview | None = None
        self._try_again = 0

    def row(self, key: bytes) -> memoryview:
        """Return the row of a method, by the key under which it travels."""
        if TRACE in key:  # each message's context is another
            key = bare(key)
        if key[:1] == STREAM_KEY:
            key = key[_STREAM_BYTES:]
        table = self._table
        if table is not None and (row := table.rows.get(key)) is not None:
            return row
        now = monotonic_ns()
        if now >= self._try_again:
            try:
                return self._made(key)
            except OSError:  # no room, or no descriptor: the message matters more
                self._try_again = now + _RETRY_NS
        if self._unseen is None:
            self._unseen = scratch()
        return self._unseen

    def _made(self, key: bytes) -> memoryview:
        table = self._table
        if table is None:
            before = self.words[HANDLED] - self.words[HANDLED_OWN]
            table = MeterTable(self._path, METHODS, 2, *self._about, before)
            self._table = table
            self._settle(table, before)
        return table.row(key)

    def _settle(self, table: MeterTable, handled: int) -> None:
        """Add what the life before has handled and not counted: a kill came in between."""
        missing = handled - table.handled()
        if missing <= 0 or not table.rows:
            return
        current = self.words[METRICS]
        row = list(table.rows.values())[max(0, min(current, len(table.rows)) - 1)]
        count = sum(row[SUM + 1 : SECOND])
        add(row, SUM, missing * row[SUM] // count if count else 0, missing)

    def shows(self, key: bytes) -> memoryview:
        """Return the row of the method whose messages are handled now, and note which that is."""
        row = self.row(key)
        table = self._table
        if table is not None and row is not self._unseen:
            self.words[METRICS] = table.number_of(row) + 1
        return row

    def record(self, key: bytes, took_ns: int) -> None:
        """Count a message that was handled out of the batch."""
        add(self.row(key), SUM, max(0, took_ns), 1)

    def failed(self, key: bytes) -> None:
        """Count a message whose handler has raised, or that could not be read."""
        self.row(key)[ERRORS] += 1

    def items(self, key: bytes, count: int) -> None:
        """Count items of a batch or a stream."""
        self.row(key)[ITEMS] += count

    def close(self) -> None:
        """Unmap the table."""
        if self._table is not None:
            self._table.close()
            self._table = None


def scratch() -> memoryview:
    """Return a row that is in no table."""
    return memoryview(bytearray(8 * (SECOND + 1 + COLUMNS))).cast("Q")


def add(row: memoryview, at: int, sum_ns: int, count: int) -> None:
    """Add so many messages that took that long in sum, at their mean, to the histogram at `at`."""
    # The count first: killed behind it, all are counted, and the sum is short of these.
    row[at - SUM + index_of(sum_ns // count)] += count
    row[at] += sum_ns
