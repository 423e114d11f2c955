"""The lifeline: when the parent ends, by any signal, its actors end too.

Layer: process. Runs in: parent (`Lifeline`), actor (`die_with_parent`), zygote (`watch`).
Owns: the named pipe `alive`; its only write end is the parent's, for the parent's whole life.
Never: relies on code of the actor to run: it may sit in C with the interpreter lock held.

When the last write end closes, the kernel itself sends SIGKILL to the process group of each
actor that asked for it (F_SETOWN with a negative id, F_SETSIG, O_ASYNC): measured 3 to 12 ms
after the parent's SIGKILL, grandchildren included. PR_SET_PDEATHSIG will not do: behind a zygote
it means the zygote, and it fires when the *thread* that started the actor ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import weakref

from procactors.wire.copies import in_copies

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl

__all__ = ["Lifeline", "die_with_parent", "is_cut", "watch"]

_lifelines: weakref.WeakSet[Lifeline] = weakref.WeakSet()


class Lifeline:
    """The parent's end."""

    def __init__(self, runtime_dir: str) -> None:
        path = _path(runtime_dir)
        os.mkfifo(path, 0o600)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        finally:
            os.close(reader)
        _lifelines.add(self)
        in_copies(_close_in_child)

    def cut(self) -> None:
        """Close the write end: every process that still hangs on it dies."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def watch(runtime_dir: str) -> int:
    """Return a descriptor that reports POLLHUP once the parent is gone."""
    # Opened by name, so an open file description of our own: owner and signal belong to it.
    return os.open(_path(runtime_dir), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def die_with_parent(runtime_dir: str) -> None:
    """Have the kernel kill this process's group when the parent ends.

    Call it as the leader of the group. The descriptor stays open for the process's life.
    """
    fd = watch(runtime_dir)
    try:
        fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(fd, 10, signal.SIGKILL)  # F_SETSIG; named in fcntl only from 3.13 on
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | fcntl.FASYNC)
    except OSError:
        # Sandboxes that refuse it: a thread notices too, unless C code holds the lock.
        threading.Thread(target=_watch_in_thread, args=(fd,), daemon=True).start()
    # The parent may have ended before the signal was asked for.
    if is_cut(fd):
        os.killpg(os.getpgrp(), signal.SIGKILL)


def is_cut(fd: int, timeout_ms: int | None = 0) -> bool:
    """Return whether the parent is gone, waiting up to `timeout_ms` (None: until it is)."""
    # The kernel reports POLLHUP only if there was a writer since *this* open: of a parent that
    # ended before, only a read tells.
    try:
        if os.read(fd, 1) == b"":
            return True
    except BlockingIOError:
        if timeout_ms == 0:
            return False
    poll = select.poll()
    poll.register(fd, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(timeout_ms))


def _watch_in_thread(fd: int) -> None:
    if is_cut(fd, None):
        os.killpg(os.getpgrp(), signal.SIGKILL)


def _path(runtime_dir: str) -> str:
    return f"{runtime_dir}/alive"


def _close_in_child() -> None:
    # A forked copy of the parent must not look like the parent.
    for lifeline in list(_lifelines):
        with contextlib.suppress(OSError):
            lifeline.cut()
