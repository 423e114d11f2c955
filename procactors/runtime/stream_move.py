"""How a stream goes on in another process: its reading end is opened there, and closed here.

Layer: runtime. Runs in: the process that sends a stream on, and the one that receives it.
Owns: the old reading end, until the new one is open.
Never: leaves a moment in which nobody has the channel open: its writer would take it for closed.

    sender                                          receiver
    notes where it is, is spent   ── message ──►    opens the channel
    closes its end                ◄── answer ───    (reply, call) came with the message
"""

from __future__ import annotations

import contextlib
from typing import Any

from procactors.errors import StreamBroken
from procactors.runtime.stream_end import Adopted, Answered, Cause, Fed
from procactors.wire.record import Kind
from procactors.wire.replies.port import Answer
from procactors.wire.replies.sender import ReplySender
from procactors.wire.streams.channel import Gone, open_for_reading
from procactors.wire.streams.items import maker
from procactors.wire.streams.reader import Chunk, ItemReader
from procactors.wire.transport import Transport, transport_of

__all__ = ["adopt", "move"]

#: How what a chunk is made of travels: items as they are, pickles, files.
_PLAIN, _PICKLED, _LARGE = range(3)


class _Handover:
    """Holds the old end open until the new one is."""

    is_awaited = False

    def __init__(self, transport: Transport, reader: ItemReader, cause: Cause) -> None:
        self._transport = transport
        self._reader = reader
        self._cause = cause
        transport.on_close(self._close)

    def deliver(self, _answer: Answer | None, _error: BaseException | None) -> None:
        """Let the old end go: the new one is open, or this process's part in the system is over."""
        self._close()
        self._transport.off_close(self._close)
        if isinstance(self._cause, Answered):
            self._cause.move()

    def _close(self) -> None:
        self._reader.chunks.clear()
        self._reader.ends.close()


def move(stream: Any) -> tuple[Any, ...]:
    """Return what is needed to read a stream on elsewhere (see `adopt`), and spend it.

    Raises:
        StreamBroken: it is over, closed, or has been sent on already.
    """
    with stream._turn:
        if stream._is_spent or stream._is_over:
            how = "was sent on already" if stream._is_spent else "is over"
            raise StreamBroken(f"a stream of {stream._name} that {how} cannot be sent to others")
        reader, transport = stream._reader, stream._transport
        chunks = [_travelling(Chunk(list(stream._raw), stream._make))]
        reader.owed += reader._handed - len(chunks[0][1])
        chunks += map(_travelling, reader.chunks)
        stream._is_spent = True
        stream._left = stream._raw = iter(())
        transport.off_close(stream._on_close)
        handover = _Handover(transport, reader, stream._cause)
        reply, call = transport.expect(handover)
    end = None if not reader.is_over else (reader.error,)
    who = stream._cause._who if isinstance(stream._cause, Fed) else None
    return (
        transport.path,
        reader.ends.number,
        stream._actor,
        stream._name,
        (reader.buffer, reader.owed, chunks, reader._rest, end),
        (reply, call),
        who,
    )


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
        ends = open_for_reading(path, number)
    except Gone:
        raise StreamBroken(
            f"a stream of {name} came, but it is closed: the process that sent it has ended, or "
            f"the message was delivered before"
        ) from None
    buffer, owed, chunks, rest, end = state
    reader = ItemReader(ends, buffer, owed)
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
