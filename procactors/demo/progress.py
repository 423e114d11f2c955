"""How far the demo is: one line that is written over on a terminal, plain lines elsewhere.

Layer: demo. Runs in: parent.
Owns: nothing; the stream is the caller's.
Never: goes on when nobody reads any more: a stream that fails ends the demo.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TextIO

from procactors.observe.bars import BarView, PlainView
from procactors.observe.line import Line
from procactors.observe.words import Words

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Progress"]


class Progress:
    """Writes lines to a stream, and between them how far a count has come.

    Args:
        stream: where everything goes.
        clock: a monotonic clock in seconds.

    Attributes:
        done: how many files are done.
        total: how many there are.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._line = Line(stream)
        self._clock = clock
        self._view_class = BarView if stream.isatty() else PlainView
        self.begin("", 0)

    def begin(self, label: str, total: int) -> None:
        """Start counting to a new total, in files."""
        self.total = total
        self.done = 0
        self._view = self._view_class(self._line, Words(label, "files", self._clock), total)
        self._view.strict = True

    def advance(self, done: int) -> None:
        """Show that ``done`` files of the total are done, if it is time to show it again."""
        self.done = done
        self._view.advance(done)

    def say(self, text: str = "") -> None:
        """Write a line of its own; a progress line in its place is wiped first."""
        self._line.say(text)

    def clear(self) -> None:
        """Wipe the progress line, so that something else can be written in its place."""
        self._line.clear()
