"""What an actor's process sends to the program by itself, in order, over two ways.

Layer: cluster. Runs in: an actor's process, any thread (`Uplink`); the program (`Downlink`).
Owns: what waits to be sent; what has come before its turn.
Never: lets the result of a message overtake what its handler has sent.

Each item has a number. Some go with the result of a message, which is sent anyway, the others
through the generator that the program listens to; a result names the last item that was sent
before it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Downlink", "Uplink"]


class Uplink:
    """The sending end."""

    def __init__(self) -> None:
        self._items: deque[tuple[int, Any]] = deque()
        self._count = self._told = 0
        # Guards both, and wakes the generator.
        self._changed = threading.Condition()
        self._is_over = False

    def put(self, item: Any) -> None:
        """Send something; None: it was the last. From any thread."""
        with self._changed:
            if item is None:
                self._is_over = True
            else:
                self._count += 1
                self._items.append((self._count, item))
            self._changed.notify()

    def later(self, item: Any) -> None:
        """Send something with the next result: nobody waits for it before."""
        with self._changed:
            self._count += 1
            self._items.append((self._count, item))

    def flush(self) -> None:
        """Send what waits now."""
        with self._changed:
            self._changed.notify()

    def take(self) -> tuple[int, list[tuple[int, Any]]] | None:
        """Return (number of the last item so far, what waits); None: no item since it was asked."""
        if self._count == self._told:
            return None
        with self._changed:
            self._told = self._count
            waiting = list(self._items)
            self._items.clear()
            return self._count, waiting

    def items(self) -> Iterator[list[tuple[int, Any]]]:
        """Yield what waits, whenever there is something, up to the last."""
        while True:
            with self._changed:
                while not self._items and not self._is_over:
                    self._changed.wait()
                waiting = list(self._items)
                self._items.clear()
                is_over = self._is_over
            if waiting:
                yield waiting
            if is_over:
                return


class Downlink:
    """The receiving end of one life.

    Args:
        hear: called with each item, in order.
    """

    def __init__(self, hear: Callable[[Any], None]) -> None:
        self._hear = hear
        self._heard = 0
        self._early: dict[int, Any] = {}
        self._waiting: list[tuple[int, Callable[[], None]]] = []
        # Held while items are heard: so they are in order, though they come in two threads.
        self._lock = threading.RLock()

    def take(self, items: list[tuple[int, Any]]) -> None:
        """Take items; hear those whose turn it is. From any thread."""
        with self._lock:
            self._early.update(items)
            while (item := self._early.pop(self._heard + 1, None)) is not None:
                self._heard += 1
                self._hear(item)
            due = [do for number, do in self._waiting if number <= self._heard]
            self._waiting = [one for one in self._waiting if one[0] > self._heard]
        for do in due:
            do()

    def behind(self, number: int, do: Callable[[], None]) -> bool:
        """Have something done once an item was heard; return whether that is so already."""
        with self._lock:
            if self._heard >= number:
                return True
            self._waiting.append((number, do))
            return False
