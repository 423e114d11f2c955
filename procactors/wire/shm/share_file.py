"""The files of shared values: their names, their headers, and when they go.

Layer: wire. Runs in: parent and actor.
Owns: a descriptor for the length of a call.
Never: written anew but under the exclusive lock, which is not to be had while a view
lives anywhere; waited for: a lock that is not to be had at once says enough.

The kernel's locks are the count of readers, so that no death can make it wrong. The header's words:

    magic        that the header has been written at all
    generation   which writing this is; a handle names it
    sent         the generation whose handle has been pickled: it may be anywhere now
    released     the generation that was released: it may not be opened any more
    kept         1: its creator lives and may write it again; 0: what releases it removes it

A release sets `released` and then looks at `kept`; what clears `kept` (a creator with too many, the
supervisor for a dead one) looks at `released` behind that: one of both removes the file.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator

from procactors.light_tuple import NamedTuple
from procactors.wire.storage import Descriptors, root_of, too_many_open

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl

__all__ = [
    "FOLDER",
    "HEADER",
    "MAGIC",
    "Header",
    "Share",
    "disown",
    "folder_of",
    "mark_sent",
    "name_of",
    "read_header",
    "release_share",
    "shares_of",
    "sweep_shares",
]

#: Where the files are in a runtime directory.
FOLDER = "shared"
#: The first word of each file.
MAGIC = 0x3145524148534350
#: magic, generation, sent, released, kept, bytes of the pickle, number of buffers, kind of value
HEADER = struct.Struct("=7Q40s")
_WORD = struct.Struct("=Q")
_SENT, _RELEASED, _KEPT = (8 * index for index in (2, 3, 4))


class Share(NamedTuple):
    """Names one writing of one file."""

    runtime_dir: str
    process: int
    number: int
    generation: int
    place: int

    @property
    def path(self) -> str:
        """Where the file is."""
        return os.path.join(
            folder_of(self.runtime_dir, self.place), name_of(self.process, self.number)
        )


class Header(NamedTuple):
    """What stands first in a file."""

    magic: int
    generation: int
    sent: int
    released: int
    kept: int
    head_bytes: int
    buffers: int
    kind: bytes

    @property
    def is_released(self) -> bool:
        """Whether the share may not be opened any more."""
        return self.released == self.generation


def mark_sent(share: Share) -> None:
    """Note that a handle has been pickled: from now on its creator's end is not the share's."""
    with _held(share) as held:
        if held is not None:
            os.pwrite(held[0], _WORD.pack(share.generation), _SENT)


def release_share(share: Share, unless_sent: bool = False) -> None:
    """End a share: it cannot be opened any more; its memory goes with the last view.

    Gone already is no error.
    """
    with _held(share) as held:
        if held is None or (unless_sent and held[1].sent == share.generation):
            return
        fd = held[0]
        os.pwrite(fd, _WORD.pack(share.generation), _RELEASED)
        if not _WORD.unpack(os.pread(fd, _WORD.size, _KEPT))[0]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(share.path)


def sweep_shares(runtime_dir: str, process: int) -> None:
    """Remove what a dead process has shared and no other knows of, and what was released."""
    start = name_of(process, "")
    for place in (0, 1):
        for name in _names(runtime_dir, place):
            if name.startswith(start):
                path = os.path.join(folder_of(runtime_dir, place), name)
                with contextlib.suppress(OSError):
                    disown(path, unless_sent=True)


def shares_of(runtime_dir: str) -> list[tuple[Share, str, int]]:
    """Return the shares that there are now in a runtime directory: (name, kind, bytes)."""
    found = []
    for place in (0, 1):
        for name in sorted(_names(runtime_dir, place)):
            process, _, number = name.partition("-")
            with contextlib.suppress(OSError, struct.error):
                with open(
                    os.path.join(folder_of(runtime_dir, place), name), "rb", buffering=0
                ) as file:
                    header, size = read_header(file.fileno()), os.fstat(file.fileno()).st_size
                if not header.is_released:
                    share = Share(
                        runtime_dir, int(process, 16), int(number), header.generation, place
                    )
                    kind = header.kind.rstrip(b"\0").decode(errors="ignore")
                    found.append((share, kind, size))
    return found


@contextlib.contextmanager
def _held(share: Share) -> Iterator[tuple[int, Header] | None]:
    """Open a share's file, which is not written anew meanwhile; None if it is gone."""
    opened = Descriptors()
    try:
        fd = opened.open(share.path, os.O_RDWR)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise too_many_open("a look at a shared value", error) from error
    try:
        found = None
        with contextlib.suppress(BlockingIOError, struct.error):
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            header = read_header(fd)
            if header.generation == share.generation:
                found = fd, header
        yield found
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)  # a fork's copy must not keep it
        opened.close()


def disown(path: str, unless_sent: bool = False) -> None:
    """Leave a file to its release; remove it if it is released (or was never sent)."""
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.pwrite(fd, _WORD.pack(0), _KEPT)
            header = read_header(fd)
            if header.is_released or (unless_sent and header.sent != header.generation):
                os.unlink(path)
        except struct.error:  # its creator died before the first line was written
            os.unlink(path)
        finally:
            os.close(fd)


def read_header(fd: int) -> Header:
    """Return a file's header; struct.error if there is none yet."""
    header = Header._make(HEADER.unpack(os.pread(fd, HEADER.size, 0)))
    if header.magic != MAGIC:
        raise struct.error("no header")
    return header


def folder_of(runtime_dir: str, place: int) -> str:
    """Return the folder at a place: beside the pipes (0), or in the overflow directory (1)."""
    return os.path.join(root_of(runtime_dir, place), FOLDER)


def name_of(process: int, number: int | str) -> str:
    """Return a file's name. All in one folder, so that none is left when they are gone."""
    return f"{process:016x}-{number}"


def _names(runtime_dir: str, place: int) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return os.listdir(folder_of(runtime_dir, place))
    return []
