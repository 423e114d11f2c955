"""`breakpoint()` in an actor: the program's terminal, for one actor at a time.

Layer: runner. Runs in: actor, in the thread that has called it. Loaded with the first call.
Owns: the terminal's descriptor and the lock on it, while the debugger is there.
Never: touches a terminal that is not the program's just now: in the background it is the shell's.
Changes its modes. Ends what has called it.

Actors are in a session of their own, without a terminal. So the program's is found by the kernel's
number of it and opened by its path: then it is nobody's controlling terminal here, and reading it
is no job's matter. Without one, `procactors attach` is waited for.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import sys
import termios
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from procactors.process.order import read_order
from procactors.runner import debugger
from procactors.runner.debug_line import TEXT, Line, TerminalLine
from procactors.wire.procstat import stat_of
from procactors.wire.runtime_dir import PREFIX

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["stop"]

#: Milliseconds between two looks at whether the terminal has come free, or the actor is to stop.
_LOOK_MS = 50
#: Seconds for which `procactors attach` is waited for, where there is no terminal.
_ATTACH_S = 30.0
#: Fields of /proc/PID/stat, counted as `stat_of` does: process group, terminal, and the terminal's
#: foreground process group.
_GROUP, _TERMINAL, _FOREGROUND = 2, 4, 5
#: Major numbers of pseudo-terminals, and how many there are of each.
_PTS_FIRST, _PTS_LAST, _BLOCK = 136, 143, 256


def stop(folder: str, words: memoryview, frame: FrameType) -> None:
    """Debug the caller of `breakpoint()`; return when its user lets it go on.

    Args:
        folder: the actor's.
        words: of its black box.
        frame: the caller's.
    """
    if debugger.is_busy():  # it has let the code run up to here
        debugger.stop_again(frame)
        return
    name = read_order(folder).name
    before = debugger.count()
    hold = debugger.Hold(words, 1)
    try:
        path = _terminal(folder)
        line = None
        if path is not None:
            line = _Turn(folder, name, path).wait(lambda: _is_served(words, before))
        if line is not None:
            with contextlib.suppress(OSError):
                line.send(TEXT, f"breakpoint() in {name}, process {os.getpid()}\n", lambda: False)
            debugger.debug(line, words, 1, frame)
        elif path is None:
            _await_attach(name, lambda: _is_served(words, before))
    finally:
        hold.release()


def _is_served(words: memoryview, before: int) -> bool:
    """Whether a terminal has come by itself, or the actor is to stop."""
    return debugger.count() != before or debugger.is_stop_ordered(words)


def _await_attach(name: str, is_served: Callable[[], bool]) -> None:
    """Wait for `procactors attach`, for a time: a program that runs alone must not stand still."""
    said = f"breakpoint() in {name}, process {os.getpid()}: there is no terminal"
    _say(f"{said}; `procactors attach {name}` debugs it within {_ATTACH_S:g} s")
    until = monotonic() + _ATTACH_S
    while not is_served():
        if monotonic() >= until:
            _say(f"breakpoint() in {name}: nobody has come, so it goes on")
            return
        _pause()


class _Turn:
    """One actor's turn at the program's terminal.

    Args:
        folder: the actor's.
        name: its name, for those that wait behind it.
        path: the terminal's.
    """

    def __init__(self, folder: str, name: str, path: str) -> None:
        self._lock_path = os.path.join(os.path.dirname(os.path.dirname(folder)), "terminal")
        self._name = name
        self._path = path

    def wait(self, is_served: Callable[[], bool]) -> Line | None:
        """Return the line to the terminal once it is free; None: it is not needed any more."""
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
        lock = os.open(self._lock_path, flags, 0o600)
        try:
            has_said = False
            while not self._is_first(lock):
                if is_served():
                    os.close(lock)
                    return None
                if not has_said:
                    has_said = True
                    other = os.pread(lock, 256, 0).decode(errors="replace") or "another actor"
                    _say(f"breakpoint() in {self._name} waits: the terminal is with {other}")
                _pause()
            os.ftruncate(lock, 0)
            os.pwrite(lock, self._name.encode(errors="replace")[:256], 0)
            _leave_terminal()
            flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK
            return TerminalLine(os.open(self._path, flags), lock)
        except BaseException:
            os.close(lock)
            raise

    def _is_first(self, lock: int) -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _terminal(folder: str) -> str | None:
    """Return the path of the program's terminal; None: it has none, or not just now."""
    runtime_dir = os.path.dirname(os.path.dirname(folder))
    number = os.path.basename(runtime_dir).removeprefix(PREFIX).partition("-")[0]
    fields = stat_of(int(number)) if number.isdecimal() else []
    if len(fields) <= _FOREGROUND or fields[_GROUP] != fields[_FOREGROUND]:
        return None  # in the background the terminal is the shell's
    device = int(fields[_TERMINAL])
    for path in _paths(os.major(device), os.minor(device)):
        with contextlib.suppress(OSError):
            if os.stat(path).st_rdev == device and os.access(path, os.R_OK | os.W_OK):
                return path
    return None


def _leave_terminal() -> None:
    """Have no controlling terminal: by `fork` an actor has the program's, and is in its background.

    Reading from it would stop the process (SIGTTIN).
    """
    if int(stat_of(os.getpid())[_TERMINAL]):
        with contextlib.suppress(OSError):
            fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            try:
                fcntl.ioctl(fd, termios.TIOCNOTTY)
            finally:
                os.close(fd)


def _paths(major: int, minor: int) -> list[str]:
    """Return where a terminal of that number may be."""
    if _PTS_FIRST <= major <= _PTS_LAST:
        return [f"/dev/pts/{(major - _PTS_FIRST) * _BLOCK + minor}"]
    return [f"/dev/tty{minor}", f"/dev/ttyS{minor - 64}", "/dev/console"]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - to whoever runs the program


def _pause() -> None:
    select.poll().poll(_LOOK_MS)
