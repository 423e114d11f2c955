"""Closing a pipe for good: whatever was written is found, and nothing more can be.

Layer: wire. Runs in: parent.
Owns: nothing beyond a call; `close_for_good` closes the read end that it is given.
Never: leaves a sender in doubt: a write that succeeded is in what `close_for_good` returns (or was
read before).

Draining and then closing loses what comes in between. So the pipe is made small, filled to its
last byte, and copied with `tee(2)`, which takes nothing out; then its read end is closed. A write
meets a full pipe (and then the mark in the box), or no reader at all.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os

from procactors.wire.record import Kind, frame, whole_records

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl

__all__ = ["close_for_good", "peek", "tee"]

_SPLICE_F_NONBLOCK = 2


def close_for_good(read_end: int) -> list[bytes]:
    """Close a pipe's read end for good; return all records that were written, in order.

    The mark in the box must be set before: it is what a sender looks at when the pipe is full.
    """
    chunks: list[bytes] = []
    try:
        write_end = os.open(f"/proc/self/fd/{read_end}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _drain_and_shrink(read_end, chunks)
            _fill(write_end)
            chunks.append(peek(read_end))
        finally:
            os.close(write_end)
    except OSError:
        # No descriptor is left, or no memory: then what a sender writes in this very moment may
        # be lost. What was written before is not.
        chunks.append(_read(read_end))
    finally:
        os.close(read_end)
    return [record for chunk in chunks for record in whole_records(chunk)]


def peek(read_end: int) -> bytes:
    """Return a copy of what is in a pipe, without taking it out; whole records from the first on.

    All of it, unless the kernel has no room for a pipe of the same size.
    """
    copy, into = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        with contextlib.suppress(OSError):  # this user has too many large pipes: as far as it goes
            fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, fcntl.fcntl(read_end, fcntl.F_GETPIPE_SZ))
        try:
            size = tee(read_end, into)
        except BlockingIOError:
            return b""
        return os.read(copy, size)
    finally:
        os.close(copy)
        os.close(into)


def tee(source: int, into: int) -> int:
    """Copy what is in one pipe to another without taking it out; return the bytes copied.

    Raises:
        OSError: EAGAIN if there is nothing, or no room.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    count: int = libc.tee(source, into, ctypes.c_size_t(1 << 30), _SPLICE_F_NONBLOCK)
    if count < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return count


def _drain_and_shrink(read_end: int, chunks: list[bytes]) -> None:
    """Empty the pipe and make it one page large."""
    while True:
        chunks.append(_read(read_end))
        try:
            fcntl.fcntl(read_end, fcntl.F_SETPIPE_SZ, mmap.PAGESIZE)
        except OSError as error:
            if error.errno != errno.EBUSY:  # else senders have written more than that meanwhile
                raise
        else:
            return


def _fill(write_end: int) -> None:
    """Fill the pipe to its last byte, with records that mean nothing."""
    size = mmap.PAGESIZE
    while size >= 8:  # lengths are multiples of eight: no smaller gap is left
        filler = frame(Kind.NUDGE, 0, bytes(min(size, 4096) - 8))
        try:
            while True:
                os.write(write_end, filler)
        except BlockingIOError:
            size //= 2


def _read(read_end: int) -> bytes:
    found = b""
    with contextlib.suppress(BlockingIOError):
        while data := os.read(read_end, 1 << 20):
            found += data
    return found
