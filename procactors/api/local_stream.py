"""The stream of an actor of this process, as its reader sees it.

Layer: api. Runs in: one process, the reader's threads.
Owns: its channel (`close`), until it is sent on.
Never: waits otherwise than by the engine.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from procactors.errors import AskCycleError, AskTimeout, StreamBroken
from procactors.local.here import here
from procactors.runtime.stream import Stream
from procactors.runtime.streaming import check_streamed, encode_streamed
from procactors.stored import stored
from procactors.wire.envelope import STREAM_KEY
from procactors.wire.pickling.codec import NeedsReceiver, receivers
from procactors.wire.transport import SUPERVISOR, transport_of

if TYPE_CHECKING:
    from procactors.local.channel import Channel
    from procactors.local.transport import LocalTransport

__all__ = ["LocalStream", "open_local_stream"]

T_co = TypeVar("T_co", covariant=True)


class _Ended:
    """Takes the answer to the generator's call."""

    is_awaited = True
    call: int | None = None

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def deliver(self, answer: Any, error: BaseException | None) -> None:
        """Note the end."""
        if answer is not None or error is not None:  # else its call was sent
            self._channel.end(answer, error)

    def is_wanted(self) -> bool:
        """Whether the call, if it is not sent yet, is still to be sent."""
        return not self._channel.is_closed


class LocalStream(Stream[T_co]):
    """Items of a generator in an actor of this process, or of a feed; see `Stream`.

    Args:
        transport: the system's.
        channel: what it reads.
        name: the producer's.
        timeout: seconds for which an item is waited for; None: for ever.
    """

    def __init__(
        self, transport: LocalTransport, channel: Channel, name: str, timeout: float | None
    ) -> None:
        # Nothing of the base class's: there is no pipe.
        self._local = transport
        self._channel = channel
        self._name = name
        self._timeout = timeout
        self._is_over = False
        #: Number of the move by which it was sent on; 0: it was not.
        self._move = 0
        life = here.life
        #: Whose it is: with that life, it ends.
        self._life = life if life is not None and life.transport is transport else None
        transport.channels.read_by(self._life, channel)
        #: The ``async for`` loops over it.
        self._loops = weakref.WeakSet()

    def __iter__(self) -> Iterator[T_co]:
        while True:
            try:
                item = next(self)
            except StopIteration:
                return
            yield item

    def __next__(self) -> T_co:
        if self._move:
            raise self._is_elsewhere()
        if self._is_over:
            raise StopIteration
        return self._taken(self._channel.take(self._timeout, self._name), StopIteration)

    def _is_elsewhere(self) -> StreamBroken:
        return StreamBroken(f"this stream of {self._name} was sent on: the receiver reads it")

    def _taken(self, found: Any, over: type[Exception]) -> T_co:
        """Return an item that was taken of the channel; at the end raise its error, or `over`."""
        if found is None:
            raise AskTimeout(
                f"no item from {self._name} within {self._timeout} s; the stream is still open"
            )
        is_item, item = found
        if is_item:
            return item  # type: ignore[no-any-return]
        self._end()
        raise over

    def _end(self) -> None:
        """Note the end, and raise it if it is an error."""
        self._is_over = True
        self._let_go()
        answer, error = self._channel.take_end()
        if error is None and answer is not None:
            is_good, value = self._local.open(answer)
            error = None if is_good else value
        if error is not None:
            raise error

    def _let_go(self) -> None:
        self._local.channels.forget(self._channel.number)
        self._local.channels.left(self._life, self._channel.number)

    def close(self) -> None:
        """Take no more items; the producer's generator is closed."""
        if self._move:
            self._channel.dropped(self._move)
            return
        self._is_over = True
        self._channel.close()
        self._let_go()

    async def _next(self, by: Any) -> T_co:
        from asyncio import CancelledError  # large, as what follows

        from procactors.api.local_item import next_item

        if self._move:
            raise self._is_elsewhere()
        if self._is_over:
            raise StopAsyncIteration
        try:
            found = await next_item(self._local, self._channel, self._timeout)
        except (CancelledError, GeneratorExit):
            if by is not None:
                self._leave(by)
            raise
        return self._taken(found, StopAsyncIteration)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # made in part
            if not self._is_over and not self._move:
                self.close()

    def __repr__(self) -> str:
        state = "sent on" if self._move else "over" if self._is_over else "open"
        return f"<Stream of {self._name}, {state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if receivers.receiver is None:
            raise NeedsReceiver(
                f"a stream of {self._name} goes to another actor of its system as an argument of "
                f"tell, ask, submit or stream, or as a result: it cannot be pickled in another way"
            )
        if not self._move or not self._channel.is_under_way(self._move):
            self._send_on()
        transport = self._local
        transport.store.carries(self._channel, self._move)
        about = transport.path, self._channel.number, self._move, self._name, self._timeout
        return _adopt_local_stream, about

    def _send_on(self) -> None:
        if self._move:
            raise StreamBroken(
                f"a stream of {self._name} that was sent on cannot be sent to others, too"
            )
        if self._is_over:
            raise StreamBroken(f"a stream of {self._name} that is over cannot be sent to others")
        self._move = self._channel.send_on()
        self._local.channels.left(self._life, self._channel.number)


@stored
def _adopt_local_stream(
    path: str, number: int, move: int, name: str, timeout: float | None
) -> Stream[Any]:
    """Return the stream that another life, or the program, had so far."""
    transport: Any = transport_of(path, name)
    channel = transport.channels.find(number)
    if channel is None or not channel.open(move):
        raise StreamBroken(
            f"a stream of {name} came that is closed, or that another actor reads: its sender has "
            f"ended, or the message was delivered before, or sent to two"
        )
    return LocalStream(transport, channel, name, timeout)


def open_local_stream(
    transport: Any,
    ref: Any,
    what: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    send: Callable[[Any, bytes, Any], None] | None = None,
) -> Stream[Any]:
    """Ask for the items of a generator; return the stream of them (see `ActorRef.stream`)."""
    if ref._actor == transport.actor != SUPERVISOR and send is None:
        raise AskCycleError(
            f"{ref.name} would wait for its own items for ever; call the generator itself"
        )
    transport.check_process()
    call = None
    if send is None:
        call = encode_streamed(ref, transport, what, args, kwargs)
    else:
        check_streamed(ref, what, args, kwargs)
    channel = transport.channels.new(ref._credit())
    stream: Stream[Any] = LocalStream(transport, channel, ref.name, ref._timeout)
    prefix = STREAM_KEY + b"%016x:" % channel.number
    try:
        if send is not None:
            send(transport, prefix, _Ended(channel))
        elif call is not None:
            key, encoded = prefix + call[0], call[1]
            transport.submit(
                ref._actor, ref.name, key, encoded, _Ended(channel), None, ref._token_wait
            )
    except BaseException:
        stream.close()
        raise
    return stream
