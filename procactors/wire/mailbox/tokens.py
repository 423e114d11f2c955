"""The tokens of a bounded mailbox: a byte for each free place, in a pipe that every user opens.

Layer: wire. Runs in: parent and actor, on both sides of a mailbox.
Owns: descriptors on the token pipe and the claims file (closed with `close`).
Never: a semaphore: what a killed process took from one is gone for ever.

A sender takes a byte from `tokens`, writes its record, and holds a shared lock on `claims` from
before the one until after the other. A sender killed in between loses the token, and with its
life the lock: so the idle reader, when it gets the lock exclusively and the mailbox is empty,
knows that every byte missing from `tokens` is lost, and puts it back.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import threading
from collections.abc import Callable
from queue import Full
from time import monotonic

from procactors.errors import InvalidSpec

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl
    import termios

__all__ = ["Tokens", "bytes_in"]

#: Longest wait in one piece, in seconds: the waiter that a token woke may have been killed,
#: and then the next one is not woken.
_SLICE_S = 0.2
#: Wait, in seconds, between tries for the claims lock while the reader heals.
_HEALING_S = 0.001


def bytes_in(fd: int) -> int:
    """Return how many bytes are waiting in the pipe `fd`."""
    found: int = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0"))[0]
    return found


class Tokens:
    """One process's access to the tokens of one mailbox."""

    def __init__(self, path: str, capacity: int) -> None:
        self.capacity = capacity
        self._path = path
        self._tokens = os.open(
            os.path.join(path, "tokens"), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC
        )
        # Its own open file description: a lock belongs to the description, and one that was
        # inherited through a fork would be shared with the parent.
        try:
            self._claims = os.open(os.path.join(path, "claims"), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            os.close(self._tokens)
            raise
        self._waiting: select.epoll | None = None
        # Guards the count of claims: the kernel keeps one lock for all our threads.
        self._lock = threading.Lock()
        self._claimed = 0

    @staticmethod
    def create(path: str, capacity: int) -> int:
        """Make the token pipe with `capacity` tokens in it; return the descriptor to keep open.

        The bytes live only as long as the pipe is held open: the mailbox's owner does that.

        Raises:
            InvalidSpec: more tokens than a pipe of this system can hold.
        """
        tokens = os.path.join(path, "tokens")
        os.mkfifo(tokens, 0o600)
        os.close(os.open(os.path.join(path, "claims"), os.O_CREAT | os.O_CLOEXEC, 0o600))
        fd = os.open(tokens, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _fill(fd, capacity)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def take(
        self, timeout: float | None, check: Callable[[], None], wake: Callable[[], None]
    ) -> None:
        """Take a token, with a claim on it until `give_up`; wait up to `timeout` seconds.

        Args:
            timeout: seconds; None waits for ever.
            check: called between slices of waiting; may raise (the mailbox was closed).
            wake: called after a slice in vain: an idle reader must look for lost tokens.

        Raises:
            Full: no token came free in time.
        """
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            self._enter(deadline)
            try:
                os.read(self._tokens, 1)
            except BlockingIOError:
                self.give_up()
            except BaseException:
                self.give_up()
                raise
            else:
                return
            check()
            if not self._wait(deadline):
                wake()

    def give_up(self) -> None:
        """Give up one claim: the record is written, or never will be."""
        with self._lock:
            self._claimed -= 1
            if not self._claimed:
                fcntl.flock(self._claims, fcntl.LOCK_UN)

    def give(self, count: int) -> None:
        """Put back `count` tokens. Called by the reader."""
        # A full pipe here would mean more tokens than there are: nothing to give back.
        with contextlib.suppress(BlockingIOError):
            os.write(self._tokens, b"\1" * count)

    def free(self) -> int:
        """Return how many tokens can be taken now."""
        return bytes_in(self._tokens)

    def heal(self, is_empty: Callable[[], bool]) -> bool:
        """Put back the tokens of killed senders. Called by the idle reader.

        Returns whether all is in order; if not, a sender is between token and record (or was
        killed there a moment ago), and the reader must look again soon.
        """
        if self.free() >= self.capacity:
            return True
        try:
            fcntl.flock(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            # With the lock no sender is between token and record; but a record may have come since
            # the reader looked, and its token is in use.
            if not is_empty():
                return True
            missing = self.capacity - self.free()
            if missing > 0:
                self.give(missing)
            return True
        finally:
            fcntl.flock(self._claims, fcntl.LOCK_UN)

    def after_fork(self) -> None:
        """Take a lock of our own in a forked copy: the inherited one is the parent's."""
        os.close(self._claims)
        self._claims = -1
        self._lock = threading.Lock()
        self._claimed = 0
        self._waiting = None
        with contextlib.suppress(FileNotFoundError):
            self._claims = os.open(os.path.join(self._path, "claims"), os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        """Close this process's descriptors."""
        os.close(self._tokens)
        if self._claims >= 0:  # else we are a copy, and the mailbox had gone before the fork
            os.close(self._claims)
        if self._waiting is not None:
            self._waiting.close()

    def _enter(self, deadline: float | None) -> None:
        with self._lock:
            while not self._claimed:
                try:
                    # Never a blocking lock: a reader stopped while it heals would stop us too.
                    fcntl.flock(self._claims, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    if deadline is not None and monotonic() >= deadline:
                        raise Full from None
                    select.poll().poll(_HEALING_S * 1000)
                else:
                    break
            self._claimed += 1

    def _wait(self, deadline: float | None) -> bool:
        left = _SLICE_S
        if deadline is not None:
            left = min(left, deadline - monotonic())
            if left <= 0:
                raise Full
        if self._waiting is None:
            self._waiting = select.epoll()
            # Exclusive: one freed token wakes one waiter, not all of them.
            self._waiting.register(self._tokens, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        return bool(self._waiting.poll(left))


def _fill(fd: int, capacity: int) -> None:
    room = fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    if room < capacity:
        with contextlib.suppress(OSError):  # beyond the user's share of pipe memory
            room = fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, capacity)
    if room < capacity:
        raise InvalidSpec(
            f"mailbox capacity {capacity} is more than a pipe of this system holds ({room}); "
            f"use a smaller one, or None for an unbounded mailbox"
        )
    left = capacity
    while left:
        left -= os.write(fd, b"\1" * min(left, 4096))
