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
import os
from typing import Any

from procactors.errors import StreamBroken
from procactors.runtime.stream_end import Adopted, Answered, Cause, Fed
from procactors.wire.record import Kind
from procactors.wire.replies.port import Answer
from procactors.wire.replies.sender import ReplySender
from procactors.wire.storage import find_file, write_file
from procactors.wire.streams.channel import Gone, large_name, open_for_reading
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
        self._claim = ""
        #: The new end is open, or there will be none.
        self.is_over = False
        transport.on_close(self._close)

    def deliver(self, _answer: Answer | None, _error: BaseException | None) -> None:
        """Let the old end go: the new one is open, or this process's part in the system is over."""
        self._close()
        self._transport.off_close(self._close)
        if isinstance(self._cause, Answered):
            self._cause.move()

    def cancel(self) -> None:
        """Close the stream, unless another process has it."""
        if self.is_over:
            return
        try:
            claim(self._transport.path, self._claim)
        except FileNotFoundError:
            return
        self.is_over = True
        self._cause.leave(is_closed=True)
        self._reader.close()

    def _close(self) -> None:
        self.is_over = True
        self._reader.chunks.clear()
        self._reader.ends.close()


def move(stream: Any) -> tuple[Any, ...]:
    """Return what is needed to read a stream on elsewhere (see `adopt`), and spend it.

    Raises:
        StreamBroken: it is over, closed, or has been sent on already.
    """
    with stream._turn:
        if stream._is_over:
            raise StreamBroken(f"a stream of {stream._name} that is over cannot be sent to others")
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
        handover = _Handover(transport, reader, stream._cause)
        reply, call = transport.expect(handover)
        end = None if not reader.is_over else (reader.error,)
        who = stream._cause._who if isinstance(stream._cause, Fed) else None
        handover._claim = f"{large_name(reader.ends.number, call)}.claim"
        write_file(transport.path, handover._claim)
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
        ends = open_for_reading(path, number)
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


def claim(path: str, name: str) -> None:
    """Take the right to read a stream.

    Raises:
        FileNotFoundError: somebody has it.
    """
    os.unlink(find_file(path, name))


def _travelling(chunk: Chunk) -> tuple[int, list[Any]]:
    values = list(chunk.values)
    if chunk.make is None:
        return _PLAIN, values
    return (_LARGE if values and isinstance(values[0], tuple) else _PICKLED), values


def _arrived(path: str, kind: int, values: list[Any]) -> Chunk:
    return Chunk(values, None if kind == _PLAIN else maker(path, is_large=kind == _LARGE))
