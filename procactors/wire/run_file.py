r"""The file of a recorded run: entries that many processes append, and one reads later.

Layer: wire. Runs in: parent and actor (`append`), any later process (`read_run`).
Owns: a descriptor for each file that this process appends to (`leave`).
Never: loses what was written before a kill: an entry is one write, and a cut one is left out.

    b"procactors run 1\\n"    then for each entry:    u32 length, u32 CRC-32 of the rest, a pickle

An entry is a tuple of plain values; the first one is its kind. Instants are nanoseconds of the
clock by which the run went. A value (VALUE) is a tuple (pickle, buffers, definitions): its pickle,
the out-of-band buffers of that, and the definitions that it names, by their versions.

    run      format, system, backend, path of the system, instant of the beginning, wall clock then
    life     instant, actor, name, class, incarnation, parent, seed, pickled options, VALUE of the
             class and its arguments, VALUE of further arguments or None
    begin    instant, actor, incarnation, sender, call, whether an answer is wanted, method, VALUE
    answer   instant, actor, incarnation, call, kind, VALUE
    stop     instant, actor, incarnation
    event    instant, actor, incarnation, what, about which actor
    crash    instant, name of the actor, incarnation, kind of the end, its text, the handler of the
             message in hand or ""
    end      instant

An actor is its id in the system; 0 as a sender or parent is the main program. ``call`` is the pair
of numbers by which the caller knows the call; (0, 0) of a tell.
"""

from __future__ import annotations

import errno
import os
import pickle
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from procactors.errors import InvalidSpec

__all__ = ["FORMAT", "append", "create", "leave", "read_run"]

FORMAT = 1
_HEAD = f"procactors run {FORMAT}\n".encode()
_ENTRY = struct.Struct("=II")

#: Descriptors by path.
_fds: dict[str, int] = {}


def create(path: str) -> None:
    """Make the file anew. Raises OSError."""
    with open(path, "wb") as file:
        file.write(_HEAD)


def append(path: str, entry: tuple[Any, ...]) -> None:
    """Append an entry in one write, which others' writes do not mix with. Raises OSError."""
    fd = _fds.get(path)
    if fd is None:
        fd = _fds[path] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    data = pickle.dumps(entry, 5)
    data = _ENTRY.pack(len(data), zlib.crc32(data)) + data
    if os.write(fd, data) < len(data):
        raise OSError(errno.ENOSPC, "an entry of the recording was cut: no room is left", path)


def leave(path: str) -> None:
    """Close what this process has open of the file."""
    fd = _fds.pop(path, None)
    if fd is not None:
        os.close(fd)


def read_run(path: str) -> Iterator[tuple[Any, ...]]:
    """Yield the entries of a file, in the order in which they were written.

    Loading it runs what its pickles name: as with any pickle, open only what you have written.

    Raises:
        OSError. InvalidSpec: it is no such file, or is damaged. A last entry that was cut by the
            end of its process, or of the machine, is left out.
    """
    with open(path, "rb") as file:
        if (head := file.read(len(_HEAD))) != _HEAD:
            raise InvalidSpec(f"expected {path} to begin with {_HEAD!r}, found {head!r}")
        while len(frame := file.read(_ENTRY.size)) == _ENTRY.size:
            length, checksum = _ENTRY.unpack(frame)
            data = file.read(length)
            if len(data) < length:
                return
            if zlib.crc32(data) != checksum:
                raise InvalidSpec(f"{path} is damaged at byte {file.tell() - length}")
            yield pickle.loads(data)
