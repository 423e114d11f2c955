"""Items as they come: a pipe in which there is nothing does not hold up the job.

Layer: batch. Runs in: parent; a thread reads what may block.
Owns: that thread. It may be waiting for the input for ever, so it ends with the process.
Never: reads far ahead of what is taken.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator

from procactors.batch.items import Entry

__all__ = ["Intake"]

#: Items that the thread reads ahead: what two batches have at most.
_AHEAD = 8192


class Intake:
    """Gives the entries of an input out, as many as there are.

    Args:
        entries: the input.
        may_block: it is read in a thread, and `take` returns what that has read.
    """

    def __init__(self, entries: Iterator[Entry], may_block: bool) -> None:
        self._entries = entries
        self._may_block = may_block
        self._wake: Callable[[], None] = _no_wake
        self._read: deque[Entry] = deque()
        self._hungry = False  # `take` came in vain: the next entry wakes it
        self._ended = False
        self._error: Exception | None = None
        self._room = threading.Event()
        self._closed = False

    def begin(self, wake: Callable[[], None]) -> None:
        """Begin to read; `wake` is called when there is something behind an empty `take`."""
        self._wake = wake
        if self._may_block:
            threading.Thread(target=self._run, name="procactors-intake", daemon=True).start()

    def take(self, size: int) -> list[Entry] | None:
        """Return up to `size` entries that are there now; None: there will be no more."""
        if not self._may_block:
            return list(itertools.islice(self._entries, size)) or None
        read = self._read
        if not read:
            # In this order: the thread leaves its last entry, then ends, then looks at `_hungry`.
            self._hungry = True
            is_over = self._ended
            if not read:
                if is_over and self._error is not None:
                    raise self._error
                return None if is_over else []
        taken = [read.popleft() for _ in range(min(size, len(read)))]
        if len(read) < _AHEAD // 2:
            self._room.set()
        return taken

    def close(self) -> None:
        """Read no further entry of the input."""
        self._closed = True
        self._room.set()

    def _run(self) -> None:
        read = self._read
        try:
            for entry in self._entries:
                read.append(entry)
                self._tell()
                if len(read) >= _AHEAD:
                    self._room.clear()
                    if len(read) >= _AHEAD and not self._closed:  # taken since the first look?
                        self._room.wait()
                if self._closed:
                    return
        except Exception as error:  # noqa: BLE001 - raised where items are taken
            self._error = error
        finally:
            self._ended = True
            self._tell()

    def _tell(self) -> None:
        if self._hungry:
            self._hungry = False
            self._wake()


def _no_wake() -> None:
    """Stand for `wake` until the reading begins."""
