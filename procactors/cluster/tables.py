"""Result tables of pools on a cluster: one end with the pool, one in the worker's process.

Layer: cluster. Runs in: the pool's process and the workers', any thread.
Owns: the tables' bytes.
Never: shows the pool how far a worker is, but where items have time limits: what is marked there
comes with the batch's answer.

Of a worker that has been killed the marks are gone with its process. So a batch that was handed
over counts as begun, and nobody knows which of its items was in hand.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from procactors.local.tables import LocalTable, LocalTables
from procactors.wire.result_table import BATCH, BLANK, CANCELLED, LIMIT, SINCE, SIZE, STARTED

__all__ = ["ClusterTable", "ClusterTables", "TablePiece", "WorkerTables"]

#: What a worker's table says at a batch's end: the batch, words, marks, kinds, area.
TablePiece = tuple[int, bytes, bytes, bytes, bytes]


class ClusterTable(LocalTable):
    """The pool's end of a table."""

    #: Tells the worker's process of a change: called with the word and its value; None: it is
    #: handed over to none yet.
    tell: Callable[[int, int], None] | None = None

    def prepare(self, batch: int, count: int) -> None:
        """Make the table ready for a batch of `count` items."""
        self.tell = None
        self.is_blind = False
        super().prepare(batch, count)

    def head(self) -> bytes:
        """Return what a worker has to know of the batch."""
        return bytes(self.words)

    def hand_over(self, tell: Callable[[int, int], None]) -> None:
        """Note that the batch goes to a worker's process: from here on it counts as begun."""
        self.tell = tell
        self.is_blind = True
        self.words[STARTED] = 1

    def lower(self, limit: int) -> None:
        """Let the worker begin no item from `limit` on, as soon as it hears of it."""
        super().lower(limit)
        if self.tell is not None:
            self.tell(LIMIT, limit)

    def cancel(self, at: int) -> None:
        """Note that the caller of an item does not want it any more."""
        super().cancel(at)
        if self.tell is not None:
            self.tell(CANCELLED, at + 1)

    def absorb(self, piece: TablePiece) -> None:
        """Take what the worker has marked."""
        batch, words, marks, kinds, area = piece
        if self.words[BATCH] != batch:
            return
        self.words[STARTED] = memoryview(words).cast("Q")[STARTED]
        self.marks[: len(marks) // 8] = memoryview(marks).cast("q")
        self.kinds[: len(kinds) // 8] = memoryview(kinds).cast("Q")
        self.area[: len(area)] = area
        self.is_blind = False

    def follow(self, piece: TablePiece, now_ns: int) -> None:
        """Take what the worker has marked so far: it begins its next item now."""
        if self.words[BATCH] == piece[0]:
            self.absorb(piece)
            self.is_blind = True
            self.words[SINCE] = now_ns


class _WorkerTable(LocalTable):
    """The worker's end of a table."""

    #: Called whenever an item with a time limit is begun.
    on_item: Callable[[], None]

    def begin_item(self, since: int) -> None:
        """Note when an item was begun, and have the pool told."""
        super().begin_item(since)
        self.on_item()


class ClusterTables(LocalTables):
    """The pools' ends of one process's tables."""

    def make(self, number: int) -> ClusterTable:
        """Make a table."""
        data = self._all[number] = bytearray(SIZE)
        return ClusterTable(data, number)


class WorkerTables(ClusterTables):
    """A worker's ends of the tables of pools, beside those of its own pools."""

    def __init__(self) -> None:
        super().__init__()
        #: Called whenever an item with a time limit is begun.
        self.on_item: Callable[[], None] = lambda: None
        self._pools: dict[tuple[int, int], _WorkerTable] = {}
        self._current: _WorkerTable | None = None
        self._count = 0

    def begin(self, process: int, number: int, head: bytes) -> None:
        """Have a table ready for the batch that comes now, as its pool has said."""
        table = self._pools.get((process, number))
        if table is None:
            table = self._pools[process, number] = _WorkerTable(bytearray(SIZE), number)
            table.on_item = self.on_item
        words = memoryview(head).cast("Q")
        self._count = count = words[LIMIT]
        table.prepare(words[BATCH], count)
        # What is not done has the pool's own blank as its mark.
        table.blank[0] = blank = memoryview(head).cast("q")[BLANK]
        table.marks[:count] = memoryview(
            blank.to_bytes(8, sys.byteorder, signed=True) * count
        ).cast("q")
        self._current = table

    def find(self, number: int) -> LocalTable:
        """Return a view of the table of the batch in hand."""
        if self._current is None or self._current.number != number:
            raise FileNotFoundError(f"result table {number} is gone")
        return self._current

    def change(self, batch: int, word: int, value: int) -> None:
        """Heed a change that a pool has made to the batch in hand."""
        table = self._current
        if table is None or table.words[BATCH] != batch:
            return
        if word == LIMIT:
            table.lower(value)
        else:
            table.words[word] = value

    def end(self) -> TablePiece | None:
        """Return what was marked of the batch in hand; None: there is none."""
        piece = self.piece()
        self._current = None
        return piece

    def piece(self) -> TablePiece | None:
        """Return what is marked so far of the batch in hand; None: there is none."""
        table, count = self._current, self._count
        if table is None:
            return None
        kinds = bytes(table.kinds[:count])
        end = max((kind >> 8 for kind in memoryview(kinds).cast("Q").tolist()), default=0)
        marks = bytes(table.marks[:count])
        return table.words[BATCH], bytes(table.words), marks, kinds, bytes(table.area[:end])
