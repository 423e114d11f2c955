"""The ref as an event loop uses it: what blocks there, is awaited here.

Layer: runtime. Runs in: any process with an event loop.
Owns: nothing: it is a view of an `ActorRef`.
Never: blocks the loop; sends out of order what one loop sends to one actor.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NoReturn, ParamSpec, TypeVar, overload

from procactors.crash import ExitReason
from procactors.errors import (
    ActorStopped,
    AskCycleError,
    DeliveryError,
    ForeignProcess,
    MailboxFull,
)
from procactors.model import commands as c
from procactors.model.checks import deadline, patience
from procactors.model.choices import Overflow
from procactors.model.messages import Message
from procactors.runtime.awaited import Awaited, command
from procactors.runtime.client import Client
from procactors.runtime.lane import LANES, Sending, is_copying, send_later
from procactors.runtime.loop_port import LoopPort, port_here
from procactors.runtime.ref import ActorRef, PlainMessage
from procactors.runtime.reply import Reply
from procactors.wire.payload_store import LARGE
from procactors.wire.pickling.weight import is_light, weighs_less
from procactors.wire.replies.port import BEING_SENT
from procactors.wire.transport import SUPERVISOR, Transport, transport_of

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack  # for the type checker alone

    from procactors.runtime.stream import Stream
    from procactors.runtime.stream_end import Answered

    Ts = TypeVarTuple("Ts")

__all__ = ["AsyncActorRef"]

A_co = TypeVar("A_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")

#: Says "not given" where None has a meaning.
_UNSET: Any = object()

#: Tuples of `tell_many` that are sent at once: some 0.5 ms of a thread.
_FEW = 256
#: Bytes of a message that needs no segment for certain.
_IN_A_RECORD = 2048
#: Seconds that a stop without a time limit gives to what this loop has not sent yet.
_UNSENT_S = 10.0


class AsyncActorRef(Generic[A_co]):
    """Names one actor, for use in an event loop: the asyncio view of an `ActorRef` (`sync`).

    A value as that is: hashable, comparable, picklable; used from any number of loops at once. The
    calls mean what those of `ActorRef` mean. Messages of one loop to one actor are sent in the
    order of the calls. A payload of a megabyte or more is pickled and copied in a thread: do not
    change it until the call has returned (a `submit`: until its reply has come).

    Attributes:
        name: the actor's name.
        sync: the same for code that may block.
    """

    __slots__ = ("__weakref__", "name", "sync")

    name: str
    sync: ActorRef[A_co]

    def __init__(self, ref: ActorRef[A_co]) -> None:
        self.sync = ref
        self.name = ref.name

    # -- talking ------------------------------------------------------------------------------

    @overload
    async def tell(
        self, method: Callable[Concatenate[A_co, P], Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    @overload
    async def tell(self, message: Message[Any], /) -> None: ...
    @overload
    async def tell(self, message: PlainMessage, /) -> None: ...
    async def tell(self, what: Any, /, *args: Any, **kwargs: Any) -> None:
        """Send; no reply. Waits for a free place in a bounded mailbox (``Overflow.BLOCK``).

        Cancelled while it waits for a place, it does not send; in the midst of the copying of a
        large payload it may.

        Raises:
            What `ActorRef.tell` raises.
        """
        port = port_here()
        if (turn := port.enter()) is not None:
            await turn
        ref = self.sync
        endpoint = transport_of(ref._runtime_dir, ref.name)
        parcel = _Parcel(ref, endpoint, what, args, kwargs)
        if parcel.is_quick(port):
            try:
                parcel.tell(0.0)
            except MailboxFull:
                if ref._overflow is not Overflow.BLOCK:
                    raise
            else:
                return
        told = Awaited(port, endpoint)
        parcel.send_later(port, parcel.tell, told, is_told=True)
        await told

    async def tell_many(
        self,
        method: Callable[[A_co, Unpack[Ts]], Any],
        arguments: Iterable[tuple[Unpack[Ts]]],
        /,
    ) -> None:
        """Tell the actor one call of `method` for each tuple of arguments, in order.

        The tuples are taken in the loop's thread, a few at a time, and pickled and sent in a thread
        of the runtime; in between, other tasks may send to the same actor. Cancelled, it sends no
        more of them.

        Raises:
            What `ActorRef.tell_many` raises.
        """
        port, ref = port_here(), self.sync
        endpoint = transport_of(ref._runtime_dir, ref.name)
        each, sent = iter(arguments), 0
        while True:
            few: list[Any] = []
            try:
                few.extend(_next_few(each))
            finally:  # what the iterable has given is sent, whatever it raises then
                if few:
                    told = Awaited(port, endpoint)
                    many = _Parcels(ref, method, few, sent, told)
                    sent += len(few)
                    is_large = not _is_light_row(few[-1])
                    sending = Sending(many.tell, told, told.is_wanted, None, is_large=is_large)
                    send_later(port, (ref._runtime_dir, ref._actor), sending, endpoint)
                    await told
            if not few:
                return

    @overload
    async def ask(
        self,
        method: Callable[Concatenate[A_co, P], Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...
    @overload
    async def ask(
        self, method: Callable[Concatenate[A_co, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def ask(self, message: Message[R], /) -> R: ...
    @overload
    async def ask(self, message: PlainMessage, /) -> Any: ...
    async def ask(self, what: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Send, and wait for the reply; see `ActorRef.ask`.

        Cancelled, it gives up the reply, and cancels the message without a wait: if that has not
        begun, it never does; else its handler is told so (`Context.cancelled`).

        Raises:
            What `ActorRef.ask` raises; of circles of askers only one with this actor alone is seen.
        """
        port = port_here()
        if (turn := port.enter()) is not None:
            await turn
        ref = self.sync
        endpoint = transport_of(ref._runtime_dir, ref.name)
        if ref._actor == endpoint.actor != SUPERVISOR and not endpoint.is_concurrent:
            raise AskCycleError(
                f"{self.name} asks itself and would wait for ever; call the method, or use tell"
            )
        awaited = Awaited(port, endpoint)
        if not self._is_submitted(endpoint, awaited, what, args, kwargs):
            _Parcel(ref, endpoint, what, args, kwargs).submit_soon(port, awaited)
        try:
            return await awaited
        except BaseException:  # cancelled, or closed with its loop; or it is the answer
            if not awaited.is_wanted():
                awaited.want_no_more(ref._actor)
            raise

    @overload
    def submit(
        self,
        method: Callable[Concatenate[A_co, P], Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Reply[R]: ...
    @overload
    def submit(
        self, method: Callable[Concatenate[A_co, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Reply[R]: ...
    @overload
    def submit(self, message: Message[R], /) -> Reply[R]: ...
    @overload
    def submit(self, message: PlainMessage, /) -> Reply[Any]: ...
    def submit(self, what: Any, /, *args: Any, **kwargs: Any) -> Reply[Any]:
        """Send as `ask` does, and return the reply at once: await it, in this loop or another.

        What cannot be sent at once, for want of a place or since it is large, is sent by a thread
        of the runtime; if it is not sent in the end, the reply has the error. Cancelled by then, it
        is not sent.

        Raises:
            DeliveryError: it was not sent.
        """
        ref = self.sync
        endpoint = transport_of(ref._runtime_dir, ref.name)
        reply: Reply[Any] = Reply(endpoint, ref)
        if self._is_submitted(endpoint, reply, what, args, kwargs):
            return reply
        try:
            port = port_here()
        except RuntimeError:  # no loop runs here that could be blocked
            return ref.submit(what, *args, **kwargs)
        _Parcel(ref, endpoint, what, args, kwargs).submit_soon(port, reply)
        return reply

    @overload
    def stream(
        self,
        method: Callable[Concatenate[A_co, P], Iterator[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Stream[R]: ...
    @overload
    def stream(
        self,
        method: Callable[Concatenate[A_co, P], AsyncIterator[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Stream[R]: ...
    def stream(self, method: Any, /, *args: Any, **kwargs: Any) -> Stream[Any]:
        """Call a generator of the actor, and return the stream of what it yields.

        As `ActorRef.stream`, to be read by ``async for``. What cannot be sent at once, is sent by a
        thread of the runtime; if it is not sent in the end, the first item raises the error.

        Raises:
            What `ActorRef.stream` raises.
        """
        from procactors.runtime.streaming import open_stream  # only where it is used

        ref = self.sync
        try:
            port = port_here()
        except RuntimeError:  # no loop runs here that could be blocked
            return ref.stream(method, *args, **kwargs)

        def send(endpoint: Transport, channel: bytes, pending: Answered) -> None:
            _Parcel(ref, endpoint, method, args, kwargs, channel).submit_soon(port, pending)

        return open_stream(ref, method, args, kwargs, send)

    def options(
        self, *, timeout: float | None = _UNSET, buffer: int = _UNSET
    ) -> AsyncActorRef[A_co]:
        """Return a ref to the same actor with options of its own; see `ActorRef.options`."""
        given = {"timeout": timeout, "buffer": buffer}
        words: Any = {word: value for word, value in given.items() if value is not _UNSET}
        return AsyncActorRef(self.sync.options(**words))

    # -- life ---------------------------------------------------------------------------------

    async def stop(self, timeout: float | None = None) -> ExitReason:
        """Stop the actor behind everything sent to it so far; return how it ended.

        Cancelled, it is no longer waited for; the actor stops all the same, by the same deadline.

        Raises:
            What `ActorRef.stop` raises.
        """
        if timeout is not None:
            timeout = deadline("timeout", timeout)
        ref = self.sync
        endpoint = transport_of(ref._runtime_dir, ref.name)
        if ref._actor == endpoint.actor != SUPERVISOR:
            raise AskCycleError(f"{self.name} waits for its own end; use self.context.stop()")
        until = None if timeout is None else endpoint.now() + timeout
        await self._flush(endpoint, _UNSENT_S if timeout is None else timeout)
        endpoint.stop_in_order(ref._actor)
        left = None if until is None else max(0.0, until - endpoint.now())
        reason: ExitReason = await command(endpoint, c.Stop(ref._actor, left))
        return reason

    async def kill(self) -> ExitReason:
        """SIGKILL the actor and its process group, for good; return how it ended.

        Cancelled, it is no longer waited for.
        """
        reason: ExitReason = await self._command(c.Kill(self.sync._actor))
        return reason

    async def wait(self, timeout: float | None = None) -> ExitReason:
        """Wait until the actor has stopped for good; return how it ended.

        Raises:
            AskTimeout: it still lives after `timeout` seconds.
        """
        limit = patience("timeout", timeout)
        reason: ExitReason = await self._command(c.Wait(self.sync._actor), limit)
        return reason

    async def is_alive(self) -> bool:
        """Return whether the actor has not stopped for good (it may be between two lives)."""
        try:
            return (await self.status()).reason is None
        except (ActorStopped, ForeignProcess):
            return False

    async def status(self) -> c.ActorStatus:
        """Return what can be seen of the actor now, without a message to it."""
        status: c.ActorStatus = await self._command(c.Describe(self.sync._actor))
        return status

    # -- value --------------------------------------------------------------------------------

    if not TYPE_CHECKING:  # a checker would take it for leave to use any name

        def __getattr__(self, name: str) -> NoReturn:
            """Say how an actor's methods are called: a misspelled one never becomes a message."""
            if name in AsyncActorRef.__slots__:  # of one that is just being made
                raise AttributeError(name)
            raise AttributeError(self.sync._no_attribute(name), name=name, obj=self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AsyncActorRef):
            return NotImplemented
        return self.sync == other.sync

    def __hash__(self) -> int:
        return hash(self.sync)

    def __repr__(self) -> str:
        return f"<AsyncActorRef {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (AsyncActorRef, (self.sync,))

    # -- inside -------------------------------------------------------------------------------

    def _is_submitted(
        self,
        endpoint: Transport,
        pending: Awaited | Reply[Any],
        what: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> bool:
        """Send what may be sent at once by the first look; return whether that was done.

        The way of nearly every message, without what the others need.
        """
        if type(what) is not FunctionType or kwargs or LANES or not is_light(args):
            return False
        ref = self.sync
        method, encoded = ref._encode(endpoint, what, args, kwargs)
        try:
            endpoint.submit(ref._actor, ref.name, method, encoded, pending, ref._timeout, 0.0)
        except MailboxFull:
            if ref._overflow is not Overflow.BLOCK:
                raise
            return False
        return True

    async def _command(self, what: Any, timeout: float | None = None) -> Any:
        return await command(transport_of(self.sync._runtime_dir, self.name), what, timeout)

    async def _flush(self, endpoint: Transport, timeout: float) -> None:
        """Wait until what waits in this loop is sent, up to `timeout` seconds."""
        port, ref = port_here(), self.sync
        lane = port.lanes.get((ref._runtime_dir, ref._actor))
        if lane is None:
            return
        sent = Awaited(port, endpoint)
        mark = Sending(lambda _: None, sent, sent.is_wanted, None, is_told=True)
        if lane.put(mark):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(sent, timeout)


class _Parcels:
    """Some messages of a `tell_many`, on their way out of an event loop.

    Args:
        ref: of their receiver.
        method: of the receiver, that they call.
        arguments: a tuple for each.
        sent: how many were sent before them.
        told: waits until all are sent.
    """

    def __init__(
        self, ref: ActorRef[Any], method: Any, arguments: list[Any], sent: int, told: Awaited
    ) -> None:
        self._ref = ref
        self._method = method
        self._left = arguments
        self._sent = sent
        self._told = told
        #: Seconds that the first of those that are left has waited for its place.
        self._waited_s = 0.0

    def tell(self, wait_s: float) -> None:
        """Send those that are left; wait up to `wait_s` seconds for each one's place.

        Raises:
            MailboxFull: one of them had none in that time, and has more. Another DeliveryError: it
                ends here.
        """
        patience_s = self._ref._token_wait
        if patience_s is not None:
            wait_s = min(wait_s, patience_s - self._waited_s)
        try:
            self._ref._tell_many(self._method, self._wanted(), wait_s)
        except MailboxFull as error:
            self._waited_s = wait_s if error.sent else self._waited_s + wait_s
            self._count(error)
            if patience_s is None or self._waited_s < patience_s:
                raise
            self._told.deliver(None, error)
        except DeliveryError as error:
            self._count(error)
            raise
        else:
            self._told.deliver(None, None)

    def _wanted(self) -> Iterator[Any]:
        for args in self._left:
            if not self._told.is_wanted():
                return
            yield args

    def _count(self, error: DeliveryError) -> None:
        del self._left[: error.sent]
        self._sent += error.sent
        error.sent = self._sent


def _next_few(each: Iterator[Any]) -> Iterator[Any]:
    """Yield what may be sent together; nothing behind one that may be large."""
    for args in itertools.islice(each, _FEW):
        yield args
        if not _is_light_row(args):
            return


def _is_light_row(args: Any) -> bool:
    return isinstance(args, tuple) and is_light(args)


class _Parcel:
    """One message on its way out of an event loop."""

    __slots__ = ("_channel", "_encoded", "_is_large", "_message", "_ref", "endpoint")

    def __init__(
        self,
        ref: ActorRef[Any],
        endpoint: Transport,
        what: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        channel: bytes = b"",
    ) -> None:
        self._ref = ref
        #: Where the items of a stream go; else empty.
        self._channel = channel
        self._message: Any = what, args, kwargs
        self._encoded: Any = None
        self._is_large = False
        self.endpoint = endpoint

    def is_quick(self, port: LoopPort) -> bool:
        """Return whether it may be sent at once: nothing waits before it, and it is small."""
        ref = self._ref
        what, args, kwargs = self._message
        if kwargs or type(what) is not FunctionType or not is_light(args):
            self._is_large = not weighs_less(self._message, _limit())
        return not self._is_large and (ref._runtime_dir, ref._actor) not in port.lanes

    def tell(self, wait_s: float) -> None:
        """Send it without an answer; wait up to `wait_s` seconds for a place."""
        method, encoded = self._encode()
        ref, endpoint = self._ref, self.endpoint
        try:
            endpoint.tell(ref._actor, ref.name, method, encoded, wait_s)
        except MailboxFull as error:
            if ref._overflow is not Overflow.DROP:
                raise
            Client(endpoint).report_lost(ref._actor, method, encoded, str(error))

    def submit_soon(self, port: LoopPort, pending: Awaited | Reply[Any] | Answered) -> None:
        """Send it; what comes of it, or the reason why it is not sent, is handed to `pending`."""
        ref = self._ref
        # That of a stream is for each item.
        timeout = None if self._channel else ref._timeout
        if self.is_quick(port):
            try:
                self._submit(pending, timeout, 0.0)
            except MailboxFull:
                if ref._overflow is not Overflow.BLOCK:
                    raise
            else:
                return
        now = self.endpoint.now
        until = None if timeout is None else now() + timeout

        def submit(wait_s: float) -> None:
            left = None if until is None else max(0.0, until - now())
            # Shown first, looked up second: who cancels it does it the other way round.
            pending.call, is_sent = BEING_SENT, False
            try:
                if pending.is_wanted():
                    self._submit(pending, left, wait_s)
                    is_sent = True
            finally:
                if not is_sent:
                    pending.call = None
            if is_sent and isinstance(pending, Awaited) and not pending.is_wanted():
                pending.want_no_more(ref._actor)

        self.send_later(port, submit, pending)

    def send_later(
        self,
        port: LoopPort,
        attempt: Callable[[float], None],
        whose: Awaited | Reply[Any] | Answered,
        *,
        is_told: bool = False,
    ) -> None:
        """Have it sent by a thread, behind what waits for the same actor in this loop."""
        ref = self._ref
        if not self._is_large:
            self._encode()  # as it is now; a mistake is an error here
        sending = Sending(
            attempt,
            whose,
            whose.is_wanted,
            ref._token_wait,
            is_told=is_told,
            is_large=self._is_large,
            clock=self.endpoint.now,
        )
        send_later(port, (ref._runtime_dir, ref._actor), sending, self.endpoint)

    def _submit(
        self, pending: Awaited | Reply[Any] | Answered, timeout: float | None, wait_s: float
    ) -> None:
        method, encoded = self._encode()
        ref = self._ref
        self.endpoint.submit(ref._actor, ref.name, method, encoded, pending, timeout, wait_s)

    def _encode(self) -> Any:
        if self._encoded is None:
            what, args, kwargs = self._message
            if self._channel:
                from procactors.runtime.streaming import encode_streamed

                method, encoded = encode_streamed(self._ref, self.endpoint, what, args, kwargs)
                self._encoded = self._channel + method, encoded
            else:
                self._encoded = self._ref._encode(self.endpoint, what, args, kwargs)
        return self._encoded


def _limit() -> int:
    """Return the bytes from which a message is not sent in the loop's own thread."""
    # All segments have one lock: the loop is not to wait until a large payload is copied.
    return _IN_A_RECORD if is_copying() else LARGE
