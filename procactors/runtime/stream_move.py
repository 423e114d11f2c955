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
import threading
from time import monotonic
from typing import Any

from procactors.errors import StreamBroken
from procactors.runtime.probe import send_probe
from procactors.runtime.stream_end import Adopted, Answered, Cause, Fed
from procactors.wire.pickling.codec import ASKER, NeedsReceiver, receivers
from procactors.wire.record import Kind
from procactors.wire.replies.port import Answer
from procactors.wire.replies.sender import ReplySender
from procactors.wire.storage import find_file, write_file
from procactors.wire.streams.channel import (
    Gone,
    large_name,
    open_for_reading,
    remove_unheld,
)
from procactors.wire.streams.items import maker
from procactors.wire.streams.reader import Chunk, ItemReader
from procactors.wire.transport import Transport, transport_of

__all__ = ["adopt", "move"]

#: How what a chunk is made of travels: items as they are, pickles, files.
_PLAIN, _PICKLED, _LARGE = range(3)


#: Seconds behind which a probe is sent after a stream that nobody has opened, and between looks.
_PROBE_S, _LOOK_S = 1.0, 0.5


class _Handover:
    """Holds the old end open until the new one is.

    Args:
        transport: of this process.
        reader: has the old end.
        cause: of the stream's end.

    Attributes:
        claim: the file whose removal is the right to read on.
    """

    is_awaited = False
    call: int | None = None

    def __init__(self, transport: Transport, reader: ItemReader, cause: Cause) -> None:
        self._transport = transport
        self._reader = reader
        self._cause = cause
        self.claim = ""
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
            claim(self._transport.path, self.claim)
        except FileNotFoundError:
            return
        self._transport.off_close(self._close)
        self.is_over = True
        self._cause.leave(is_closed=True)
        self._reader.close()

    def watch(self, ref: Any) -> None:
        """See to it that the stream is closed if the message that it is in is never handled.

        Args:
            ref: of the message's receiver.
        """
        _watch.add(_Watched(self, self._transport, ref))

    def give_up(self) -> None:
        """Let the stream go: its receiver has passed the message, and has not told us."""
        self.cancel()
        self.deliver(None, None)

    def _close(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._reader.chunks.clear()
            self._reader.ends.close()
            # Its new reader may have died by now; a sweep has met us then.
            remove_unheld(self._transport.path, self._reader.ends.number)


class _Watched:
    """A handover, and the probe behind the message that it went with."""

    is_awaited = False
    call: int | None = None

    def __init__(self, handover: _Handover, transport: Transport, ref: Any) -> None:
        self._handover = handover
        self._transport = transport
        self._ref = ref
        self._due = monotonic() + _PROBE_S
        self._is_asked = self._is_passed = False

    def deliver(self, answer: Answer | None, _error: BaseException | None) -> None:
        """Take note that the actor has come to what was sent behind the stream."""
        self._is_passed = True
        if answer is not None:
            self._transport.discard(answer)

    def look(self) -> bool:
        """See how far it is; return whether it is over."""
        if self._handover.is_over:
            return True
        if self._is_passed:
            # Word of a receiver that has opened it came before the answer to the probe.
            self._handover.give_up()
            return True
        if not self._is_asked and monotonic() >= self._due:
            sent = send_probe(self._transport, self._ref, self)
            self._is_asked = sent is not False
            self._is_passed = sent is None
        return False


class _Watch:
    """All handovers of this process that went with a message; a thread while there are any."""

    def __init__(self) -> None:
        self._watched: list[_Watched] = []
        # Guards the list's end: what is added then begins another thread.
        self._lock = threading.Lock()
        self._is_running = False
        self._pause = threading.Event()  # never set

    def add(self, watched: _Watched) -> None:
        """Look after one."""
        with self._lock:
            self._watched.append(watched)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="procactors-handover", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._pause.wait(_LOOK_S)
            over = [one for one in list(self._watched) if one.look()]
            with self._lock:
                for one in over:
                    self._watched.remove(one)
                if not self._watched:
                    self._is_running = False
                    return


_watch = _Watch()


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
        handover = _Handover(transport, reader, stream._cause)
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
