"""Files for what does not go through a pipe: how they are laid out, and room reserved for them.

Layer: wire. Runs in: parent and actor.
Owns: nothing: the descriptor of a new file belongs to the caller.
Never: hands out a file whose space is not reserved: a map of it would die of SIGBUS.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Sequence

from procactors.errors import StorageFull
from procactors.wire.runtime_dir import open_overflow, overflow_of

__all__ = ["aligned", "create", "lay_out", "too_many_open"]

#: Data starts on this boundary, and so does each buffer: arrays and Arrow want aligned memory.
_ALIGN = 64

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)


def aligned(at: int) -> int:
    """Return the next place at or behind `at` where data may start."""
    return -(-at // _ALIGN) * _ALIGN


def lay_out(table_at: int, head_bytes: int, lengths: Sequence[int]) -> list[int]:
    """Return where a pickle, and then each of its buffers, starts in a file.

    Args:
        table_at: where the table of the buffers' lengths starts, 8 bytes each.
        head_bytes: length of the pickle.
        lengths: lengths of the buffers.
    """
    at = aligned(table_at + 8 * len(lengths))
    places = [at]
    at = aligned(at + head_bytes)
    for length in lengths:
        places.append(at)
        at = aligned(at + length)
    return places


def create(
    home: str,
    folder_of: Callable[[int], str],
    name: str,
    size: int,
    make_room: Callable[[], bool] | None = None,
) -> tuple[int, str, int]:
    """Make a file with its space reserved; return (descriptor, path, place).

    Args:
        home: the runtime directory.
        folder_of: tells the folder by place: 0 beside the pipes, 1 in the overflow directory.
        name: the file's.
        size: in bytes.
        make_room: called when place 0 is full; True if that is worth another try.

    Raises:
        StorageFull: neither place has room, or this process has no descriptor left.
    """
    place = 0
    while place < 2:
        path = os.path.join(folder_of(place), name)
        try:
            return _reserved(home, path, size, place), path, place
        except OSError as error:
            if error.errno in _NO_DESCRIPTOR:
                raise too_many_open(f"a payload of {size} bytes", error) from error
            if error.errno not in _FULL:
                raise
        if place or make_room is None or not make_room():
            place += 1
    raise StorageFull(
        f"no room for a payload of {size} bytes: neither {home} nor {overflow_of(home)} has it; "
        f"free space there, or set runtime_dir= to a directory with room"
    )


def too_many_open(what: str, error: OSError) -> Exception:
    """Return the error that says so if no descriptor is left; else `error` itself."""
    if error.errno not in _NO_DESCRIPTOR:
        return error
    return StorageFull(
        f"no file descriptor is left in process {os.getpid()} for {what}; raise the limit "
        f"(ulimit -n) or hold fewer arrays"
    )


def _reserved(home: str, path: str, size: int, place: int) -> int:
    if place:
        open_overflow(home)
    # One level only: what removes the directory at a system's end must not see it come back.
    with contextlib.suppress(FileExistsError):
        os.mkdir(os.path.dirname(path), 0o700)
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, size)
    except BaseException:
        os.close(fd)
        os.unlink(path)
        raise
    return fd
