"""A person at a terminal: a program on a pseudo-terminal, what it shows, what is typed."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import sys
import time
from collections.abc import Iterator

from procactors.wire.procstat import STATE, stat_of
from tests.support.programs import environment
from tests.support.waiting import SHORT_S, eventually


class Person:
    """Sits at a terminal on which a program runs."""

    def __init__(self, pid: int, master: int) -> None:
        self.pid = pid
        self._master = master
        self._seen = ""
        self._at = 0
        self.code: int | None = None

    def sees(self, text: str, timeout: float = SHORT_S) -> str:
        """Wait until a text is shown, behind what was awaited before; return what came up to it."""
        until = time.monotonic() + timeout
        while (found := self._seen.find(text, self._at)) < 0:
            left = until - time.monotonic()
            has_more = left > 0 and self._read(left)
            assert has_more, (
                f"waited for {text!r}, but the terminal shows {self._seen[self._at :]!r} "
                f"behind {self._seen[: self._at]!r}"
            )
        shown = self._seen[self._at : found + len(text)]
        self._at = found + len(text)
        return shown

    def types(self, text: str, end: str = "\n") -> None:
        """Type a line."""
        os.write(self._master, (text + end).encode())

    def presses_ctrl(self, letter: str) -> None:
        """Press Ctrl and a letter, once the program waits for something.

        No person is so fast that it comes between a prompt and the wait behind it, where readline
        notes a signal with the next key only.
        """
        eventually(self._is_waiting, "the program to wait")
        self.types(chr(ord(letter.upper()) - 64), end="")

    def ends(self, timeout: float = SHORT_S) -> int:
        """Wait for the program's end; return its exit code, or minus the signal."""
        until = time.monotonic() + timeout
        while self.code is None:
            assert time.monotonic() < until, f"the program goes on: {self._seen!r}"
            self._read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def kill(self) -> None:
        """SIGKILL the program at once."""
        os.kill(self.pid, signal.SIGKILL)
        self.ends()

    def _is_waiting(self) -> bool:
        stat = stat_of(self.pid)
        return not stat or stat[STATE] == b"S"

    def _read(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # nobody has the other end any more
            time.sleep(min(seconds, 0.01))
            return self.code is None
        self._seen += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


@contextlib.contextmanager
def sits_at(*arguments: str) -> Iterator[Person]:
    """Run Python with these arguments on a terminal of its own."""
    pid, master = pty.fork()
    if not pid:
        try:
            env = {**environment(), "TERM": "dumb", "PYTHON_BASIC_REPL": "1"}
            os.execve(sys.executable, [sys.executable, *arguments], env)
        finally:
            os._exit(127)
    person = Person(pid, master)
    try:
        yield person
    finally:
        if person.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(master)


def command(*arguments: str) -> tuple[str, ...]:
    """Return Python's arguments for a command of ours."""
    return ("-m", "procactors", *arguments)
