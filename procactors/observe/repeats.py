"""Log lines that repeat: the first few are shown, of the rest one line says how many there were.

Layer: observe. Runs in: parent, in the thread that takes in records.
Owns: nothing.
Never: loses count; looks at a clock; grows with what is logged.
"""

from __future__ import annotations

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

    def __init__(self, since: float, last: T) -> None:
        self.since = since
        self.count = 0
        self.last = last


class Repeats(Generic[T]):
    """Counts lines within a second of the first one.

    Args:
        most: times that a line is shown in a second; None: always.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._windows: dict[Hashable, _Window[T]] = {}

    def admits(self, key: Hashable, line: T, now: float) -> bool:
        """Return whether a line is to be shown; else it is counted."""
        if self._most is None:
            return True
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window(now, line)
        window.count += 1
        if window.count <= self._most:
            return True
        window.last = line
        return False

    def over(self, now: float) -> Iterator[tuple[T, int]]:
        """Yield each line whose second is over: (its last, how many times it was not shown)."""
        windows, most = self._windows, self._most or 0
        while windows:
            # Those that are there came in the order of their seconds.
            key = next(iter(windows))
            window = windows[key]
            if now - window.since < _WINDOW_S and len(windows) <= _MOST:
                return
            del windows[key]
            if window.count > most:
                yield window.last, window.count - most

    def rest(self) -> Iterator[tuple[T, int]]:
        """Yield what was not shown until now, as `over`."""
        most = self._most or 0
        windows, self._windows = self._windows, {}
        for window in windows.values():
            if window.count > most:
                yield window.last, window.count - most

    def patience(self, now: float) -> float | None:
        """Return in how many seconds a line that was not shown is over; None: there is none."""
        most = self._most or 0
        sinces = [window.since for window in self._windows.values() if window.count > most]
        return max(0.0, sinces[0] + _WINDOW_S - now) if sinces else None
