"""How far the demo is: one line that is written over on a terminal, plain lines elsewhere.

Layer: demo. Runs in: parent.
Owns: nothing; the stream is the caller's.
Never: fails for a character that the stream cannot write; leaves half a line behind.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LogLines", "Progress"]

#: Seconds between two redraws on a terminal: smooth to the eye, no load.
REDRAW_S = 0.1
#: Plain lines elsewhere: one for each tenth of the work, so that a log stays readable.
PLAIN_LINES = 10
#: Characters of the bar.
BAR_WIDTH = 30


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
        self._stream = stream
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._drawn = 0
        # Guards the stream and what is drawn: log records come from other threads. Reentrant,
        # for a line wipes the bar.
        self._lock = threading.RLock()
        self.begin("", 0)

    def begin(self, label: str, total: int) -> None:
        """Start counting to a new total, in files."""
        self._label = label
        self.total = total
        self.done = 0
        self._started = self._clock()
        self._next_draw = self._started
        self._tenths = 0

    def advance(self, done: int) -> None:
        """Show that ``done`` files of the total are done, if it is time to show it again."""
        now = self._clock()
        self.done = done
        if self._is_terminal:
            if now >= self._next_draw or done == self.total:
                self._next_draw = now + REDRAW_S
                with self._lock:
                    self._draw(self._bar(now))
        elif self.total and done * PLAIN_LINES // self.total > self._tenths:
            self._tenths = done * PLAIN_LINES // self.total
            self.say(self._state(now))

    def say(self, text: str = "") -> None:
        """Write a line of its own; a progress line in its place is wiped first."""
        with self._lock:
            self.clear()
            self._write(text + "\n")

    def clear(self) -> None:
        """Wipe the progress line, so that something else can be written in its place."""
        with self._lock:
            if self._drawn:
                self._write("\r" + " " * self._drawn + "\r")
                self._drawn = 0

    def _state(self, now: float) -> str:
        percent = 100 * self.done // self.total
        files = f"{self.done} of {self.total} files, {percent} %"
        return f"{self._label}: {files}, {now - self._started:.1f} s"

    def _bar(self, now: float) -> str:
        filled = BAR_WIDTH * self.done // self.total
        return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {self._state(now)}"

    def _draw(self, line: str) -> None:
        # The last column stays free: a full line would wrap, and "\r" would not get back.
        line = line[: max(1, shutil.get_terminal_size().columns - 1)]
        self._write("\r" + line.ljust(self._drawn))
        self._drawn = len(line)

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._stream.flush()


class LogLines(logging.Handler):
    """Shows log records as lines between the progress, where stderr would tear it apart."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.WARNING)
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record; runs in whichever thread logs."""
        try:
            self._progress.say(self.format(record))
        except Exception:  # noqa: BLE001 - so wide because logging may fail nobody's work
            self.handleError(record)
