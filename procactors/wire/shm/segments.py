"""Large payloads: files that a receiver maps, kept and written again by their sender.

Layer: wire. Runs in: parent and actor.
Owns: the sender's kept segments (descriptor, map, file: `SegmentPool.close`); a receiver's
descriptor until `Received.consume`, and its lock as long as a view of the map lives; the few maps
that it keeps to copy out of (`SegmentReceiver.close`).
Never: written while a receiver may still read it; unlocked by hand; truncated.

Page faults dominate the cost of fresh segments, so a sender keeps its own and writes them again
(measured: 1.0 GB/s fresh, 4.6 to 6.9 kept). The header's words:

    generation   which writing this is; the record that travels names it
    consumed     the generation that was handled: equal to `generation` means free
    target       the mailbox or reply pipe that it was written for (see `sweep_segments`)
    once         1: the receiver removes the file, since the sender did not keep it. 2: that, and no
                 fence removes it: it was passed on to another receiver

The sender writes only if consumed == generation and it gets the exclusive lock; the receiver
holds a shared lock for as long as a view of its private map lives: a page that was only read
would still show a later write. A small payload is copied at once, out of a map that the receiver
keeps: 1 MB in 70 µs instead of 170, without any call of the system. Recovery sets `consumed` again
for all that was handled.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import threading
import weakref
from collections.abc import Container, Sequence

from procactors.light_tuple import NamedTuple
from procactors.wire.storage import Descriptors, create, is_half_free, lay_out, root_of

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl

__all__ = [
    "REFERENCE",
    "Received",
    "SegmentPool",
    "SegmentReceiver",
    "mark_consumed",
    "pass_on",
    "receive",
    "segment_size",
    "sweep_segments",
]

#: process token, number, generation, directory (0 beside the pipes, 1 overflow)
REFERENCE = struct.Struct("=QQQQ")

_HEADER = struct.Struct("=QQQQQQ")  # generation, consumed, target, once, head bytes, buffers
_GENERATION, _CONSUMED, _TARGET, _ONCE, _HEAD_BYTES, _COUNT = range(6)
#: Value of `once` of a segment that was passed on.
_PASSED_ON = 2
_TABLE_AT = _HEADER.size
#: The segments of one process.
_FOLDER = "segments/{:016x}"
#: Up to here the receiver copies out: faster than mapping, and it costs no descriptor.
_COPY_LIMIT = 1024 * 1024
#: Bytes copied in one piece: during one, no other thread of the process runs, an event loop's say.
_PIECE = 1024 * 1024
#: Maps of small segments that a receiver keeps, each with a descriptor.
_KEPT_MAPS = 4
#: A segment's size beyond what is copied out of it: header, table, and the last page's rest.
_TABLE_BYTES = 64 * 1024
#: Segments that a process keeps for writing again, and their largest size and sum in bytes.
_KEEP, _KEEP_SIZE, _KEEP_SUM = 16, 256 * 1024 * 1024, 512 * 1024 * 1024
#: Live maps in a receiver beyond which it removes files on receipt instead of holding locks.
_MAPPED_LIMIT = 64


class _Map(mmap.mmap):
    """A private map, counted while a view of it may live."""


#: The private maps of this process that are still alive.
_mapped: weakref.WeakSet[_Map] = weakref.WeakSet()


class _Segment(NamedTuple):
    number: int
    place: int
    path: str
    fd: int
    map: mmap.mmap
    words: memoryview
    size: int


class SegmentPool:
    """The segments that one process writes for one runtime directory; thread-safe."""

    def __init__(self, runtime_dir: str, process: int) -> None:
        self._runtime_dir = runtime_dir
        self._process = process
        self._kept: list[_Segment] = []
        self._next = 0
        # Guards the list and the writing itself: two threads must not pick the same segment.
        # Reentrant: a signal handler of the application may send while its thread is inside.
        self._lock = threading.RLock()

    def write(self, head: bytes, buffers: Sequence[memoryview], target: int) -> bytes:
        """Write a pickle and its out-of-band buffers; return the reference that names them.

        Raises:
            StorageFull: neither the runtime directory nor the temporary one has room.
        """
        starts, size = _layout(head, buffers)
        with self._lock:
            segment = self._free(size)
            if segment is None:
                return self._write_new(head, buffers, starts, size, target)
            generation = segment.words[_GENERATION] + 1
            segment.words[_GENERATION] = generation
            segment.words[_TARGET] = target
            try:
                _store(segment.map, head, buffers, starts)
            except BaseException:  # Ctrl-C, seen behind the copying: this will not be sent
                segment.words[_CONSUMED] = generation
                fcntl.flock(segment.fd, fcntl.LOCK_UN)
                raise
            # Unlocked before it is sent: the receiver's shared lock must find it free.
            fcntl.flock(segment.fd, fcntl.LOCK_UN)
            return REFERENCE.pack(self._process, segment.number, generation, segment.place)

    def free(self, reference: bytes) -> None:
        """Let one of our segments be written again that no receiver has consumed.

        Needs no descriptor and no lock: it may come when none is left, and in any thread.
        """
        _, number, generation, place = REFERENCE.unpack(reference)
        for segment in list(self._kept):
            if segment.number == number:
                if segment.words[_GENERATION] == generation:
                    segment.words[_CONSUMED] = generation
                return
        with contextlib.suppress(FileNotFoundError):  # not kept: it would not be written again
            os.unlink(_path(self._runtime_dir, self._process, number, place))

    def close(self) -> None:
        """Close maps and descriptors; the files stay for their receivers."""
        with self._lock:
            for segment in self._kept:
                _drop(segment)
            self._kept.clear()

    def _free(self, size: int) -> _Segment | None:
        """Return a kept segment that fits and that no receiver can see, locked; None if none is."""
        for segment in list(self._kept):
            words = segment.words
            if words[_CONSUMED] != words[_GENERATION] or not size <= segment.size <= 4 * size:
                continue
            try:
                fcntl.flock(segment.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # handled, but an array over it still lives in the receiver
            # The receiver removes a file before it marks it consumed: so this look is enough.
            if os.fstat(segment.fd).st_nlink == 0:
                self._kept.remove(segment)
                _drop(segment)
                continue
            return segment
        return None

    def _write_new(
        self,
        head: bytes,
        buffers: Sequence[memoryview],
        starts: list[int],
        size: int,
        target: int,
    ) -> bytes:
        self._make_room(size)
        number = self._next
        self._next += 1
        opened = Descriptors()
        path, place = create(
            opened, self._runtime_dir, _FOLDER.format(self._process), str(number), size
        )
        fd = opened[0]
        keep = not place and self._is_worth_keeping(size)
        try:
            header = _HEADER.pack(1, 0, target, 0 if keep else 1, len(head), len(buffers))
            os.pwrite(fd, header, 0)
            mapped = mmap.mmap(fd, size)
            _store(mapped, head, buffers, starts)
        except BaseException:
            opened.close()
            os.unlink(path)
            raise
        if keep:
            words = memoryview(mapped)[: _HEADER.size].cast("Q")
            self._kept.append(_Segment(number, place, path, fd, mapped, words, size))
            opened.clear()
        else:
            mapped.close()
            opened.close()
        return REFERENCE.pack(self._process, number, 1, place)

    def _is_worth_keeping(self, size: int) -> bool:
        """Whether a new segment is to be written again, which saves time and takes room.

        Not on a small disk, as containers have: there the room is needed for what comes next.
        """
        return (
            len(self._kept) < _KEEP
            and size <= _KEEP_SIZE
            and self._kept_bytes() <= _KEEP_SUM
            and is_half_free(self._runtime_dir)
        )

    def _kept_bytes(self) -> int:
        return sum(segment.size for segment in self._kept)

    def _make_room(self, size: int) -> None:
        """Give up a free kept segment of another size when the pool is full."""
        if len(self._kept) < _KEEP and self._kept_bytes() + size <= _KEEP_SUM:
            return
        for segment in list(self._kept):
            words = segment.words
            if words[_CONSUMED] == words[_GENERATION]:
                self._kept.remove(segment)
                _drop(segment)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(segment.path)
                return


class Received:
    """A payload that was received: the pickle and its buffers, until `consume`.

    Args:
        head: the pickle.
        buffers: what it has out of band.
        reference: names the payload.
        path: of its segment.
        fd: the segment's, if it was opened for this payload; else -1.
        words: its header, if its map is kept.
    """

    __slots__ = ("_fd", "_path", "_reference", "_words", "buffers", "head")

    def __init__(
        self,
        head: memoryview,
        buffers: list[memoryview],
        reference: bytes,
        path: str,
        fd: int = -1,
        words: memoryview | None = None,
    ) -> None:
        self.head = head
        self.buffers = buffers
        self._reference = reference
        self._path = path
        self._fd = fd
        self._words = words

    def consume(self) -> None:
        """Say that the payload is handled: its sender may write the segment again."""
        words, self._words = self._words, None
        if words is not None:
            _consume_mapped(words, self._path, REFERENCE.unpack(self._reference)[2])
            return
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            _consume(fd, self._path, REFERENCE.unpack(self._reference)[2])
        finally:
            os.close(fd)

    def leave(self) -> None:
        """Close the payload unhandled: it will be received again."""
        self._words = None
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __del__(self) -> None:
        # A reply that was never asked for must not keep its segment for ever.
        with contextlib.suppress(Exception):
            self.consume()


class _KeptMap(NamedTuple):
    map: mmap.mmap
    words: memoryview
    path: str


class SegmentReceiver:
    """What one process has received from others in one runtime directory; thread-safe.

    It keeps the maps of a few small segments that are written again and again: to open, lock and
    read such a file costs more than the copy out of it.
    """

    def __init__(self, runtime_dir: str) -> None:
        self._runtime_dir = runtime_dir
        # By process, number and place; the one that was made last comes last. A map is never
        # closed by hand: another thread may be copying out of it.
        self._maps: dict[tuple[int, int, int], _KeptMap] = {}

    def receive(self, reference: bytes) -> Received:
        """Open the payload that a record names; it will not be opened again, once consumed.

        Raises:
            FileNotFoundError: the segment is gone (its dead sender's were swept).
        """
        process, number, generation, place = REFERENCE.unpack(reference)
        kept = self._maps.get((process, number, place))
        # One that is written for the first time may never be again.
        if kept is None and generation > 1:
            kept = self._map(process, number, place)
        return receive(self._runtime_dir, reference) if kept is None else _copied(kept, reference)

    def forget(self, process: int) -> None:
        """Let go of the maps of a process that has ended."""
        for key in list(self._maps):
            if key[0] == process:
                self._maps.pop(key, None)

    def close(self) -> None:
        """Let go of all maps."""
        self._maps.clear()

    def _map(self, process: int, number: int, place: int) -> _KeptMap | None:
        """Map a segment and keep the map; None for one that is too large."""
        path = _path(self._runtime_dir, process, number, place)
        with Descriptors() as opened:
            fd = opened.open(path, os.O_RDWR)
            if os.fstat(fd).st_size > _COPY_LIMIT + _TABLE_BYTES:
                return None
            mapped = mmap.mmap(fd, 0)
        kept = _KeptMap(mapped, memoryview(mapped)[: _HEADER.size].cast("Q"), path)
        # What its sender has removed takes room as long as it is mapped.
        for key, other in list(self._maps.items()):
            if not os.path.exists(other.path):
                self._maps.pop(key, None)  # another thread may be here as well
        self._maps[process, number, place] = kept
        for key in list(self._maps)[:-_KEPT_MAPS]:
            self._maps.pop(key, None)
        return kept


def receive(runtime_dir: str, reference: bytes, once: bool = True) -> Received:
    """Open the payload that a record names.

    Buffers up to 1 MiB in sum are copied out; larger ones are mapped copy-on-write: writable,
    and nothing is copied until it is written to.

    Args:
        runtime_dir: the runtime directory.
        reference: names the payload.
        once: it will not be opened again: a process with many maps may remove the file at once.

    Raises:
        FileNotFoundError: the segment is gone (its dead sender's were swept).
    """
    process, number, generation, place = REFERENCE.unpack(reference)
    path = _path(runtime_dir, process, number, place)
    opened = Descriptors()
    try:
        fd = opened.open(path, os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_SH)
        header = _HEADER.unpack(os.pread(fd, _HEADER.size, 0))
        if header[_GENERATION] != generation:
            raise FileNotFoundError(f"{path} was written again: generation {header[_GENERATION]}")
        head_bytes, count = header[_HEAD_BYTES], header[_COUNT]
        lengths = struct.unpack(f"={count}Q", os.pread(fd, 8 * count, _TABLE_AT))
        starts = lay_out(_TABLE_AT, head_bytes, lengths)
        size = (starts[-1] + lengths[-1]) if count else starts[0] + head_bytes
        if size <= _COPY_LIMIT:
            data = bytearray(size)
            os.preadv(fd, [data], 0)
            view = memoryview(data)
        else:
            # The map holds a duplicate of the descriptor, and so the shared lock, while it lives.
            mapped = _Map(fd, size, access=mmap.ACCESS_COPY)
            _mapped.add(mapped)
            view = memoryview(mapped)
            if once and len(_mapped) > _MAPPED_LIMIT:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        head = view[starts[0] : starts[0] + head_bytes]
        buffers = [view[at : at + n] for at, n in zip(starts[1:], lengths, strict=True)]
        return Received(head, buffers, reference, path, opened.pop())
    finally:
        opened.close()


def segment_size(runtime_dir: str, reference: bytes) -> int:
    """Return how many bytes the segment has that a reference names; 0 if it is gone."""
    process, number, _, place = REFERENCE.unpack(reference)
    try:
        return os.stat(_path(runtime_dir, process, number, place)).st_size
    except FileNotFoundError:
        return 0


def _copied(kept: _KeptMap, reference: bytes) -> Received:
    """Copy a payload out of a map that is kept.

    Without the lock: its sender writes there only when it is handled, and stores the generation
    first. So a copy that was made in one generation is whole.

    Raises:
        FileNotFoundError: another process has handled it, and it was written again.
    """
    generation, words = REFERENCE.unpack(reference)[2], kept.words
    _check_generation(kept, generation)
    head_bytes, count = words[_HEAD_BYTES], words[_COUNT]
    lengths = struct.unpack_from(f"={count}Q", kept.map, _TABLE_AT)
    starts = lay_out(_TABLE_AT, head_bytes, lengths)
    first = starts[0]
    end = (starts[-1] + lengths[-1]) if count else first + head_bytes
    # Straight from the map: an empty array would be filled with zeros first.
    view = memoryview(bytearray(memoryview(kept.map)[first:end]))
    _check_generation(kept, generation)
    buffers = [view[at - first : at - first + n] for at, n in zip(starts[1:], lengths, strict=True)]
    return Received(view[:head_bytes], buffers, reference, kept.path, words=words)


def _check_generation(kept: _KeptMap, generation: int) -> None:
    found = kept.words[_GENERATION]
    if found != generation:
        raise FileNotFoundError(f"{kept.path} was written again: generation {found}")


def mark_consumed(runtime_dir: str, reference: bytes) -> None:
    """Set `consumed` for a record that was handled or dropped; gone already is no error."""
    process, number, generation, place = REFERENCE.unpack(reference)
    path = _path(runtime_dir, process, number, place)
    with contextlib.suppress(FileNotFoundError), Descriptors() as opened:
        _consume(opened.open(path, os.O_RDWR), path, generation)


def pass_on(runtime_dir: str, reference: bytes) -> None:
    """Have the segment of a message that goes on to another receiver stay until that is done.

    What its sender's death leaves there for the first receiver is removed by a fence, which that
    one handles behind this message: it would find the segment not handled, and never sent. So from
    now on the receiver removes it, whoever that is.

    Raises:
        FileNotFoundError: this process had too many maps, and has removed the file.
    """
    process, number, generation, place = REFERENCE.unpack(reference)
    path = _path(runtime_dir, process, number, place)
    with Descriptors() as opened:
        fd = opened.open(path, os.O_RDWR)
        if _HEADER.unpack(os.pread(fd, _HEADER.size, 0))[_GENERATION] != generation:
            raise FileNotFoundError(f"{path} was written again")
        os.pwrite(fd, struct.pack("=Q", _PASSED_ON), 8 * _ONCE)


def sweep_segments(
    runtime_dir: str, process: int, target: int | None, unread: Container[bytes] = ()
) -> set[int]:
    """Remove a dead process's segments for `target`, or (None) those that were handled.

    Unlinking harms no map that exists. Returns the targets of the segments that are left.

    Args:
        runtime_dir: the runtime directory.
        process: token of the dead process.
        target: the mailbox or reply pipe that they were written for.
        unread: references of those that have come and are still to be opened: each of them goes
            when it is consumed.
    """
    left: set[int] = set()
    for place in (0, 1):
        folder = _folder(runtime_dir, process, place)
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            continue
        for name in names:
            path = os.path.join(folder, name)
            with contextlib.suppress(FileNotFoundError, struct.error):
                with open(path, "r+b", buffering=0) as file:
                    fd = file.fileno()
                    generation = _HEADER.unpack(os.pread(fd, _HEADER.size, 0))[_GENERATION]
                    is_unread = REFERENCE.pack(process, int(name), generation, place) in unread
                    if is_unread:  # removed by who reads it, as what was passed on
                        os.pwrite(fd, struct.pack("=Q", 1), 8 * _ONCE)
                    # Behind the store: what was consumed before it is for us to remove.
                    header = _HEADER.unpack(os.pread(fd, _HEADER.size, 0))
                free = header[_CONSUMED] == generation
                mine = target is not None and header[_TARGET] == target
                on_its_way = is_unread or header[_ONCE] == _PASSED_ON
                if free or (mine and not on_its_way):
                    os.unlink(path)
                elif header[_ONCE] != _PASSED_ON:
                    left.add(header[_TARGET])
        with contextlib.suppress(OSError):
            os.rmdir(folder)
    return left


def _consume(fd: int, path: str, generation: int) -> None:
    header = _HEADER.unpack(os.pread(fd, _HEADER.size, 0))
    if header[_GENERATION] != generation:
        return
    if header[_ONCE]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    os.pwrite(fd, struct.pack("=Q", generation), 8 * _CONSUMED)


def _consume_mapped(words: memoryview, path: str, generation: int) -> None:
    if words[_GENERATION] != generation:
        return
    if words[_ONCE]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    words[_CONSUMED] = generation


def _folder(runtime_dir: str, process: int, place: int) -> str:
    return os.path.join(root_of(runtime_dir, place), _FOLDER.format(process))


def _path(runtime_dir: str, process: int, number: int, place: int) -> str:
    """Return the path of the segment that a reference names."""
    return os.path.join(_folder(runtime_dir, process, place), str(number))


def _layout(head: bytes, buffers: Sequence[memoryview]) -> tuple[list[int], int]:
    starts = lay_out(_TABLE_AT, len(head), [buffer.nbytes for buffer in buffers])
    last = buffers[-1].nbytes if buffers else len(head)
    return starts, -(-(starts[-1] + last) // 4096) * 4096


def _store(
    into: mmap.mmap, head: bytes, buffers: Sequence[memoryview], starts: Sequence[int]
) -> None:
    struct.pack_into("=QQ", into, 8 * _HEAD_BYTES, len(head), len(buffers))
    struct.pack_into(f"={len(buffers)}Q", into, _TABLE_AT, *(b.nbytes for b in buffers))
    parts: list[bytes | memoryview] = [head, *buffers]
    for start, data in zip(starts, parts, strict=True):
        size = len(data)
        if size <= _PIECE:
            into[start : start + size] = data
            continue
        whole = memoryview(data)
        for at in range(0, size, _PIECE):
            piece = whole[at : at + _PIECE]
            into[start + at : start + at + len(piece)] = piece


def _drop(segment: _Segment) -> None:
    segment.words.release()
    segment.map.close()
    os.close(segment.fd)
