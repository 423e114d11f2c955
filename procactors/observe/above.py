"""What a program prints while a bar is shown on its terminal goes above the bar.

Layer: observe. Runs in: parent, in whichever thread prints.
Owns: the places of `sys.stdout` and `sys.stderr`, while a bar is shown (`Prints.end`).
Never: changes what is printed, or where it goes; stands before a stream that is no terminal.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterable
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
        self._installed: dict[str, _Above] = {}
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if _is_terminal(stream):
                self._installed[name] = above = _Above(stream, bar)
                setattr(sys, name, above)

    def end(self) -> None:
        """Give the streams back; whoever has kept one of ours can go on to write to it."""
        for name, above in self._installed.items():
            above._bar = _no_bar
            if getattr(sys, name) is above:  # else somebody stands before it
                setattr(sys, name, above._stream)
        self._installed.clear()


class _Above:
    """Stands for a stream; all but writing is the stream's own."""

    def __init__(self, stream: TextIO, bar: MakesWay) -> None:
        self._stream = stream
        self._bar: Any = weakref.ref(bar)
        self._pid = os.getpid()

    def write(self, text: str) -> int:
        """Write a text, above the bar if there still is one."""
        bar = self._bar()
        # A forked copy has no bar, and perhaps a lock of it that nobody will open.
        if bar is None or os.getpid() != self._pid:
            return self._stream.write(text)
        with bar.making_way(text):
            count = self._stream.write(text)
            if text.endswith("\n"):
                self._stream.flush()  # before the bar is drawn by another stream
            return count

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _no_bar() -> None:
    return None


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError, AttributeError):  # closed, or no file at all
        return False
