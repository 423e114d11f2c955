"""One line of a stream that is written over, and plain lines between.

Layer: observe. Runs in: parent.
Owns: nothing; the stream is the caller's.
Never: fails for a character that the stream cannot write; leaves half a line behind.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TextIO

__all__ = ["Line", "width_of", "writable"]

#: Columns of a terminal that does not say how many it has.
_COLUMNS = 80


class Line:
    """Draws one line again and again, and writes others above it. Thread-safe.

    Raises whatever the stream raises.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn = 0
        # Guards the stream and what is drawn: log records come from other threads. Reentrant,
        # for a line wipes the drawn one.
        self._lock = threading.RLock()

    def draw(self, text: str) -> None:
        """Write the line over."""
        # The last column stays free: a full line would wrap, and "\r" would not get back.
        text = text[: max(1, width_of(self._stream) - 1)]
        with self._lock:
            self._write("\r" + text.ljust(self._drawn))
            self._drawn = len(text)

    def say(self, text: str = "") -> None:
        """Write a line of its own; a drawn one in its place is wiped first."""
        with self._lock:
            self.clear()
            self._write(text + "\n")

    def clear(self) -> None:
        """Wipe what is drawn, so that something else can be written in its place."""
        with self._lock:
            if self._drawn:
                self._write("\r" + " " * self._drawn + "\r")
                self._drawn = 0

    def leave(self) -> None:
        """Let what is drawn stand, and go on below it."""
        with self._lock:
            if self._drawn:
                self._drawn = 0
                self._write("\n")

    def _write(self, text: str) -> None:
        self._stream.write(writable(text, self._stream))
        self._stream.flush()


def writable(text: str, stream: TextIO) -> str:
    """Return a text with what the stream cannot write escaped."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def width_of(stream: TextIO) -> int:
    """Return the columns of a stream's terminal; $COLUMNS wins."""
    # Not by `shutil.get_terminal_size`: that asks stdout, which may be a pipe.
    with contextlib.suppress(ValueError, KeyError):
        if (columns := int(os.environ["COLUMNS"])) > 0:
            return columns
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    return _COLUMNS
