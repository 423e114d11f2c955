"""What a program prints while a bar is shown on its terminal goes above the bar.

Layer: observe. Runs in: parent, in whichever thread prints.
Owns: the places of `sys.stdout` and `sys.stderr`, while a bar is shown (`Prints.end`).
Never: changes what is printed, or where it goes; stands before a stream that is no terminal.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TextIO

__all__ = ["MakesWay", "Prints"]


class MakesWay(Protocol):
    """What is drawn on a terminal, and can be wiped for a moment."""

    def making_way(self, text: str) -> AbstractContextManager[None]:
        """Wipe it, let `text` be written inside the block, and draw it again below."""


class Prints:
    """Has what the program prints on its terminal go above a bar, until `end`.

    Args:
        bar: what makes way; it may be dropped without an `end`.
    """

    def __init__(self, bar: MakesWay) -> None:
        self._bar = weakref.ref(bar)
        self._streams: dict[str, _Above] = {}
        for name in ("stdout", "stderr"):
            above = _above(name)
            if above is not None:
                above.bars.append(self._bar)
                setattr(sys, name, above)
                self._streams[name] = above

    def end(self) -> None:
        """Give the streams back, unless another bar has them; who kept one of ours can use it."""
        for name, above in self._streams.items():
            above.bars.remove(self._bar)
            if not above.bars and getattr(sys, name) is above:  # else somebody stands before it
                setattr(sys, name, above.stream)
        self._streams.clear()


class _Above:
    """Stands for a stream; all but writing is the stream's own.

    Attributes:
        stream: the terminal's.
        bars: those that are shown; the last one is on the screen.
        pid: of the process that shows them.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.bars: list[Callable[[], MakesWay | None]] = []
        self.pid = os.getpid()

    def write(self, text: str) -> int:
        """Write a text, above the bar if there still is one."""
        # A forked copy has no bar, and perhaps a lock of it that nobody will open.
        bars = self.bars[-1:] if os.getpid() == self.pid else []
        bar = bars[0]() if bars else None
        if bar is None:
            return self.stream.write(text)
        with bar.making_way(text):
            count = self.stream.write(text)
            if text.endswith("\n"):
                self.stream.flush()  # before the bar is drawn by another stream
            return count

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


#: What stood last for `sys.stdout` and `sys.stderr`. Used again, and so never freed while another
#: thread is inside a `print`, which until Python 3.13 holds no reference to where it writes.
_last: dict[str, _Above] = {}


def _above(name: str) -> _Above | None:
    """Return what is to stand for a stream of `sys`; None if that is no terminal."""
    stream = getattr(sys, name)
    if isinstance(stream, _Above):
        if stream.pid == os.getpid():
            return stream
        stream = stream.stream
    if not _is_terminal(stream):
        return None
    last = _last.get(name)
    if last is None or last.stream is not stream or last.pid != os.getpid():
        last = _last[name] = _Above(stream)
    return last


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError, AttributeError):  # closed, or no file at all
        return False
