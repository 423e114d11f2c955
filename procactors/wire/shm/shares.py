"""Shared values: written once, mapped read-only by their readers.

Layer: wire. Runs in: parent and actor.
Owns: a reader's descriptor, and with it a shared lock, for as long as a view of its map lives.
Never: writes or cuts a file of which a view lives anywhere (see `share_file`).

Fresh pages are what costs most, so a process writes its released files again. Of these it holds
nothing open: it looks at their headers when it needs one.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from procactors.errors import ActorStopped, ShareReleased
from procactors.light_tuple import NamedTuple
from procactors.wire.copies import in_copies
from procactors.wire.pickling.codec import Encoded, decode
from procactors.wire.raised import by_signal
from procactors.wire.shm.share_file import (
    FOLDER,
    HEADER,
    MAGIC,
    Header,
    Share,
    disown,
    name_of,
    read_header,
)
from procactors.wire.storage import Descriptors, create, is_half_free, lay_out, too_many_open

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl

__all__ = ["SharePool", "load_share"]

#: A file is as long as what is in it, in whole pages.
_PAGE = 4096
#: Files that a process keeps for writing again, and their sum in bytes: one copy of what is large,
#: and no more memory idle than large messages may hold (see `segments`).
_KEEP, _KEEP_SUM = 16, 512 * 1024 * 1024
#: Above this, a file whose pages are there is written through a map: measured 5.9 GB/s for 500 MB
#: against 4.0 through the descriptor (fresh pages: 1.5 against 2.5). Below, mapping costs more.
_MAP_FROM = 1024 * 1024


class _Map(mmap.mmap):
    """A read-only map of a whole file; it lives as long as a view of it does.

    It holds a duplicate of the descriptor, and so the shared lock.
    """


#: The maps of this process that are alive: a share is mapped once, however often it is opened.
_maps: weakref.WeakValueDictionary[Share, _Map] = weakref.WeakValueDictionary()
# Guards the table. Reentrant: a signal handler of the application may open a share, too.
_opening = threading.RLock()


class _Kept(NamedTuple):
    number: int
    place: int
    path: str
    size: int


class SharePool:
    """The shares that one process writes in one runtime directory; thread-safe."""

    def __init__(self, runtime_dir: str, process: int) -> None:
        self._runtime_dir = runtime_dir
        self._process = process
        self._kept: list[_Kept] = []
        self._next = 0
        self._closed = False
        # Guards the list and the writing: no file may come into a directory that is being removed.
        in_copies(_after_fork)
        # Reentrant: see `_opening`.
        self._lock = threading.RLock()

    def write(self, encoded: Encoded, kind: str) -> tuple[Share, int]:
        """Write a value into a file of its own; return its name and size in bytes.

        Raises:
            StorageFull: neither the runtime directory nor the temporary one has room.
            ActorStopped: the system has been stopped.
        """
        lengths = [buffer.nbytes for buffer in encoded.buffers]
        starts = lay_out(HEADER.size, len(encoded.head), lengths)
        last = lengths[-1] if lengths else len(encoded.head)
        size = -(-(starts[-1] + last) // _PAGE) * _PAGE
        with self._lock:
            if self._closed:
                raise ActorStopped("the actor system was stopped")
            share = self._write_again(encoded, starts, size, kind)
            return share or self._write_new(encoded, starts, size, kind), size

    def close(self) -> None:
        """Write no more; the files stay for their readers, until the directory goes."""
        with self._lock:
            self._closed = True
            self._kept.clear()

    def _write_again(
        self, encoded: Encoded, starts: Sequence[int], size: int, kind: str
    ) -> Share | None:
        """Write into a file that was released; None if none fits, or if it cannot grow."""
        opened = Descriptors()
        found = self._take(size, opened)
        if found is None:
            return None
        (kept, last), fd = found, opened[0]
        share = Share(self._runtime_dir, self._process, kept.number, last + 1, kept.place)
        try:
            with _removing_on_error(kept.path):
                # First of all: a sweep must not take it for what was in it before.
                os.pwrite(fd, _header(share, encoded, kind, keep=True), 0)
                _resize(fd, kept.size, size)
                _write(fd, encoded, starts, size)
        except OSError as error:  # no room: the overflow directory may have it
            if by_signal(error):
                raise
            return None
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)  # a fork's copy must not keep it
            opened.close()
        self._kept.append(kept._replace(size=size))
        return share

    def _take(self, size: int, opened: Descriptors) -> tuple[_Kept, int] | None:
        """Take a released file of about that size off the list, and open it.

        Returns it and its last generation; None if there is none.
        """
        for kept in sorted(self._kept, key=lambda kept: abs(kept.size - size)):
            if not kept.size // 2 <= size <= 2 * kept.size:
                continue
            try:
                fd = opened.open(kept.path, os.O_RDWR)
            except FileNotFoundError:  # an error or the end of the system has removed it
                self._discard(kept)
                continue
            except OSError as error:  # no descriptor is left: the new file will say so
                if by_signal(error):
                    raise
                return None
            # Looked at before it is locked: a reader of a share that lives must find it unlocked.
            # Only we write it again, so what is released now stays so.
            header = read_header(fd)
            if header.is_released and _lock(fd):
                self._discard(kept)
                return kept, header.generation
            opened.close()
        return None

    def _write_new(self, encoded: Encoded, starts: Sequence[int], size: int, kind: str) -> Share:
        number, self._next = self._next, self._next + 1
        keep = size <= _KEEP_SUM and is_half_free(self._runtime_dir)
        opened = Descriptors()
        while keep and (len(self._kept) >= _KEEP or self._kept_bytes() + size > _KEEP_SUM):
            self._give_up(self._kept[0])  # the oldest: most likely one that is here to stay
        try:
            path, place = create(
                opened,
                self._runtime_dir,
                FOLDER,
                name_of(self._process, number),
                size,
                self._make_room,
            )
        except FileNotFoundError as error:
            raise ActorStopped("the actor system was stopped") from error
        keep = keep and not place  # what has overflowed goes when it is released
        share = Share(self._runtime_dir, self._process, number, 1, place)
        try:
            with _removing_on_error(path):
                os.pwrite(opened[0], _header(share, encoded, kind, keep), 0)
                _write(opened[0], encoded, starts, 0)
        finally:
            opened.close()
        if keep:
            self._kept.append(_Kept(number, place, path, size))
        return share

    def _kept_bytes(self) -> int:
        return sum(kept.size for kept in self._kept)

    def _make_room(self) -> bool:
        """Give up all that is kept; return whether there was any."""
        had = bool(self._kept)
        for kept in list(self._kept):
            self._give_up(kept)
        return had

    def _give_up(self, kept: _Kept) -> None:
        self._discard(kept)
        with contextlib.suppress(OSError):  # no descriptor: then it stays until the end
            disown(kept.path)

    def _discard(self, kept: _Kept) -> None:
        with contextlib.suppress(ValueError):  # a signal handler that shared has been quicker
            self._kept.remove(kept)


def load_share(share: Share, what: str) -> Any:
    """Return a value over a read-only map of its share; each call makes another one.

    Raises:
        ShareReleased: it was released. ActorStopped: its system was stopped. StorageFull: no
            descriptor is left. DecodeError: the value could not be unpickled.
    """
    with _opening:
        mapped = _maps.get(share)
        if mapped is None:
            mapped = _map(share, what)
            _maps[share] = mapped
    header = Header._make(HEADER.unpack_from(mapped))
    if header.is_released:
        raise _gone(share, what, "was released")
    lengths = struct.unpack_from(f"={header.buffers}Q", mapped, HEADER.size)
    starts = lay_out(HEADER.size, header.head_bytes, lengths)
    view = memoryview(mapped)
    head = view[starts[0] : starts[0] + header.head_bytes]
    buffers = [view[at : at + n] for at, n in zip(starts[1:], lengths, strict=True)]
    return decode(head, buffers, what)


def _map(share: Share, what: str) -> _Map:
    opened = Descriptors()
    try:
        fd = opened.open(share.path, os.O_RDONLY)
        # Not to be had: it is being written for another generation.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        header = read_header(fd)
        if header.generation == share.generation and not header.is_released:
            return _Map(fd, os.fstat(fd).st_size, access=mmap.ACCESS_READ)
        fcntl.flock(fd, fcntl.LOCK_UN)  # a fork's copy would keep it
    except BlockingIOError:
        pass
    except FileNotFoundError as error:
        raise _gone(share, what, "is gone: released, or dropped before it was sent") from error
    except OSError as error:
        raise too_many_open(f"a map of the {what}", error) from error
    finally:
        opened.close()  # without unlocking: the map has a duplicate
    raise _gone(share, what, "was released")


def _gone(share: Share, what: str, how: str) -> ShareReleased | ActorStopped:
    if not os.path.isdir(share.runtime_dir):
        return ActorStopped(f"the system was stopped: the {what} is gone with it")
    return ShareReleased(
        f"the {what} {how}; call get() before its release and hold on to the value, or share it "
        f"again"
    )


@contextlib.contextmanager
def _removing_on_error(path: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        raise


def _lock(fd: int) -> bool:
    """Lock a file for writing; False while it is read."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _header(share: Share, encoded: Encoded, kind: str, keep: bool) -> bytes:
    head, buffers = encoded
    return HEADER.pack(
        MAGIC, share.generation, 0, 0, keep, len(head), len(buffers), kind.encode()[:40]
    )


def _resize(fd: int, old: int, new: int) -> None:
    if new < old:
        os.ftruncate(fd, new)
    elif new > old:
        os.posix_fallocate(fd, old, new - old)


def _write(fd: int, encoded: Encoded, starts: Sequence[int], mapped: int) -> None:
    """Write table, pickle and buffers.

    Args:
        fd: the file.
        encoded: the value.
        starts: offsets of the pickle and of each buffer.
        mapped: bytes of the file if its pages are there, for writing through a map; else 0.
    """
    lengths = [buffer.nbytes for buffer in encoded.buffers]
    table = struct.pack(f"={len(lengths)}Q", *lengths)
    parts = [memoryview(table), memoryview(encoded.head), *encoded.buffers]
    if mapped >= _MAP_FROM:
        # All pages at once, not fault by fault.
        with mmap.mmap(fd, mapped, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE) as into:
            for at, part in zip((HEADER.size, *starts), parts, strict=True):
                into[at : at + part.nbytes] = part
        return
    for at, part in zip((HEADER.size, *starts), parts, strict=True):
        done = 0
        while done < part.nbytes:  # one call writes 2 GiB at most
            done += os.pwrite(fd, part[done:], at + done)


def _after_fork() -> None:
    global _opening  # noqa: PLW0603 - the one lock of this process, new in a copy
    _opening = threading.RLock()
