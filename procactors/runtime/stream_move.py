"""How a stream goes on in another process: its reading end is opened there, and closed here.

Layer: runtime. Runs in: the process that sends a stream on, and the one that receives it.
Owns: nothing: the old reading end is its handover's.
Never: leaves a moment in which nobody has the channel open: its writer would take it for closed.

    sender                                          receiver
    notes where it is, is spent   ── message ──►    opens the channel
    closes its end                ◄── answer ───    (reply, call) came with the message
"""

from __future__ import annotations

import contextlib
from typing import Any

from procactors.errors import StreamBroken
from procactors.runtime.handover import Handover, claim
from procactors.runtime.stream_end import Adopted, Cause, Fed
from procactors.wire.pickling.codec import ASKER, NeedsReceiver, receivers
from procactors.wire.record import Kind
from procactors.wire.replies.sender import ReplySender
from procactors.wire.storage import write_file
from procactors.wire.streams.channel import (
    Gone,
    large_name,
    open_for_reading,
)
from procactors.wire.streams.items import maker
from procactors.wire.streams.reader import Chunk, ItemReader
from procactors.wire.transport import Transport, transport_of

__all__ = ["adopt", "move"]

#: How what a chunk is made of travels: items as they are, pickles, files.
_PLAIN, _PICKLED, _LARGE = range(3)


def move(stream: Any) -> tuple[Any, ...]:
    """Return what is needed to read a stream on elsewhere (see `adopt`), and spend it.

    Raises:
        StreamBroken: it is over, closed, has been sent on already, or a task waits for its items.
    """
    receiver = receivers.receiver
    if receiver is None:
        raise NeedsReceiver(
            f"a stream of {stream._name} goes to another process of its system as an argument of "
            f"tell, ask, submit or stream, or as a result: it cannot be pickled in another way"
        )
    with stream._turn:
        if stream._is_over:
            raise StreamBroken(f"a stream of {stream._name} that is over cannot be sent to others")
        if stream._tasks:
            raise StreamBroken(
                f"a task waits for the items of this stream of {stream._name}: cancel its `anext` "
                f"before you send the stream on"
            )
        if stream._moved is not None:
            if stream._moved[0].is_over:
                raise StreamBroken(
                    f"a stream of {stream._name} that was sent on cannot be sent to others, too"
                )
            parts: tuple[Any, ...] = stream._moved[1]
            return parts  # pickled anew, since something beside it needed another way
        reader, transport = stream._reader, stream._transport
        chunks = [_travelling(Chunk(list(stream._raw), stream._make))]
        reader.owed += reader._handed - len(chunks[0][1])
        chunks += map(_travelling, reader.chunks)
        stream._left = stream._raw = iter(())
        transport.off_close(stream._on_close)
        handover = Handover(transport, reader, stream._cause)
        reply, call = transport.expect(handover)
        end = None if not reader.is_over else (reader.error,)
        who = stream._cause._who if isinstance(stream._cause, Fed) else None
        handover.claim = f"{large_name(reader.ends.number, call)}.claim"
        write_file(transport.path, handover.claim)
        parts = (
            transport.path,
            reader.ends.number,
            stream._actor,
            stream._name,
            (reader.buffer, reader.owed, chunks, reader._rest, end),
            (reply, call),
            who,
        )
        stream._moved = handover, parts
        if receiver is not ASKER:
            receiver.hand_over(handover)
    return parts


def adopt(
    path: str,
    number: int,
    actor: int,
    name: str,
    state: tuple[Any, ...],
    handover: tuple[int, int],
    who: str | None,
) -> tuple[Transport, ItemReader, Cause]:
    """Open the reading end of a stream that another process had so far; tell that process.

    Args:
        path: the runtime directory.
        number: the channel's.
        actor: id of the producer.
        name: its name.
        state: of the reader.
        handover: where the old reader waits for word.
        who: feeds the stream; None: the actor does.

    Raises:
        StreamBroken: it is closed.
    """
    transport = transport_of(path, name)
    try:
        ends = open_for_reading(path, number, is_handed_over=True)
        try:
            # Whoever removes it has the stream: a message may come twice, or be sent to two.
            claim(path, f"{large_name(number, handover[1])}.claim")
        except FileNotFoundError:
            ends.close()
            raise Gone from None
    except Gone:
        raise StreamBroken(
            f"a stream of {name} came that is closed, or that another process reads: its sender "
            f"has ended, or the message was delivered before, or sent to two"
        ) from None
    buffer, owed, chunks, rest, end = state
    reader = ItemReader(ends, buffer, owed, is_fed=who is not None)
    reader.chunks.extend(_arrived(path, *chunk) for chunk in chunks if chunk[1])
    reader.set_rest(rest, end)
    sender = ReplySender(transport.store)
    try:
        with contextlib.suppress(OSError):  # the old reader is gone, and its end with it
            sender.answer(*handover, Kind.RESULT, None)
    finally:
        sender.close()
    return transport, reader, Adopted(transport, actor, name) if who is None else Fed(who)


def _travelling(chunk: Chunk) -> tuple[int, list[Any]]:
    values = list(chunk.values)
    if chunk.make is None:
        return _PLAIN, values
    return (_LARGE if values and isinstance(values[0], tuple) else _PICKLED), values


def _arrived(path: str, kind: int, values: list[Any]) -> Chunk:
    return Chunk(values, None if kind == _PLAIN else maker(path, is_large=kind == _LARGE))
