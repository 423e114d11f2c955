"""What the workers get of the input, and what of it the journal has; results put in order.

Layer: batch. Runs in: parent, main thread.
Owns: nothing; output and journal are the job's.
Never: gives an item out that the journal has; holds a result that is in the journal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from procactors.batch.intake import Intake
from procactors.batch.items import Entry
from procactors.batch.journal import Journal, Keys
from procactors.batch.results import Output
from procactors.batch.worker import Task

__all__ = ["ItemFlow"]

#: Items that may wait in the order for a slow one before them.
_WAITING = 16_384

#: An item whose turn in the order has not come: index, the item and its position in the journal.
#: None for both: it is with the workers.
_Waiting = tuple[int, object, "int | None"]


class ItemFlow:
    """The source of a job's map (`pool.job_map.Source`), and the way of results to the output.

    Args:
        intake: the input.
        output: where results go.
        journal: what is done; None: nothing is, and nothing is kept.
        ordered: results leave in the order of the input.
        refused: called for each entry that could not be read.
        is_stopping: whether nothing more is to be begun.

    Attributes:
        skipped: items that the journal had.
        taken: items taken from the input so far.
        is_all: there is no more input.
    """

    def __init__(
        self,
        intake: Intake,
        output: Output,
        journal: Journal | None,
        ordered: bool,
        refused: Callable[[Entry], None],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._intake = intake
        self._output = output
        self._journal = journal
        self._keys = Keys() if journal is not None else None
        self._ordered = ordered
        self._refused = refused
        self._is_stopping = is_stopping
        self._order: deque[_Waiting] = deque()
        self._origins: dict[int, tuple[str, int]] = {}
        self.skipped = 0
        self.taken = 0
        self.is_all = False

    def take(self, size: int) -> list[Task] | None:
        """Return up to `size` items to be done; None: there are no more."""
        tasks: list[Task] = []
        while len(tasks) < size:
            if self._is_stopping():
                return tasks or None
            entries = self._intake.take(size - len(tasks))
            if entries is None:
                self.is_all = True
                return tasks or None
            if not entries:
                break
            self.taken += len(entries)
            for entry in entries:
                self._sort(entry, tasks)
            if len(self._order) > _WAITING and tasks:
                break
        if self._journal is not None:
            self._output.flush()
        return tasks

    def entry(self, task: Task) -> Entry:
        """Return the entry of an item that has come back."""
        index, _, item = task
        return Entry(index, item, *self._origins.pop(index))

    def came(self, entry: Entry, result: bytes | None) -> None:
        """Put a result out, as soon as it is its turn; None: it has none."""
        if self._ordered:
            self._let_out(entry.number)
        if result is not None:
            self._output.put(entry.number, entry.item, result)
        if self._ordered:
            self._let_out(None)

    def flush(self) -> None:
        """Have all results seen that were put out."""
        self._output.flush()

    def finish(self) -> None:
        """Put out what waited for items that were not begun."""
        while self._order:
            self._put_known(*self._order.popleft())
        self._output.flush()

    def _sort(self, entry: Entry, tasks: list[Task]) -> None:
        """Decide what is to be done with an entry."""
        if entry.error:
            self._refused(entry)
            return
        key = "" if self._keys is None else self._keys.key(entry.item)
        position = None if self._journal is None else self._journal.find(key)
        if position is None:
            tasks.append((entry.number, key, entry.item))
            self._origins[entry.number] = entry.file, entry.line
            if self._ordered:
                self._order.append((entry.number, None, None))
            return
        self.skipped += 1
        if self._order:
            self._order.append((entry.number, entry.item, position))
        else:
            self._put_known(entry.number, entry.item, position)

    def _let_out(self, index: int | None) -> None:
        """Put out what the journal has, up to and with an item, or to the next gap."""
        order = self._order
        while order and (index is not None or order[0][2] is not None):
            first, item, position = order.popleft()
            if first == index:
                return
            self._put_known(first, item, position)

    def _put_known(self, index: int, item: object, position: int | None) -> None:
        if position is not None and self._journal is not None:
            self._output.put(index, item, self._journal.result(position))
