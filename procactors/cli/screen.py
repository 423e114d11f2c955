"""A terminal that a command draws on as a whole, and whose keys it reads.

Layer: cli. Runs in: processes outside of the systems.
Owns: the terminal's mode and its other screen (`__exit__` gives both back).
Never: installs a signal handler: the size is asked for at each frame, and Ctrl-C comes as ever.
"""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import tty

__all__ = ["KEYS", "Screen"]

#: What special keys send, and how they are called here.
KEYS = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1bOC": "right",
    "\x1bOD": "left",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b": "escape",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
}
_SEQUENCE = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]")
#: The other screen, no cursor, and no wrapping: characters of two columns make a line longer than
#: was reckoned; and back.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"


class Screen:
    """The terminal of this process's standard input and output."""

    def __init__(self) -> None:
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._before: list[object] = []
        self._rest = ""

    def __enter__(self) -> Screen:  # noqa: PYI034 - Self is newer than 3.10
        self._before = termios.tcgetattr(self._in)
        tty.setcbreak(self._in)
        self._write(_ENTER)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._write(_LEAVE)
        finally:
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        try:
            columns, lines = os.get_terminal_size(self._out)
        except OSError:
            return 80, 24
        return columns or 80, lines or 24

    def draw(self, lines: list[str]) -> None:
        """Show these lines, and nothing else; the caller has cut them to the size."""
        self._write(_HOME + "\r\n".join(line + _REST_OF_LINE for line in lines) + _REST)

    def keys(self, timeout: float) -> list[str]:
        """Return the keys that were typed, waiting up to `timeout` seconds for one.

        Special ones have the names of `KEYS`. Empty: none was typed, or the terminal has another
        size now.
        """
        poll = select.poll()
        poll.register(self._in, select.POLLIN)
        if not poll.poll(timeout * 1000):
            return []
        data = os.read(self._in, 1024)
        if not data:
            raise EOFError("the terminal is gone")
        return _split(data.decode(errors="replace"))

    def _write(self, text: str) -> None:
        data = text.encode(sys.stdout.encoding or "utf-8", "replace")
        while data:
            data = data[os.write(self._out, data) :]


def _split(text: str) -> list[str]:
    """Return the keys in what a terminal has sent; a whole sequence is one."""
    keys = []
    while text:
        unknown = _SEQUENCE.match(text)
        code = next((one for one in KEYS if text.startswith(one)), text[0])
        if code == "\x1b" and unknown is not None:
            text = text[unknown.end() :]  # a key that means nothing here
            continue
        keys.append(KEYS.get(code, code))
        text = text[len(code) :]
    return keys
