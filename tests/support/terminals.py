"""Pseudo terminals: what was written to them, and what a person sees there."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import threading

from tests.support.waiting import eventually

END = "\0end\0"


class Terminal:
    """A pseudo terminal: what a program writes to `stream` is what `shown` returns."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self._master, slave = pty.openpty()
        self.stream = os.fdopen(slave, "w", encoding=encoding)
        self._data = b""
        # A thread: the kernel keeps a few kilobytes, and then the writer waits.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def shown(self) -> str:
        """Return all that was written since the last call."""
        self.stream.write(END)
        self.stream.flush()
        eventually(lambda: END.encode() in self._data, "what was written to come")
        data, self._data = self._data, b""
        return data.decode(self.stream.encoding).replace(END, "").replace("\r\n", "\n")

    def close(self) -> None:
        """Close both ends."""
        with contextlib.suppress(OSError):
            self.stream.close()
        self._reader.join()  # its read fails once nobody can write any more
        os.close(self._master)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 65536):
                self._data += data


def screen(text: str) -> list[str]:
    """Return the lines that a terminal shows behind what was written to it."""
    lines, column = [""], 0
    for part in re.split(r"(\x1b\[\??[0-9;]*[A-Za-z]|[\r\n])", text):
        if part == "\r":
            column = 0
        elif part == "\n":
            lines.append("")
            column = 0
        elif part == "\x1b[2K":
            lines[-1] = ""
        elif not part.startswith("\x1b"):
            line = lines[-1].ljust(column)
            lines[-1] = line[:column] + part + line[column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines]
