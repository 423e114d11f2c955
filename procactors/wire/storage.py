"""Files for what does not go through a pipe: their layout, and where there is room for them.

Layer: wire. Runs in: parent and actor.
Owns: nothing: the descriptor of a new file belongs to the caller.
Never: hands out a file whose space is not reserved: a map of it would die of SIGBUS; leaves a part
of a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from procactors.errors import StorageFull
from procactors.wire.runtime_dir import check_overflow, overflow_of, remove_whole

__all__ = [
    "Descriptors",
    "aligned",
    "create",
    "find_file",
    "has_room",
    "is_half_free",
    "lay_out",
    "list_folder",
    "move_file",
    "read_file",
    "remove_file",
    "remove_folder",
    "root_of",
    "too_many_open",
    "write_file",
    "write_whole",
]

T = TypeVar("T")

#: Data starts on this boundary, and so does each buffer: arrays and Arrow want aligned memory.
_ALIGN = 64

#: Bytes that large files leave free: room for some 50 mailboxes, and what is a small file.
_SPARE, _SMALL = 4 * 1024 * 1024, 64 * 1024

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
#: What file systems without files that have no name answer (overlayfs and NFS among them).
_NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)


def aligned(at: int) -> int:
    """Return the next offset at or behind `at` where data may start."""
    return -(-at // _ALIGN) * _ALIGN


class Descriptors(list[int]):
    """Descriptors that are closed behind their block, also if a signal handler raises in it.

    Such a handler runs when a call returns that a signal has interrupted or met: so an ordinary
    ``fd = os.open(...)`` loses the descriptor now and then, before it has a name.
    """

    def open(self, path: str, flags: int) -> int:
        """Open a file; one that is made is for its user alone."""
        # All in C: there is no line between the opening and the entry in the list.
        self.extend(map(os.open, (path,), (flags | os.O_CLOEXEC,), (0o600,)))
        return self[-1]

    def close(self) -> None:
        """Close all that was not taken out."""
        deque(map(os.close, map(self.pop, [-1] * len(self))), 0)  # in one call of C, too

    def __enter__(self) -> Descriptors:  # noqa: PYI034 - `Self` is of Python 3.11
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def lay_out(table_at: int, head_bytes: int, lengths: Sequence[int]) -> list[int]:
    """Return where a pickle, and then each of its buffers, starts in a file.

    Args:
        table_at: where the table of the buffers' lengths starts, 8 bytes each.
        head_bytes: length of the pickle.
        lengths: lengths of the buffers.
    """
    at = aligned(table_at + 8 * len(lengths))
    starts = [at]
    at = aligned(at + head_bytes)
    for length in lengths:
        starts.append(at)
        at = aligned(at + length)
    return starts


def root_of(runtime_dir: str, place: int) -> str:
    """Return the directory of a place: 0 beside the pipes, 1 in the overflow directory."""
    return overflow_of(runtime_dir) if place else runtime_dir


def create(
    opened: Descriptors,
    runtime_dir: str,
    folder: str,
    name: str,
    size: int,
    make_room: Callable[[], bool] | None = None,
) -> tuple[str, int]:
    """Make a file with its space reserved, and open it; return (path, place: see `root_of`).

    Args:
        opened: has its descriptor from then on.
        runtime_dir: the runtime directory.
        folder: the folder in it.
        name: the file's.
        size: in bytes.
        make_room: called when place 0 is full; True if that is worth another try.

    Raises:
        StorageFull: neither place has room, or this process has no descriptor left.
    """

    def reserve(place: int) -> tuple[str, int]:
        path = os.path.join(_made(root_of(runtime_dir, place), folder), name)
        try:
            os.posix_fallocate(opened.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR), 0, size)
        except BaseException:
            if opened:
                os.unlink(path)
            opened.close()
            raise
        return path, place

    return _where_there_is_room(runtime_dir, size, f"a payload of {size} bytes", reserve, make_room)


def write_file(
    runtime_dir: str, name: str, *parts: bytes | memoryview, what: str = "a file"
) -> str:
    """Write a file whole or not at all, in the overflow directory if need be; return its path.

    It replaces a file of that name. Not even a process that is killed here leaves a part of it.

    Args:
        runtime_dir: the runtime directory.
        name: the file's in it, with its folder.
        parts: what is to be in it, one behind the other.
        what: what it is, for the error.

    Raises:
        StorageFull: neither place has room, or this process has no descriptor left.
    """
    views = _views(parts)
    size = sum(view.nbytes for view in views)

    def write(place: int) -> str:
        path = _place_for(runtime_dir, place, name)
        _write_views(path, views)
        return path

    path = _where_there_is_room(runtime_dir, size, f"{what} of {size} bytes", write)
    for other in (0, 1):
        old = os.path.join(root_of(runtime_dir, other), name)
        if old != path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(old)
    return path


def find_file(runtime_dir: str, name: str) -> str:
    """Return where a file of a runtime directory is; if it is nowhere, where it would be."""
    beside = os.path.join(runtime_dir, name)
    if os.path.exists(beside):
        return beside
    more = os.path.join(overflow_of(runtime_dir), name)
    return more if os.path.exists(more) else beside


def move_file(runtime_dir: str, path: str, name: str, keep: bool = False) -> str:
    """Give a file that `write_file` has written another name, where it is; return its new path.

    Args:
        runtime_dir: the runtime directory.
        path: where the file is.
        name: what it is to be called in the runtime directory, with its folder.
        keep: it keeps the old name, too.
    """
    place = int(path.startswith(overflow_of(runtime_dir) + os.sep))
    new = _place_for(runtime_dir, place, name)
    (os.link if keep else os.rename)(path, new)
    return new


def write_whole(path: str, *parts: bytes | memoryview) -> None:
    """Write a file whole or not at all, replacing an older one; readable by its user alone.

    Raises:
        OSError: the folder is missing, or there is no room.
    """
    _write_views(path, _views(parts))


def read_file(runtime_dir: str, name: str) -> bytes:
    """Return what is in a file that `write_file` has written.

    Raises:
        FileNotFoundError: there is none.
    """
    with open(find_file(runtime_dir, name), "rb") as file:
        return file.read()


def remove_file(runtime_dir: str, name: str) -> None:
    """Remove a file that `write_file` has written; gone already is no error."""
    for place in (0, 1):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(root_of(runtime_dir, place), name))


def remove_folder(runtime_dir: str, folder: str) -> None:
    """Remove a folder of a runtime directory with what is in it; gone already is no error."""
    for place in (0, 1):
        remove_whole(os.path.join(root_of(runtime_dir, place), folder))


def list_folder(runtime_dir: str, folder: str) -> list[str]:
    """Return the paths of what is in a folder of a runtime directory, in both places."""
    found = []
    for place in (0, 1):
        path = os.path.join(root_of(runtime_dir, place), folder)
        with contextlib.suppress(FileNotFoundError):
            found += [os.path.join(path, name) for name in os.listdir(path)]
    return found


def has_room(root: str, size: int) -> bool:
    """Return whether a directory's disk has room for that many bytes.

    For large ones, some must be left: mailboxes, orders and result tables can go nowhere else.
    """
    disk = os.statvfs(root)
    if not disk.f_blocks:  # a tmpfs without a limit
        return True
    spare = min(_SPARE, disk.f_blocks * disk.f_frsize // 8) if size > _SMALL else 0
    return size + spare <= disk.f_bavail * disk.f_frsize


def is_half_free(root: str) -> bool:
    """Return whether at least half of a directory's disk is free."""
    disk = os.statvfs(root)
    return disk.f_bavail * 2 >= disk.f_blocks


def too_many_open(what: str, error: OSError, then: str = " or hold fewer arrays") -> Exception:
    """Return the error that says so if no descriptor is left; else `error` itself.

    Args:
        what: could not be opened.
        error: was raised instead.
        then: the end of the text: what else helps, or what became of the caller's message.
    """
    if error.errno not in _NO_DESCRIPTOR:
        return error
    return StorageFull(
        f"no file descriptor is left in process {os.getpid()} for {what}; raise the limit "
        f"(ulimit -n){then}"
    )


def _where_there_is_room(
    runtime_dir: str,
    size: int,
    what: str,
    make: Callable[[int], T],
    make_room: Callable[[], bool] | None = None,
) -> T:
    """Return what `make` returns for the first place that has room."""
    place = 0
    while place < 2:
        try:
            # Looked at first: a try in vain would fill the disk to its last byte for a moment,
            # in which the files of other processes do not fit either.
            if (not place or check_overflow(runtime_dir)) and has_room(
                root_of(runtime_dir, place), size
            ):
                return make(place)
        except OSError as error:
            if error.errno in _NO_DESCRIPTOR:
                raise too_many_open(what, error) from error
            if error.errno not in _FULL:
                raise
        if place or make_room is None or not make_room():
            place += 1
    raise StorageFull(
        f"no room for {what}: neither {runtime_dir} nor {_named_overflow(runtime_dir)} has it; "
        f"free space there, or set runtime_dir= or TMPDIR to a directory with room"
    )


def _named_overflow(runtime_dir: str) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(overflow_of(runtime_dir))
    return "a temporary directory on another disk (there was none to write to)"


def _place_for(runtime_dir: str, place: int, name: str) -> str:
    folder, _, last = name.rpartition(os.sep)
    return os.path.join(_made(root_of(runtime_dir, place), folder), last)


def _made(root: str, folder: str) -> str:
    """Make a folder in a directory, which itself stays gone if it is: its system has ended."""
    at = root
    for part in folder.split(os.sep):
        at = os.path.join(at, part)
        with contextlib.suppress(FileExistsError):
            os.mkdir(at, 0o700)
    return at


def _views(parts: Iterable[bytes | memoryview]) -> list[memoryview]:
    # Empty ones left out: a view of nothing in several dimensions cannot be cast.
    return [memoryview(part).cast("B") for part in parts if len(part)]


def _write_views(path: str, views: Sequence[memoryview]) -> None:
    try:
        # A file without a name: the kernel removes it with a process that is killed over it.
        fd = os.open(os.path.dirname(path), os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in _NO_UNNAMED:
            raise
        _write_named(path, views)
        return
    try:
        _write_all(fd, views)
        _give_name(fd, path)
    finally:
        os.close(fd)


def _give_name(fd: int, path: str) -> None:
    # With a descriptor of a folder, which an absolute path does not need, Python calls linkat(2).
    def link(name: str) -> None:
        os.link(f"/proc/self/fd/{fd}", name, src_dir_fd=fd, follow_symlinks=True)

    try:
        link(path)
    except FileExistsError:  # it cannot replace one; renaming can
        link(_new(path))
        os.rename(_new(path), path)


def _write_named(path: str, views: Sequence[memoryview]) -> None:
    new = _new(path)
    fd = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        _write_all(fd, views)
        os.rename(new, path)
    except BaseException:
        os.unlink(new)
        raise
    finally:
        os.close(fd)


def _new(path: str) -> str:
    return f"{path}.{os.getpid()}-{threading.get_native_id()}.new"


def _write_all(fd: int, views: Sequence[memoryview]) -> None:
    for view in views:
        done = 0
        while done < view.nbytes:  # one call writes 2 GiB at most
            done += os.write(fd, view[done:])
