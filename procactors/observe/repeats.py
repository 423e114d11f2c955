"""Log lines that repeat: the first few are shown, of the rest one line says how many there were.

Layer: observe. Runs in: parent, in the thread that takes in records.
Owns: nothing.
Never: loses count; looks at a clock; grows with what is logged.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

__all__ = ["Repeats"]

T = TypeVar("T")

#: Seconds for which lines are alike.
_WINDOW_S = 1.0
#: Most different lines that are watched at a time.
_MOST = 4096


class _Window(Generic[T]):
    """A line, from its first time on."""

    __slots__ = ("count", "last", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.count = 1
        #: The last that was not shown.
        self.last: T | None = None


class Repeats(Generic[T]):
    """Counts lines within a second of the first one.

    Args:
        most: times that a line is shown in a second; None: always.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        # By key, in the order of their seconds. A plain dictionary would look through what was
        # taken out at its beginning each time.
        self._windows: OrderedDict[Hashable, _Window[T]] = OrderedDict()
        #: Those among them of which something was not shown.
        self._hidden: deque[_Window[T]] = deque()

    def admits(self, key: Hashable, line: T, now: float) -> bool:
        """Return whether a line is to be shown; else it is counted."""
        if self._most is None:
            return True
        window = self._windows.get(key)
        if window is None:
            self._windows[key] = _Window(now)
            return True
        window.count += 1
        if window.count <= self._most:
            return True
        if window.last is None:
            self._hidden.append(window)
        window.last = line
        return False

    def over(self, now: float) -> Iterator[tuple[T, int]]:
        """Yield each line whose second is over: (its last, how many times it was not shown)."""
        windows = self._windows
        while windows:
            window = next(iter(windows.values()))
            if now - window.since < _WINDOW_S and len(windows) <= _MOST:
                return
            windows.popitem(last=False)
            yield from self._told(window)

    def rest(self) -> Iterator[tuple[T, int]]:
        """Yield what was not shown until now, as `over`."""
        while self._windows:
            yield from self._told(self._windows.popitem(last=False)[1])

    def _told(self, window: _Window[T]) -> Iterator[tuple[T, int]]:
        if window.last is not None:
            self._hidden.remove(window)
            yield window.last, window.count - (self._most or 0)

    def patience(self, now: float) -> float | None:
        """Return in how many seconds a line that was not shown is over; None: there is none."""
        if not self._hidden:
            return None
        return max(0.0, min(window.since for window in self._hidden) + _WINDOW_S - now)
