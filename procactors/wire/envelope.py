"""The fixed header of a message or a reply: plain numbers that always load.

Layer: wire. Runs in: parent and actor.
Owns: nothing; pure functions over bytes.
Never: part of the user's pickle: a message that does not load must still get its error reply.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from time import monotonic_ns

from procactors.light_tuple import NamedTuple
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.codec import Encoded
from procactors.wire.record import BODY_LIMIT, EVENT, FRAME, PADDING, Kind, frame, stamped
from procactors.wire.sampler import MOST_TELLS

__all__ = [
    "ANSWER",
    "BATCH_KEY",
    "CALLS",
    "CALL_ID",
    "HEADER_BYTES",
    "STREAM_KEY",
    "TRACE",
    "WHOLE",
    "Envelope",
    "bare",
    "build_event",
    "build_message",
    "handler_name",
    "open_envelope",
    "rebuild_message",
    "tell_builder",
    "traced",
    "untraced",
]

_HEADER = struct.Struct("=QQQdH")
#: A reply's header: the id of the call that it answers.
CALL_ID = struct.Struct("=Q")
#: Frame and a reply's header in one.
ANSWER = struct.Struct("=IBBHQ")

#: Frame and header in one: length, kind, flags, padding, call, reply, sender, deadline, length of
#: the method's name. The name follows, then the payload.
WHOLE = struct.Struct("=IBBHQQQdH")

#: First byte of the method's name of a pool's batch.
BATCH_KEY = b"*"
#: First byte of that of a generator's, whose items go to a channel: the channel's number follows,
#: in 16 hexadecimal digits, then a colon and the method.
STREAM_KEY = b"~"

#: Between a method and the trace context that its message travels with. Here, and not in the
#: payload: so it goes along where a message is forwarded, put aside or given up, and a message
#: without one is not asked for it.
TRACE = b"@\0"
#: Stands for `receive`, whose name is empty, before a trace context.
_RECEIVE = b"\0"
#: Methods compare above this, a message for `receive` below it, with a trace context or without.
CALLS = b"\1"

#: Longest pickle whose frame is kept for the next one of its length: some 30 KB a method at most.
_SHORT = 255

_CALL = int(Kind.CALL)
_pack = _HEADER.pack
_pack_frame = FRAME.pack
_pack_whole = WHOLE.pack
_unpack = _HEADER.unpack_from
#: Bytes of a message's header, without the method's name.
HEADER_BYTES = _SIZE = _HEADER.size


class Envelope(NamedTuple):
    """What is known of a message without unpickling it.

    Attributes:
        call: id of the call in the caller's process; 0 for a tell.
        reply: number of the caller's reply pipe; 0 for a tell.
        sender: id of the actor that sent it; 0 is the main program.
        deadline: monotonic instant until which the caller waits; 0.0 is for ever.
        method: ``module:qualname`` of the method, ``:name``, or empty for `receive`; behind a
            ``*`` what a pool's batch calls; behind a ``~`` a channel and what streams into it;
            behind an ``@`` what its code is; behind `TRACE` a trace context.
        payload: the encoded arguments or message (see `PayloadStore.open`).
    """

    call: int
    reply: int
    sender: int
    deadline: float
    method: bytes
    payload: memoryview

    @property
    def handler(self) -> str:
        """Name of the handler, for people."""
        return handler_name(self.method)


def handler_name(method: bytes) -> str:
    """Return the name of a handler, for people."""
    return method.decode().lstrip("*\0").rpartition(":")[2].partition("@")[0] or "receive"


def traced(method: bytes, context: bytes) -> bytes:
    """Return a method as it travels with a trace context, which has no ``:`` in it."""
    return (method or _RECEIVE) + TRACE + context


def untraced(method: bytes) -> tuple[bytes, bytes]:
    """Return (the method, the trace context that it travels with); the latter may be empty."""
    own, _, context = method.partition(TRACE)
    return b"" if own == _RECEIVE else own, context


def bare(method: bytes) -> bytes:
    """Return a method without the trace context that it travels with."""
    return untraced(method)[0]


def build_message(
    store: PayloadStore,
    target: int,
    method: bytes,
    encoded: Encoded,
    call: int = 0,
    reply: int = 0,
    sender: int = 0,
    deadline: float = 0.0,
) -> bytes:
    """Return the record of a message for the actor `target`."""
    head, buffers = encoded
    length = len(method)
    size = _SIZE + length + len(head)
    if not buffers and size <= BODY_LIMIT:
        # The way of nearly every message, in one piece: `frame` and `PayloadStore.record` once more
        # would cost 1 of 5 microseconds.
        padding = -size & 7
        return (
            _pack_whole(
                size + 8 + padding, _CALL, 0, padding, call, reply, sender, deadline, length
            )
            + method
            + head
            + PADDING[size & 7]
        )
    header = _pack(call, reply, sender, deadline, length) + method
    return store.record(Kind.CALL, header, encoded, target)


def build_event(
    store: PayloadStore, what: int, actor: int, number: int, facts: tuple[object, ...] | None
) -> bytes:
    """Return the record that tells a watcher what has become of another actor.

    Args:
        store: encodes the facts.
        what: as `record.EVENT` lists it.
        actor: of whom it tells.
        number: the event's, in the system.
        facts: the particulars; they fit into a record. None: there are none.
    """
    body = EVENT.pack(what, actor, number)
    if facts is not None:
        body += store.encode(facts).head
    assert len(body) <= BODY_LIMIT
    return frame(Kind.EVENT, 0, body)


def rebuild_message(envelope: Envelope, flags: int = 0) -> bytes:
    """Return the record of a message whose payload is encoded already, or that has none.

    Args:
        envelope: the message's.
        flags: how its payload is encoded.
    """
    call, reply, sender, deadline, method, payload = envelope
    header = _pack(call, reply, sender, deadline, len(method)) + method
    return frame(Kind.CALL, flags, header + payload)


def tell_builder(method: bytes, sender: int, is_stamped: bool = False) -> Callable[[bytes], bytes]:
    """Return what makes the record of a tell out of its pickle, which must fit into a record.

    Args:
        method: as it travels.
        sender: id of the actor that sends.
        is_stamped: some of them are stamped, by the rule of `sampler`.

    For many tells of one method: `build_message` would make the same header anew for each. All
    pickles of one length have the same bytes around them: they are kept for the short ones.
    """
    header = _pack(0, 0, sender, 0.0, len(method)) + method
    fixed = len(header)
    kept: dict[int, tuple[bytes, bytes]] = {}
    # Tells up to the next one that is stamped, and for how many that stands; 0: none ever is.
    left = standing = int(is_stamped)

    def around(length: int) -> tuple[bytes, bytes]:
        size = fixed + length
        padding = -size & 7
        made = _pack_frame(size + 8 + padding, _CALL, 0, padding) + header, PADDING[size & 7]
        if length <= _SHORT:
            kept[length] = made
        return made

    def build(head: bytes) -> bytes:
        nonlocal left
        length = len(head)
        front, end = kept.get(length) or around(length)
        left -= 1
        if left:
            return front + head + end
        return stamp(front + head + end)

    def stamp(record: bytes) -> bytes:
        nonlocal left, standing
        record = stamped(record, monotonic_ns(), standing)
        left = standing = min(2 * standing, MOST_TELLS)
        return record

    return build


def open_envelope(body: memoryview) -> Envelope:
    """Read the header of a message's record."""
    call, reply, sender, deadline, length = _unpack(body)
    start = _SIZE + length
    return Envelope(call, reply, sender, deadline, bytes(body[_SIZE:start]), body[start:])
