"""The stream of an actor of this process, as its reader sees it.

Layer: api. Runs in: one process, the reader's thread.
Owns: its channel (`close`).
Never: travels: what is read here is read here.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from procactors.errors import AskCycleError, AskTimeout
from procactors.model.backends import unsupported
from procactors.runtime.stream import Stream
from procactors.runtime.streaming import check_streamed, encode_streamed
from procactors.wire.envelope import STREAM_KEY
from procactors.wire.transport import SUPERVISOR

if TYPE_CHECKING:
    from procactors.local.channel import Channel
    from procactors.local.transport import LocalTransport

__all__ = ["open_local_stream"]

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
    """Items of a generator in an actor of this process; see `Stream`."""

    def __init__(
        self,
        transport: LocalTransport,
        channel: Channel,
        forget: Callable[[], None],
        name: str,
        timeout: float | None,
    ) -> None:
        # Nothing of the base class's: there is no pipe.
        self._local = transport
        self._channel = channel
        self._forget = forget
        self._name = name
        self._timeout = timeout
        self._is_over = False
        self._loops = weakref.WeakSet()

    def __iter__(self) -> Iterator[T_co]:
        while not self._is_over:
            try:
                item = next(self)
            except StopIteration:
                return
            yield item

    def __next__(self) -> T_co:
        if self._is_over:
            raise StopIteration
        found = self._channel.take(self._timeout, self._name)
        if found is None:
            raise self._late()
        is_item, item = found
        if is_item:
            return item  # type: ignore[no-any-return]
        self._end()
        raise StopIteration

    def _late(self) -> AskTimeout:
        return AskTimeout(
            f"no item from {self._name} within {self._timeout} s; the stream is still open"
        )

    def _end(self) -> None:
        """Note the end, and raise it if it is an error."""
        self._is_over = True
        self._forget()
        answer, error = self._channel.answer or (None, None)
        if error is None and answer is not None:
            is_good, value = self._local.open(answer)
            error = None if is_good else value
        if error is not None:
            raise error

    def close(self) -> None:
        """Take no more items; the producer's generator is closed."""
        self._is_over = True
        self._channel.close()
        self._forget()

    async def _next(self, by: Any) -> T_co:
        from asyncio import CancelledError  # large, as what follows

        from procactors.api.local_item import next_item

        if self._is_over:
            raise StopAsyncIteration
        try:
            found = await next_item(self._local, self._channel, self._timeout)
        except (CancelledError, GeneratorExit):
            if by is not None:
                self._leave(by)
            raise
        if found is None:
            raise self._late()
        is_item, item = found
        if is_item:
            return item  # type: ignore[no-any-return]
        self._end()
        raise StopAsyncIteration

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # made in part
            if not self._is_over:
                self.close()

    def __repr__(self) -> str:
        return f"<Stream of {self._name}, {'over' if self._is_over else 'open'}>"

    def __reduce__(self) -> NoReturn:
        raise unsupported("moving", self._local.engine.name)


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
    number, channel = transport.channels.new(ref._credit())
    forget = lambda: transport.channels.forget(number)  # noqa: E731 - of one line
    stream: Stream[Any] = LocalStream(transport, channel, forget, ref.name, ref._timeout)
    prefix = STREAM_KEY + b"%016x:" % number
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
