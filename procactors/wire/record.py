"""The frame of one record in a pipe: at most PIPE_BUF bytes, so the kernel keeps it whole.

Layer: wire. Runs in: parent and actor.
Owns: nothing; pure functions over bytes.
Never: a record longer than PIPE_BUF, or one whose length is not a multiple of eight.

    u32 length of the whole record   u8 kind   u8 flags   u16 padding at the end   body

The padding makes the length a multiple of eight. With eight bytes more than that takes, the last
eight are a *stamp*: the sender's clock, and how many messages of its kind this one stands for.
"""

from __future__ import annotations

import enum
import select
import struct
from collections.abc import Iterator

from procactors.light_tuple import NamedTuple

__all__ = [
    "BODY_LIMIT",
    "CHILD_FAILED",
    "EVENT",
    "FRAME",
    "IN_SEGMENT",
    "KIND_AT",
    "MOST_STANDING",
    "MOVED",
    "PADDING",
    "PADDING_AT",
    "READY",
    "RESTARTED",
    "SETTLED",
    "STAMP",
    "TAKEN_OVER",
    "TERMINATED",
    "WITH_BUFFERS",
    "Kind",
    "Record",
    "frame",
    "parse",
    "parse_all",
    "stamp_of",
    "stamped",
    "tap_record",
    "whole_records",
]

FRAME = struct.Struct("=IBBH")

#: Offset of the kind in a record: a byte, which changes by one store.
KIND_AT = 4

#: Offset of the padding's low byte, which has all of it: what is stamped has 15 bytes at most.
PADDING_AT = 6

#: Body of `Kind.READY`: actor, number of the start, whether it decides on its children.
READY = struct.Struct("=QQQ")

#: Head of the body of `Kind.EVENT`: what happened, to which actor, the event's number in the
#: system. The pickled particulars follow, but for SETTLED.
EVENT = struct.Struct("=QQQ")
#: What may have happened. SETTLED: nothing; the last record about an actor that is not watched any
#: more, behind what was on its way.
#: TAKEN_OVER: the answer that an actor owed by a slot of its hands table (number and turn stand for
#: actor and event), another process owes now.
SETTLED, RESTARTED, TERMINATED, CHILD_FAILED, TAKEN_OVER = range(5)

#: Body of `Kind.MOVED` in a reply pipe: the call, and the actor that is to answer it; the name of
#: that follows.
MOVED = struct.Struct("=QQQ")

#: Bytes of padding from which on the record is stamped, and bytes of a stamp.
STAMP = 8
#: Most messages that a stamped one may stand for: they are the stamp's lowest byte.
MOST_STANDING = 255

#: Most bytes that a record's body may have. (Where a pipe takes less in one piece than on Linux,
#: there are no pipes: all actors are in one process.)
BODY_LIMIT = max(select.PIPE_BUF, 4096) - FRAME.size

#: Flag: the encoded value is in a payload segment, and the body ends with its reference.
IN_SEGMENT = 1
#: Flag: the encoded value is followed by its out-of-band buffers (see `codec.join`).
WITH_BUFFERS = 2


class Record(NamedTuple):
    """What a record says; `body` is a view of the bytes that it was read from."""

    kind: int
    flags: int
    body: memoryview


class Kind(enum.IntEnum):
    """What a record is for."""

    ITEM = 1  #: a value in a mailbox used as a plain queue
    CALL = 2  #: an envelope for an actor
    STOP = 3  #: handle what came before, then stop
    NUDGE = 4  #: look at the control word (mailbox) or the spill directory (reply pipe)
    FENCE = 5  #: a process died: its unsent segments for this address may go
    RESULT = 6  #: a reply: the handler's result
    FAILURE = 7  #: a reply: the handler's exception
    VERDICT = 8  #: a reply by the supervisor: died, or stopped
    READY = 9  #: to the supervisor: an incarnation serves its mailbox from now on
    EVENT = 10  #: to a watcher: another actor was restarted, or has ended
    ITEMS = 11  #: of a stream: many plain items
    PICKLED = 12  #: of a stream: many small pickles
    LARGE = 13  #: of a stream: one item by itself
    CANCEL = 14  #: a reply: the message was not begun, since its caller had cancelled it
    MOVED = 15  #: in a black box: a CALL that is somebody else's now; in a reply pipe: whose
    LOG = 16  #: in the log pipe: a log record of an actor, or a piece of one
    TAP = 17  #: to an actor: a test has a hand in its messages from now on, or no more


#: Indexed by a body's size modulo eight.
PADDING = (b"", b"\0" * 7, b"\0" * 6, b"\0" * 5, b"\0" * 4, b"\0" * 3, b"\0" * 2, b"\0")
_STAMP = struct.Struct("=Q")
_unpack_stamp = _STAMP.unpack_from
_pack = FRAME.pack
_unpack = FRAME.unpack_from
_new = tuple.__new__  # past NamedTuple's own constructor, which costs as much as the rest


def frame(kind: int, flags: int, body: bytes) -> bytes:
    """Return the record of `body`, padded to a multiple of eight bytes."""
    size = len(body)
    padding = -size & 7
    return _pack(size + 8 + padding, kind, flags, padding) + body + PADDING[size & 7]


def parse(data: bytes | memoryview, at: int = 0) -> Record:
    """Return the record that begins at an offset of `data`."""
    length, kind, flags, padding = _unpack(data, at)
    return _new(Record, (kind, flags, memoryview(data)[at + 8 : at + length - padding]))


def parse_all(data: bytes | memoryview) -> Iterator[Record]:
    """Yield the records in `data`, which begins and ends with whole ones."""
    view, at = memoryview(data), 0
    while at < len(view):
        length, kind, flags, padding = _unpack(view, at)
        yield _new(Record, (kind, flags, view[at + 8 : at + length - padding]))
        at += length


def stamped(record: bytes, now: int, standing: int) -> bytes:
    """Return a record with a stamp, if there is room for one in it.

    Args:
        record: has none yet.
        now: nanoseconds of the monotonic clock.
        standing: how many messages it stands for, up to `MOST_STANDING`.
    """
    size, kind, flags, padding = _unpack(record)
    if size + STAMP > select.PIPE_BUF:
        return record
    front = _pack(size + STAMP, kind, flags, padding + STAMP)
    return front + record[FRAME.size :] + _STAMP.pack(now << 8 | standing)


def stamp_of(data: memoryview, end: int) -> tuple[int, int]:
    """Return when the stamped record that ends there was sent, and how many it stands for.

    In nanoseconds of the monotonic clock.
    """
    (word,) = _unpack_stamp(data, end - STAMP)
    return word >> 8, word & MOST_STANDING


def tap_record(name: str, argument: str) -> bytes:
    """Return the record that tells an actor of a tap; without an argument, of its end."""
    return frame(Kind.TAP, 0, f"{name}\n{argument}".encode())


def whole_records(data: bytes) -> Iterator[bytes]:
    """Yield the records in `data` as they are, with their frames."""
    at = 0
    while at < len(data):
        length = _unpack(data, at)[0]
        yield data[at : at + length]
        at += length
