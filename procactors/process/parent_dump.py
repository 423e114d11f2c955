"""The parent's stacks, for when no Python code runs there: C code holds the interpreter's lock.

Layer: process. Runs in: parent, in the supervisor's thread.
Owns: a file in memory, and faulthandler's handler of the signal `PARENT_DUMP`, while a system of
this process lives.
Never: takes a signal that somebody uses; is seen by Python's `signal` module; stays behind.

Signals belong to the application. This one is the exception, since nothing else reaches a process
that is stuck in C code, but a debugger that the user would need the rights for. So it is a
real-time signal that nobody sends by chance, it is left alone where somebody has it already, the
handler is C code that writes and returns, interrupted system calls are restarted, and it goes with
the last system.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import os
import signal
import threading

__all__ = ["FILE_NAME", "PARENT_DUMP", "begin", "end"]

#: Has a thread of the parent write its stack to the file in memory: its own, as `STACK` does.
PARENT_DUMP = signal.SIGRTMAX - 6
#: By which others find that file among the process's descriptors.
FILE_NAME = "procactors-stacks"

#: Descriptors that must be left beside that of the file: what a system's first calls open.
_SPARED = 8

#: Guards what follows: each system has a thread.
_lock = threading.Lock()
_systems = 0
_fd = -1


def begin() -> None:
    """A system of this process begins: have the stacks written on the signal, if it is free."""
    global _systems, _fd  # noqa: PLW0603 - signals are the process's
    with _lock:
        _systems += 1
        if _systems > 1:
            return
        with contextlib.suppress(OSError):  # no descriptor is left: then it does without
            if not _is_free():
                return
            fd = _file()
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
            faulthandler.register(PARENT_DUMP, fd, all_threads=False)
            _fd = fd


def _file() -> int:
    """Make the file in memory, if that does not take one of the last descriptors.

    Raises:
        OSError: none is to spare: the supervisor needs some, to answer.
    """
    opened = []
    try:
        for _ in range(_SPARED):
            opened.append(  # noqa: PERF401 - what is open when one fails must be known
                os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            )
        return os.memfd_create(FILE_NAME, os.MFD_CLOEXEC)
    finally:
        for fd in opened:
            os.close(fd)


def end() -> None:
    """A system of this process has ended; behind the last one, all is as before."""
    global _systems  # noqa: PLW0603 - as above
    with _lock:
        _systems -= 1
        if not _systems:
            _forget()


def _forget() -> None:
    global _fd
    fd, _fd = _fd, -1
    if fd < 0:
        return
    # Else the application has taken the signal meanwhile: then the handler is its own.
    if signal.getsignal(PARENT_DUMP) in (signal.SIG_DFL, None):
        faulthandler.unregister(PARENT_DUMP)
    os.close(fd)


def _is_free() -> bool:
    """Whether the process neither handles nor ignores the signal; Python knows only its own."""
    taken = 0
    with open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith((b"SigCgt:", b"SigIgn:")):
                taken |= int(line.split()[1], 16)
    return not taken >> (PARENT_DUMP - 1) & 1


def _in_child() -> None:
    global _systems, _lock
    _systems, _lock = 0, threading.Lock()
    _forget()


os.register_at_fork(after_in_child=_in_child)
