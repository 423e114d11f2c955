"""The ref: how a process names an actor and talks to it.

Layer: runtime. Runs in: parent and actor.
Owns: nothing: a ref is a value; what it opens belongs to the process's endpoint.
Never: guesses: a misspelled method must be an error, not a message.
"""

from __future__ import annotations

import enum
import functools
import sys
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Set as AbstractSet,
)
from types import FunctionType, MethodType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Concatenate,
    Generic,
    NoReturn,
    ParamSpec,
    Protocol,
    TypeVar,
    Union,
    cast,
    overload,
)

from procactors.errors import (
    ActorStopped,
    AskCycleError,
    DeliveryError,
    ForeignProcess,
    MailboxFull,
    UnknownMethod,
)
from procactors.late import late
from procactors.model.checks import deadline, patience, suggestion, whole
from procactors.model.choices import Overflow
from procactors.runner.method_table import Method, is_method_reference, key_of, table_of
from procactors.runtime.client import Client
from procactors.runtime.crossing import originals, ref_there
from procactors.stored import stored
from procactors.wire.pickling.codec import Encoded, NeedsReceiver, receivers
from procactors.wire.pickling.plain import encode_plain
from procactors.wire.replies.reader import NOT_SENT
from procactors.wire.storage import too_many_open
from procactors.wire.transport import SUPERVISOR, Transport, known_transport, transport_of

if TYPE_CHECKING:
    import dataclasses

    from typing_extensions import TypeVarTuple, Unpack  # for the type checker alone

    from procactors.crash import ExitReason
    from procactors.model import commands as c
    from procactors.model.messages import Message
    from procactors.runtime import reply as futures
    from procactors.runtime.async_ref import AsyncActorRef
    from procactors.runtime.reply import Reply
    from procactors.runtime.stream import Stream

    Ts = TypeVarTuple("Ts")
else:
    c = late("procactors.model.commands")
    futures = late("procactors.runtime.reply")

__all__ = ["ActorRef"]

A_co = TypeVar("A_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")

#: Says "not given" where None has a meaning.
_UNSET: Any = object()

#: Items of a stream that may be under way unless the ref says otherwise: as few as let both sides
#: work at the same time, since what is under way takes memory. And the most that it may say.
_BUFFER, _MOST_BUFFER = 64, 1_000_000


class _DataclassValue(Protocol):
    """Any instance of a dataclass, for the type checker alone."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


#: What a type checker accepts as a message besides ``Message[R]``. A closed union, never
#: ``object``: with ``object`` a misspelled method would pass as a message.
PlainMessage = Union[
    _DataclassValue,
    enum.Enum,
    str,
    bytes,
    bytearray,
    int,
    float,
    complex,
    None,
    Sequence[Any],
    Mapping[Any, Any],
    AbstractSet[Any],
    "ActorRef[Any]",
]


class ActorRef(Generic[A_co]):
    """Names one actor, not one incarnation of it: it stays good across restarts.

    A ref is a value: hashable, comparable, picklable. It may travel in messages and is used the
    same way in every actor of the system.

    Attributes:
        name: the actor's name.
    """

    __slots__ = (
        "__weakref__",
        "_actor",
        "_buffer",
        "_overflow",
        "_runtime_dir",
        "_table",
        "_timeout",
        "_token_wait",
        "name",
    )

    name: str
    _buffer: int

    def __init__(
        self,
        runtime_dir: str,
        actor: int,
        name: str,
        overflow: Overflow,
        cls: type | None = None,
        timeout: float | None = None,
    ) -> None:
        self.name = name
        self._runtime_dir = runtime_dir
        self._actor = actor
        self._overflow = overflow
        #: Known where the actor was spawned: there a wrong call is found before it is sent.
        self._table = None if cls is None else table_of(cls)
        self._timeout = timeout
        #: Seconds that a send waits for a token of a bounded mailbox.
        self._token_wait = timeout if overflow is Overflow.BLOCK else 0.0

    # -- talking ------------------------------------------------------------------------------

    @overload
    def tell(
        self, method: Callable[Concatenate[A_co, P], Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    @overload
    def tell(self, message: Message[Any], /) -> None: ...
    @overload
    def tell(self, message: PlainMessage, /) -> None: ...
    def tell(self, what: Any, /, *args: Any, **kwargs: Any) -> None:
        """Send and go on; no reply.

        Does not block, but for a free place in a bounded mailbox (``Overflow.BLOCK``). The value
        is pickled before this returns. Delivery is at most once unless the actor says otherwise,
        in sending order for each sending thread; the message survives the actor's death while it
        waits. A handler that raises ends the actor as a crash does, and the message goes to the
        dead letters.

        Raises:
            DeliveryError: it was not sent; sending again is safe.
            TypeError: the method does not take these arguments.
        """
        endpoint = known_transport(self._runtime_dir) or transport_of(self._runtime_dir, self.name)
        method, encoded = self._encode(endpoint, what, args, kwargs)
        try:
            endpoint.tell(self._actor, self.name, method, encoded, self._token_wait)
        except MailboxFull as error:
            self._drop(endpoint, method, encoded, error)

    def tell_many(
        self,
        method: Callable[[A_co, Unpack[Ts]], Any],
        arguments: Iterable[tuple[Unpack[Ts]]],
        /,
    ) -> None:
        """Tell the actor one call of `method` for each tuple of arguments, in order.

        Each is a message by itself, as if sent by `tell`, but many go in one write. So the last
        few, 4 KiB at most, wait for what the iterable yields next. A full pipe is waited for as
        long as the actor makes room, up to 0.02 s once; what has no room then waits in this
        process's memory, as after a `tell`. A bounded mailbox has a place for each, one after the
        other.

        When something is raised in the middle (by the iterable, by arguments that do not fit or
        cannot be pickled, by a full mailbox), what came before it is sent, and what comes behind
        it is not.

        Args:
            method: of the actor's class.
            arguments: a tuple of positional arguments for each message.

        Raises:
            DeliveryError: not all were sent; ``error.sent`` says how many were.
            TypeError: the method does not take these arguments, or they are no tuple.
        """
        self._tell_many(method, arguments, self._token_wait)

    def _tell_many(
        self, method: Any, arguments: Iterable[tuple[Any, ...]], wait_s: float | None
    ) -> None:
        """Tell many; wait up to `wait_s` seconds for each one's place."""
        endpoint = known_transport(self._runtime_dir) or transport_of(self._runtime_dir, self.name)
        if not is_method_reference(method):
            raise TypeError(
                f"expected a method of the actor before the tuples of arguments, found {method!r}; "
                f"messages as values are told one by one"
            )
        found = None if self._table is None else self._table.method(method)
        key = key_of(method) if found is None else found.key
        messages = _encoded_each(endpoint, found, arguments)
        if self._overflow is not Overflow.DROP:
            endpoint.tell_many(self._actor, self.name, key, messages, wait_s)
            return
        sent = 0
        try:
            for encoded in messages:
                endpoint.check_copy()  # the iterable may have forked
                try:
                    endpoint.tell(self._actor, self.name, key, encoded, wait_s)
                    sent += 1
                except MailboxFull as error:
                    self._drop(endpoint, key, encoded, error)
        except DeliveryError as error:
            error.sent += sent
            raise

    @overload
    def ask(
        self,
        method: Callable[Concatenate[A_co, P], Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...
    @overload
    def ask(
        self, method: Callable[Concatenate[A_co, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    def ask(self, message: Message[R], /) -> R: ...
    @overload
    def ask(self, message: PlainMessage, /) -> Any: ...
    def ask(self, what: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Send, and wait for the reply.

        Blocks until the reply or an error: without a timeout too, it ends within a second of the
        actor's death. What the handler raises is raised here as itself, its remote traceback
        as the ``__cause__``; the actor lives on.

        Raises:
            DeliveryError: not handled; sending again is safe.
            ReplyError: may have been handled: `ActorDied`, `AskTimeout`, ...
            AskCycleError: the actors would wait for each other for ever.
        """
        endpoint = known_transport(self._runtime_dir) or transport_of(self._runtime_dir, self.name)
        if self._actor == endpoint.actor != SUPERVISOR:
            raise AskCycleError(
                f"{self.name} asks itself and would wait for ever; call the method, or use tell"
            )
        method, encoded = self._encode(endpoint, what, args, kwargs)
        return endpoint.ask(
            self._actor, self.name, method, encoded, self._timeout, self._token_wait
        )

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
        """Send as `ask` does, and return the reply as a future at once.

        Raises:
            DeliveryError: it was not sent.
        """
        endpoint = known_transport(self._runtime_dir) or transport_of(self._runtime_dir, self.name)
        method, encoded = self._encode(endpoint, what, args, kwargs)
        try:
            reply: Reply[Any] = futures.Reply(endpoint, self)
        except OSError as error:  # its module is loaded with the first one
            raise too_many_open("a reply", error, NOT_SENT) from error
        endpoint.submit(
            self._actor, self.name, method, encoded, reply, self._timeout, self._token_wait
        )
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

        Does not block, but for a free place in a bounded mailbox. The generator runs in its turn,
        as a message in hand, until it is exhausted or the stream is closed; it is held where
        ``buffer`` items wait here (see `options`), so a slow reader bounds what is in memory. A
        stream that has begun is never begun again, whatever the actor's ``delivery`` is. The ref's
        ``timeout`` is the time that an item may take.

        Raises:
            DeliveryError: it was not sent. UnknownMethod: the method is no generator. TypeError:
                it does not take these arguments.
        """
        from procactors.runtime.streaming import open_stream  # only where it is used

        return open_stream(self, method, args, kwargs)

    def options(self, *, timeout: float | None = _UNSET, buffer: int = _UNSET) -> ActorRef[A_co]:
        """Return a ref to the same actor with options of its own.

        Args:
            timeout: seconds that an `ask` or `submit` waits for its reply, a stream for its next
                item, and any send for a free place; None waits for ever.
            buffer: items of a `stream`, and of what is fed to the actor, that may be under way:
                made and not yet taken; 64 if not given.

        Raises:
            InvalidSpec: a timeout that is no number of seconds, a buffer that is no whole number
                from 1 to 1,000,000.
        """
        if timeout is _UNSET:
            timeout = self._timeout
        timeout = patience("timeout", timeout)
        cls = None if self._table is None else self._table.cls
        ref: ActorRef[A_co] = ActorRef(
            self._runtime_dir, self._actor, self.name, self._overflow, cls, timeout
        )
        ref._buffer = (
            self._credit() if buffer is _UNSET else whole("buffer", buffer, 1, _MOST_BUFFER)
        )
        return ref

    def proxy(self) -> A_co:
        """Return an object with the actor's methods: ``proxy.increment(2)`` is an ask.

        ``proxy.submit.increment(2)`` returns the reply as a future; a type checker, to which a
        proxy is the actor itself, does not know it, as it knows ``ref.submit(Class.method, ...)``.
        """
        return cast("A_co", _Proxy(self, self.ask))

    @property
    def aio(self) -> AsyncActorRef[A_co]:
        """The same ref for an event loop: what blocks here, is awaited there."""
        from procactors.runtime.async_ref import AsyncActorRef  # only where it is used

        return AsyncActorRef(self)

    # -- life ---------------------------------------------------------------------------------

    def stop(self, timeout: float | None = None) -> ExitReason:
        """Stop the actor behind everything sent to it so far; return how it ended.

        Blocks until it is gone. Messages that this process has sent are handled first, then
        `on_stop` runs. At ``timeout`` seconds (None: the actor's ``stop_timeout``) it is killed,
        after a SIGTERM shortly before; what it did not handle becomes dead letters, and asks
        among it end with `ActorStopped`. Stopping twice is no error.

        Raises:
            AskCycleError: the actor stops itself: use ``self.context.stop()``.
        """
        if timeout is not None:
            timeout = deadline("timeout", timeout)
        endpoint = transport_of(self._runtime_dir, self.name)
        if self._actor == endpoint.actor != SUPERVISOR:
            raise AskCycleError(f"{self.name} waits for its own end; use self.context.stop()")
        endpoint.stop_in_order(self._actor)
        return cast("ExitReason", self._command(c.Stop(self._actor, timeout)))

    def kill(self) -> ExitReason:
        """SIGKILL the actor and its process group, for good; return how it ended.

        What is in its mailbox becomes dead letters; the ask in hand ends with `ActorDied`.
        """
        return cast("ExitReason", self._command(c.Kill(self._actor)))

    def wait(self, timeout: float | None = None) -> ExitReason:
        """Wait until the actor has stopped for good; return how it ended.

        Raises:
            AskTimeout: it still lives after `timeout` seconds.
        """
        limit = patience("timeout", timeout)
        return cast("ExitReason", self._command(c.Wait(self._actor), limit))

    def is_alive(self) -> bool:
        """Return whether the actor has not stopped for good (it may be between two lives)."""
        try:
            return self.status().reason is None
        except (ActorStopped, ForeignProcess):
            return False

    def status(self) -> c.ActorStatus:
        """Return what can be seen of the actor now, without a message to it."""
        return cast("c.ActorStatus", self._command(c.Describe(self._actor)))

    # -- value --------------------------------------------------------------------------------

    if not TYPE_CHECKING:  # a checker would take it for leave to use any name

        def __getattr__(self, name: str) -> NoReturn:
            """Say how an actor's methods are called: a misspelled one never becomes a message."""
            raise AttributeError(self._no_attribute(name), name=name, obj=self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ActorRef):
            return NotImplemented
        return (self._runtime_dir, self._actor) == (other._runtime_dir, other._actor)

    def __hash__(self) -> int:
        return hash((self._runtime_dir, self._actor))

    def __repr__(self) -> str:
        return f"<ActorRef {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        system = receivers.system
        if system is not None and system != self._runtime_dir:
            ref = ref_there(self, system)
            return (_make_ref, (ref._runtime_dir, ref._actor, ref.name, ref._overflow.value))
        # Without the class: receiving a ref must not import the actor's module.
        return (_make_ref, (self._runtime_dir, self._actor, self.name, self._overflow.value))

    # -- inside -------------------------------------------------------------------------------

    def _credit(self) -> int:
        """Return how many items of a stream may be under way."""
        # Without a value in most refs: only `options` gives it one.
        try:
            return object.__getattribute__(self, "_buffer")  # type: ignore[no-any-return]
        except AttributeError:
            return _BUFFER

    def _encode_for(self, endpoint: Transport, value: Any, what: str) -> Encoded:
        """Encode what has to know who will receive it."""
        from procactors.runtime.feed import encode_for  # only where it is used

        return encode_for(self, endpoint, value, what)

    def _drop(
        self, endpoint: Transport, method: bytes, encoded: Encoded, error: MailboxFull
    ) -> None:
        """Have a message for which there was no place be a dead letter, if that is wanted."""
        if self._overflow is not Overflow.DROP:
            raise error
        Client(endpoint).report_lost(self._actor, method, encoded, str(error))

    def _encode(
        self, endpoint: Transport, what: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[bytes, Encoded]:
        """Return (how the method travels, the encoded arguments or message)."""
        if type(what) is FunctionType or is_method_reference(what):
            table = self._table
            if table is None:
                key = key_of(what)
            else:
                method = table.by_function.get(what) or table.method(what)
                if kwargs or not method.least <= len(args) <= method.most:
                    method.check(args, kwargs)
                key = method.key
            if not kwargs and (plain := encode_plain(args)) is not None:
                return key, plain
            try:
                return key, endpoint.encode((args, kwargs), "arguments")
            except NeedsReceiver:
                return key, self._encode_for(endpoint, (args, kwargs), "arguments")
        self._check_message(what, args, kwargs)
        try:
            return b"", endpoint.encode(what)
        except NeedsReceiver:
            return b"", self._encode_for(endpoint, what, "message")

    def _check_message(self, what: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse what is no message; say which method may have been meant."""
        table = self._table
        name = "Class" if table is None else table.cls.__qualname__
        if isinstance(what, str) and table is not None and callable(getattr(table.cls, what, None)):
            method = f"{name}.{what}"
        else:
            method = f"{name}.{getattr(what, '__name__', 'method')}"
        if args or kwargs:
            raise TypeError(
                f"expected a method of the actor before the arguments, found {what!r}; a message "
                f"is sent alone, a call is ask({method}, ...)"
            )
        if isinstance(what, MethodType) and table is not None and table.has(what.__func__):
            if isinstance(what.__self__, type):
                raise TypeError(
                    f"{what.__qualname__} is a class method, which is called here and not in the "
                    f"actor: ask for a plain method of {name} that calls it, or for a static method"
                )
            raise TypeError(
                f"{what.__qualname__} is bound to an object of this process; the actor's own is "
                f"called by the class's: ask({method}, ...)"
            )
        if table is not None and not table.receives:
            raise UnknownMethod(
                f"{name} has no receive method and takes no messages, so not {what!r}; call a "
                f"method of it, as in tell({method})"
            )

    def _no_attribute(self, name: str) -> str:
        """Return what is said of an attribute that a ref does not have."""
        if name in self.__slots__ or name.startswith("__"):
            return f"this ref has no {name!r}"  # of one that is just being made: it has no name yet
        text = f"a ref has no attribute {name!r}"
        if self._table is None:
            return (
                f"{text}: it names {self.name}, which is in a process of its own; call a method of "
                f"its class by ask(Class.{name}, ...), tell or submit"
            )
        cls = self._table.cls
        shown = f"{cls.__qualname__}.{name}"
        if name.startswith("_") or not callable(getattr(cls, name, None)):
            offered = sorted({name for name in self._table.by_key.values() if name[0] != "_"})
            return (
                f"{text}, nor has {cls.__qualname__} a public method of that name"
                f"{suggestion(name, offered)}; what {self.name} has is in its own process, and is "
                f"reached by ask({cls.__qualname__}.method, ...)"
            )
        return (
            f"{text}: {shown} runs in the process of {self.name}; say ref.ask({shown}, ...) for "
            f"its result, ref.tell({shown}, ...) to go on, or ref.proxy().{name}(...)"
        )

    def _command(self, command: Any, timeout: float | None = None) -> Any:
        return Client(transport_of(self._runtime_dir, self.name)).ask(command, timeout)


class _Methods:
    """The methods of an actor's class, by their names, as calls of `send`."""

    __slots__ = ("_ref", "_send")

    def __init__(self, ref: ActorRef[Any], send: Callable[..., Any]) -> None:
        self._ref = ref
        self._send = send

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return functools.partial(self._send, self._method(name))

    def _method(self, name: str) -> Any:
        ref = self._ref
        if ref._table is None:
            raise UnknownMethod(
                f"the class of {ref.name} is not known in this process, so a proxy cannot tell "
                f"its methods; use ask(Class.{name}, ...)"
            )
        cls = ref._table.cls
        function = getattr(cls, name, None)
        if function is None or name.startswith("_"):
            raise AttributeError(f"{cls.__qualname__} has no public method {name!r}")
        return function

    def __repr__(self) -> str:
        return f"<proxy of {self._ref.name}>"


class _Proxy(_Methods):
    """The actor's methods as asks; those of `submit` return the reply as a future."""

    __slots__ = ()

    @property
    def submit(self) -> _Submits:
        return _Submits(self._ref, self._ref.submit)


class _Submits(_Methods):
    """The actor's methods as submits; called, it asks for the method that is named `submit`."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._ref.ask(self._method("submit"), *args, **kwargs)


def _encoded_each(
    endpoint: Transport, method: Method | None, arguments: Iterable[tuple[Any, ...]]
) -> Iterator[Encoded]:
    """Yield the calls of a method, encoded; each is checked when it is its turn."""
    encode = endpoint.encode
    least, most = (0, sys.maxsize) if method is None else (method.least, method.most)
    for args in arguments:
        if not isinstance(args, tuple):
            raise TypeError(f"expected a tuple of arguments for each message, found {args!r}")
        if method is not None and not least <= len(args) <= most:
            method.check(args, {})
        plain = encode_plain(args) if type(args) is tuple else None
        yield plain or encode((args, {}), "arguments")


@stored
def _make_ref(runtime_dir: str, actor: int, name: str, overflow: str) -> ActorRef[Any]:
    if originals and (original := originals.get((runtime_dir, actor))) is not None:
        return original  # type: ignore[no-any-return]
    return ActorRef(runtime_dir, actor, name, Overflow(overflow))
