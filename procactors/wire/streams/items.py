"""Items of a stream as records: many small ones in each, a file for what is too large.

Layer: wire. Runs in: parent and actor.
Owns: nothing: the file of a large item is removed by who reads it, or with its channel.
Never: writes an item down later than it was made: one that is changed then would arrive changed.

    ITEMS     a list, by marshal: numbers, short texts, and tuples of these, as they are
    PICKLED   a list of pickles, by marshal
    LARGE     one pickle with its buffers, or the name of the file that has them
"""

from __future__ import annotations

import contextlib
import marshal
import mmap
import os
import pickle
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from procactors.errors import StorageFull
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.codec import Encoded, decode, join, split
from procactors.wire.raised import one_line
from procactors.wire.record import BODY_LIMIT, IN_SEGMENT, WITH_BUFFERS, Kind, frame
from procactors.wire.replies.failures import pack_failure, short_failure, unpack
from procactors.wire.storage import Descriptors, find_file, lay_out, write_file
from procactors.wire.streams.channel import large_name

__all__ = [
    "END",
    "LONGEST",
    "NUMBERS",
    "SMALL",
    "TEXTS",
    "discard",
    "failure_record",
    "is_plain_row",
    "large_record",
    "load_failure",
    "maker",
    "open_items",
    "records_of",
]

#: Longest pickle that shares its record with others.
SMALL = 1024
#: Longest text or bytes that go without a pickle, in characters: four bytes each at most.
LONGEST = 256
#: Most values of a tuple that goes without a pickle.
_WIDEST = 8

NUMBERS = frozenset({int, float, complex, bool, type(None)})
TEXTS = frozenset({str, bytes})
#: As for plain arguments: without references, so that what arrives depends on values alone.
_VERSION = 2

#: The record behind the last item.
END = frame(Kind.STOP, 0, b"")

_load_marshal = marshal.loads
_HEAD = struct.Struct("=QQ")
#: Up to here a large item is read, from there on mapped: faster, but it costs a descriptor.
_COPY_LIMIT = 1024 * 1024


def is_plain_row(row: tuple[Any, ...]) -> bool:
    """Whether a tuple goes without a pickle: of few numbers and short texts."""
    if len(row) > _WIDEST:
        return False
    for one in row:
        kind = type(one)
        if kind not in NUMBERS and (kind not in TEXTS or len(one) > LONGEST):
            return False
    return True


def records_of(kind: int, values: list[Any], alone: Callable[[Any], bytes]) -> Iterator[bytes]:
    """Yield the records of values: plain ones, or short pickles.

    Args:
        kind: what they are.
        values: these.
        alone: returns the record of one that is too long to share one: of a very long number, say.
    """
    data = marshal.dumps(values, _VERSION)
    if len(data) <= BODY_LIMIT:
        yield frame(kind, 0, data)
        return
    count = len(values)
    if count == 1:
        yield alone(values[0])
        return
    # In pieces of even size, with some room; where they are of different sizes, again in pieces.
    pieces = max(2, -(-len(data) * 9 // 8 // BODY_LIMIT))
    step = -(-count // pieces)
    for at in range(0, count, step):
        yield from records_of(kind, values[at : at + step], alone)


def large_record(store: PayloadStore, number: int, item: int, encoded: Encoded) -> bytes:
    """Return the record of one item, whose bytes go to a file if they do not fit.

    Raises:
        StorageFull: no room for the file.
    """
    head, buffers = encoded
    if not buffers and len(head) <= BODY_LIMIT:
        return frame(Kind.LARGE, 0, head)
    if encoded.size + 16 * len(buffers) + 64 <= BODY_LIMIT:
        body = join(encoded)
        if len(body) <= BODY_LIMIT:
            return frame(Kind.LARGE, WITH_BUFFERS, body)
    name = large_name(number, item)
    _write(store.path, name, encoded)
    return frame(Kind.LARGE, IN_SEGMENT, name.encode())


def failure_record(error: BaseException, store: PayloadStore) -> bytes:
    """Return the record of the exception with which a stream ends; it fits into the pipe."""
    body = _dumped(pack_failure(error, store))
    if len(body) > BODY_LIMIT:
        body = _dumped(short_failure(error, "it is too long to be streamed"))
    return frame(Kind.FAILURE, 0, body)


def _dumped(packed: Any) -> bytes:
    head, buffers, *rest = packed
    # In one piece, unlike a reply's: the array of an exception is small.
    return pickle.dumps((head, [bytes(buffer) for buffer in buffers], *rest), 5)


def load_failure(kind: int, body: bytes | memoryview) -> BaseException:
    """Return the exception of such a record."""
    return unpack(kind, pickle.loads(body))


def open_items(
    path: str, kind: int, flags: int, body: memoryview
) -> tuple[Sequence[Any], Callable[[Any], Any] | None]:
    """Return (what is in a record, what makes an item of each; None: they are items).

    What makes them may raise whatever the items' own unpickling code raises.
    """
    if kind == Kind.ITEMS:
        return _load_marshal(body), None
    if kind == Kind.PICKLED:
        return _load_marshal(body), maker(path, is_large=False)
    return [(flags, bytes(body))], maker(path, is_large=True)


def maker(path: str, *, is_large: bool) -> Callable[[Any], Any]:
    """Return what makes an item of a pickle, or of what stands for a large one."""
    return (lambda item: _load_large(path, *item)) if is_large else pickle.loads


def _load_large(path: str, flags: int, body: bytes) -> Any:
    if flags & IN_SEGMENT:
        try:
            head, buffers = _read(path, body.decode())
        except OSError as error:
            text = f"an item was sent, but its file cannot be opened: {one_line(error)}"
            raise StorageFull(text) from error
        return decode(head, buffers, "item")
    if flags & WITH_BUFFERS:
        return decode(*split(body), "item")
    return decode(body, (), "item")


def discard(path: str, flags: int, body: bytes) -> None:
    """Remove the file of a large item that will not be read."""
    if flags & IN_SEGMENT:
        with contextlib.suppress(OSError):
            os.unlink(find_file(path, body.decode()))


def _write(path: str, name: str, encoded: Encoded) -> None:
    head, buffers = encoded
    lengths = [buffer.nbytes for buffer in buffers]
    starts = lay_out(_HEAD.size, len(head), lengths)
    table = _HEAD.pack(len(head), len(lengths)) + struct.pack(f"={len(lengths)}Q", *lengths)
    parts: list[bytes | memoryview] = [table]
    at = len(table)
    for start, data in zip(starts, [memoryview(head), *buffers], strict=True):
        parts += [bytes(start - at), data]
        at = start + data.nbytes
    write_file(path, name, *parts, what="an item of a stream")


def _read(path: str, name: str) -> tuple[memoryview, list[memoryview]]:
    file = find_file(path, name)
    with Descriptors() as opened:
        fd = opened.open(file, os.O_RDWR)
        size = os.fstat(fd).st_size
        if size <= _COPY_LIMIT:
            data = bytearray(size)
            os.preadv(fd, [data], 0)
            view = memoryview(data)
        else:
            view = memoryview(mmap.mmap(fd, size, access=mmap.ACCESS_COPY))
    os.unlink(file)  # what is mapped stays
    head_bytes, count = _HEAD.unpack_from(view)
    lengths = struct.unpack_from(f"={count}Q", view, _HEAD.size)
    starts = lay_out(_HEAD.size, head_bytes, lengths)
    head = view[starts[0] : starts[0] + head_bytes]
    return head, [view[at : at + n] for at, n in zip(starts[1:], lengths, strict=True)]
