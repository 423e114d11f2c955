"""A topic: one publishes, all that subscribe are told.

Layer: runtime. Runs in: parent and actor.
Owns: this process's tables of topics, until the system ends here.
Never: lets one subscriber hold up or fail another; has a process or a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from procactors.errors import (
    ActorStopped,
    DeliveryError,
    ForeignProcess,
    InvalidSpec,
    MailboxFull,
    UnknownMethod,
)
from procactors.model.choices import Overflow
from procactors.runner.method_table import is_method_reference, key_of
from procactors.runtime.client import Client
from procactors.runtime.ref import ActorRef
from procactors.wire.copies import in_copies
from procactors.wire.pickling.codec import Encoded
from procactors.wire.pickling.plain import encode_plain
from procactors.wire.storage import too_many_open
from procactors.wire.topic_table import Subscriber, TopicTable
from procactors.wire.transport import Transport

if TYPE_CHECKING:
    from procactors.runtime.async_topic import AsyncTopic

__all__ = ["Publication", "Topic"]

A = TypeVar("A")


class Topic:
    """Names one topic of a system: a value published there is told to each subscriber.

    Topics need not be made: whoever says the name means the same one, in every process of the
    system. Nothing is kept for those that subscribe later.

    Attributes:
        name: the topic's.
    """

    def __init__(self, transport: Transport, name: str) -> None:
        self.name = name
        self._transport = transport

    @overload
    def subscribe(self, ref: ActorRef[A], method: Callable[[A, Any], Any], /) -> None: ...
    @overload
    def subscribe(self, ref: ActorRef[Any], /) -> None: ...
    def subscribe(self, ref: ActorRef[Any], method: Any = None, /) -> None:
        """Have an actor told what is published from now on, by a call of `method`.

        Behind its return nothing that any process publishes is missed. A subscription belongs to
        the actor: it survives restarts, and goes with the actor's end. Subscribing again replaces
        the method: an actor is told once. Does not block.

        Args:
            ref: of the actor, or of an inbox.
            method: of its class, called with the value; without it, `receive` gets the value.

        Raises:
            UnknownMethod: the class has no such method. TypeError: the method does not take one
                argument. ForeignProcess: the ref is of another system.
        """
        self._transport.check_process()
        self._check(ref)
        key = b"" if method is None else _key(ref, method)
        if method is None and ref._table is not None and not ref._table.receives:
            name = ref._table.cls.__qualname__
            raise UnknownMethod(
                f"{name} has no receive method to take what is published: name a method of it, as "
                f"in subscribe(ref, {name}.method)"
            )
        subscriber = Subscriber(ref._actor, ref.name, ref._overflow.value, key)
        self._table().add(subscriber)

    def unsubscribe(self, ref: ActorRef[Any], /) -> None:
        """Have an actor told no more; what was told before may still be on its way.

        One that does not subscribe is no error. Does not block.
        """
        self._transport.check_process()
        self._check(ref)
        self._table().remove(ref._actor)

    def publish(self, value: Any, /) -> int:
        """Tell each subscriber; return how many were told.

        The value is pickled once, before anybody is told. To each subscriber it is a tell: at most
        once, in order for each publishing thread. A full mailbox holds up no other subscriber: all
        others are told first. Then those with ``Overflow.BLOCK`` are waited for, one after the
        other; what finds no place at others becomes a dead letter, and so does what an actor
        publishes to its own full mailbox. A subscriber that has ended is removed. A large value is
        copied for each subscriber: publish ``system.share(value)`` instead.

        Raises:
            EncodeError: the value cannot be pickled; nobody was told.
            StorageFull: no room for it; ``error.sent`` were told.
        """
        publication = self.begin(value)
        publication.tell_now()
        publication.tell_rest()
        return publication.told

    @property
    def aio(self) -> AsyncTopic:
        """The same topic for an event loop."""
        from procactors.runtime.async_topic import AsyncTopic  # only where it is used

        return AsyncTopic(self)

    def begin(self, value: Any) -> Publication:
        """Return the telling of a value to those that subscribe now, of whom none is told yet."""
        transport = self._transport
        transport.check_process()
        return Publication(transport, self._table(), value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Topic):
            return NotImplemented
        return (self.name, self._transport.path) == (other.name, other._transport.path)

    def __hash__(self) -> int:
        return hash((self.name, self._transport.path))

    def __repr__(self) -> str:
        return f"<Topic {self.name}>"

    def __reduce__(self) -> Any:
        raise TypeError(
            f"{self!r} belongs to its process and cannot be sent: send its name, and say "
            f"self.context.system.topic({self.name!r}) in the actor"
        )

    def _check(self, ref: Any) -> None:
        if not isinstance(ref, ActorRef):
            raise InvalidSpec(f"a topic's subscriber is the ref of an actor, not {ref!r}")
        if ref._runtime_dir != self._transport.path:
            raise ForeignProcess(
                f"{ref.name} belongs to another actor system: a topic is of one system"
            )

    def _table(self) -> TopicTable:
        return _tables.get((self._transport.path, self.name)) or _open_table(
            self._transport, self.name
        )


class Publication:
    """One value on its way to the subscribers of a topic.

    Attributes:
        told: how many were told.
    """

    def __init__(self, transport: Transport, table: TopicTable, value: Any) -> None:
        self.told = 0
        self._transport = transport
        self._table = table
        self._full: list[Subscriber] = []
        self._all = table.subscribers()
        kinds = {bool(one.method) for one in self._all}
        self._call = self._message = Encoded(b"", ())
        if True in kinds:
            plain = encode_plain((value,))
            self._call = plain or transport.encode(((value,), {}), "published value")
        if False in kinds:
            self._message = transport.encode(value, "published value")

    def tell_now(self) -> bool:
        """Tell all that have a place; return whether others are to be waited for."""
        for one in self._all:
            try:
                self._tell(one, 0.0)
            except MailboxFull as error:
                waits = one.overflow == Overflow.BLOCK.value
                if waits and one.actor != self._transport.actor:
                    self._full.append(one)
                else:
                    self._lose(one, str(error))
        return bool(self._full)

    def tell_rest(self) -> None:
        """Wait for a place at each of the others, and tell it."""
        for one in self._full:
            self._tell(one, None)

    def _tell(self, one: Subscriber, wait_s: float | None) -> None:
        encoded = self._call if one.method else self._message
        try:
            self._transport.tell(one.actor, one.name, one.method, encoded, wait_s)
        except MailboxFull:
            raise
        except ActorStopped:
            self._transport.check_process()  # else it is the system that has ended
            self._table.remove(one.actor)
        except DeliveryError as error:
            error.sent = self.told
            raise
        else:
            self.told += 1

    def _lose(self, one: Subscriber, why: str) -> None:
        encoded = self._call if one.method else self._message
        Client(self._transport).report_lost(one.actor, one.method, encoded, why)


def _key(ref: ActorRef[Any], method: Any) -> bytes:
    """Return how a method travels that takes one argument."""
    if not is_method_reference(method):
        raise TypeError(
            f"expected a method of the actor's class, as in Class.method, found {method!r}"
        )
    if ref._table is None:
        return key_of(method)
    found = ref._table.method(method)
    if not found.least <= 1 <= found.most:
        found.check((None,), {})
    return found.key


#: The tables that this process has opened, by system and name.
_tables: dict[tuple[str, str], TopicTable] = {}


def _open_table(transport: Transport, name: str) -> TopicTable:
    key = transport.path, name
    try:
        table: TopicTable = (transport.store.make_topic_table or TopicTable)(*key)
    except OSError as error:
        transport.check_process()
        raise too_many_open("a topic", error, "") from error
    kept = _tables.setdefault(key, table)
    if kept is not table:  # another thread was faster
        table.close()
        return kept
    transport.on_close(lambda: _forget(key))
    in_copies(_tables.clear)
    return table


def _forget(key: tuple[str, str]) -> None:
    table = _tables.pop(key, None)
    if table is not None:
        table.close()
