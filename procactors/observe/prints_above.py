"""A stream of the terminal while bars are shown on it: what the program prints goes above them.

Layer: observe. Runs in: parent, in whichever thread prints.
Owns: nothing; the stream is the terminal's.
Never: changes what is printed, or where it goes; draws in a forked copy.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console

__all__ = ["PrintsAbove"]


class PrintsAbove:
    """Stands for a stream; all but writing is the stream's own.

    A line that is begun is held until it is ended: half of one cannot stand above a bar.

    Args:
        stream: the terminal's.
        console: writes above the bars.

    Attributes:
        stream: the terminal's, which is put back when the bars have ended.
    """

    def __init__(self, stream: TextIO, console: Console) -> None:
        self.stream = stream
        self._console: Console | None = console
        self._begun = ""
        self._pid = os.getpid()
        # Guards the line that is begun: several threads may print. Reentrant, for a signal
        # handler may print, too.
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Write a text: above the bars, or as it is where there are none any more."""
        if self._console is None or os.getpid() != self._pid:  # a copy has no bar to make way
            return self.stream.write(text)
        with self._lock:
            whole, newline, rest = text.rpartition("\n")
            if newline:
                whole, self._begun = self._begun + whole, ""
                self._console.out(whole, highlight=False)
            self._begun += rest
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def end_line(self) -> None:
        """Write the line that is begun and not ended."""
        if self._begun and os.getpid() == self._pid:
            self.write("\n")

    def end(self) -> None:
        """Write to the stream itself from now on: code that kept this one may go on using it."""
        self.end_line()
        self._console = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
