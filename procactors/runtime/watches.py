"""Watches and links as the process that made them sees them.

Layer: runtime. Runs in: actor, or parent for an inbox; loaded where it is used.
Owns: the marks of watches that were undone, and of the ends that were reported last.
Never: decides that an actor has ended: the supervisor does.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from procactors.errors import ForeignProcess, InvalidSpec
from procactors.model import commands as c
from procactors.model.checks import flag
from procactors.model.choices import Overflow
from procactors.runtime.client import Client
from procactors.runtime.ref import ActorRef
from procactors.runtime.terminated import Restarted, Terminated
from procactors.wire.record import EVENT, SETTLED, TERMINATED
from procactors.wire.transport import Transport

__all__ = ["Watching"]

#: Ends that this process remembers: that of an actor watched twice is reported once.
_REMEMBERED = 1024


class Watching:
    """The watches of one actor or inbox.

    Args:
        endpoint: this process's transport in the system.
        me: the watcher.
    """

    def __init__(self, endpoint: Transport, me: ActorRef[Any]) -> None:
        self._endpoint = endpoint
        self._client = Client(endpoint)
        self._me = me
        #: By actor that is watched no more: number up to which events about it do not count. An
        #: entry goes when the event of that number comes: the last of those.
        self._last_stale: dict[int, int] = {}
        #: Actors whose end was reported, the latest last. Two events come of one end that is
        #: watched for before it and again behind it, as `on_start` of a new incarnation may do.
        self._reported: OrderedDict[int, None] = OrderedDict()

    def watch(self, ref: ActorRef[Any], restarts: bool) -> None:
        """Have the supervisor tell of the actor's end; see `Context.watch`."""
        self._check("watch", ref)
        restarts = flag("restarts", restarts)
        self._reported.pop(ref._actor, None)
        self._client.ask(c.Watch(ref._actor, self._me._actor, restarts))

    def unwatch(self, ref: ActorRef[Any]) -> None:
        """Undo a watch; see `Context.unwatch`."""
        self._check("unwatch", ref)
        number = self._client.ask(c.Unwatch(ref._actor, self._me._actor))
        if number:
            self._last_stale[ref._actor] = number

    def link(self, ref: ActorRef[Any]) -> None:
        """Have each of both end with the other; see `Context.link`."""
        self._check("link", ref)
        self._client.ask(c.Link(self._me._actor, ref._actor))

    def unlink(self, ref: ActorRef[Any]) -> None:
        """Undo a link; see `Context.unlink`."""
        self._check("unlink", ref)
        self._client.ask(c.Unlink(self._me._actor, ref._actor))

    def open(self, flags: int, body: memoryview) -> Terminated | Restarted | None:
        """Return what an event's record says; None if it does not count (any more)."""
        what, actor, number = EVENT.unpack_from(body)
        last = self._last_stale.get(actor, 0)
        if number <= last:
            if number == last:
                del self._last_stale[actor]
            return None
        if what == SETTLED:
            return None  # the watch was undone by an incarnation that is no more
        name, overflow, reason, incarnation = self._endpoint.store.load(flags, body[EVENT.size :])
        ref: ActorRef[Any] = ActorRef(self._endpoint.path, actor, name, Overflow(overflow))
        if what != TERMINATED:
            return Restarted(ref, reason, incarnation)
        if actor in self._reported:
            return None
        self._reported[actor] = None
        if len(self._reported) > _REMEMBERED:
            self._reported.popitem(last=False)
        return Terminated(ref, reason, incarnation)

    def open_failure(self, flags: int, body: memoryview) -> tuple[Any, ...]:
        """Return (ref, reason, incarnation, restarts, life asked) of a child's failure."""
        _, actor, _ = EVENT.unpack_from(body)
        name, overflow, reason, *numbers = self._endpoint.store.load(flags, body[EVENT.size :])
        ref: ActorRef[Any] = ActorRef(self._endpoint.path, actor, name, Overflow(overflow))
        return ref, reason, *numbers

    def _check(self, verb: str, ref: Any) -> None:
        if not isinstance(ref, ActorRef):
            raise InvalidSpec(f"{verb} takes the ref of an actor, not {ref!r}")
        if ref._runtime_dir != self._endpoint.path:
            raise ForeignProcess(f"{ref.name} belongs to another actor system: {verb} it there")
        if ref == self._me:
            raise InvalidSpec(f"{ref.name} cannot {verb} itself: it hears nothing after its end")
