"""Watches and links: which actors hear of an end, and which end with it.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: the tables of watches and links; an actor's entries go with its end.
Never: waits; tells of one end twice, or of none.

    lifecycle.ready ─► restarted ─► RESTARTED ──┐
    lifecycle.end ───► ended ─────► TERMINATED ─┴─► the watcher's mailbox, in order, without a token
                             └────► a stop for each that is linked

What is written into a mailbox survives its actor's death. So an event that is sent once comes
once, however often the watcher dies before it comes to it; watches belong to the actor too.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Any

from procactors.crash import ExitKind, ExitReason
from procactors.errors import ActorStopped, InvalidSpec, ProcActorsError
from procactors.model import commands as c
from procactors.model.choices import Overflow
from procactors.supervision.actor_record import ActorRecord, Life
from procactors.supervision.backend import ReplyTo
from procactors.supervision.core import Core
from procactors.supervision.stopping import Stopping
from procactors.wire.record import CHILD_FAILED, RESTARTED, SETTLED, TERMINATED

__all__ = ["DeathWatch"]

#: Seconds until an event is tried again for which no descriptor was left.
_AGAIN_S = 0.1
#: Most characters of a reason's text, and of a name, that travel in an event: a record is short.
_MOST_TEXT, _MOST_NAME = 400, 200

#: Ends that a link has ordered, as they look without it; any other is a crash on the way.
_PULLED = (ExitKind.STOPPED, ExitKind.NORMAL, ExitKind.KILLED)

_FORGOTTEN = ExitReason(ExitKind.UNKNOWN, None, "it ended long ago, and nothing is remembered")


class DeathWatch:
    """Tells actors of each other's ends."""

    def __init__(self, core: Core, stopping: Stopping) -> None:
        self._core = core
        self._stopping = stopping
        self._numbers = itertools.count(1)
        #: By watched actor: its watchers, and whether each wants to know of restarts.
        self._watchers: dict[int, dict[int, bool]] = {}
        #: By watcher: the actors that it watches.
        self._watched: dict[int, set[int]] = {}
        #: By actor: those that it is linked to; each link is there twice.
        self._links: dict[int, set[int]] = {}
        #: By actor that a link is stopping: the reason of that end.
        self._pulled: dict[int, ExitReason] = {}

    # -- commands -----------------------------------------------------------------------------

    def watch(self, command: c.Watch, who: ReplyTo) -> None:
        """Register a watch; for an actor that is over already, tell so now."""
        actor, watcher = command.actor, command.watcher
        if watcher in self._core.actors:  # else it ended meanwhile
            if actor in self._core.actors:
                self._watchers.setdefault(actor, {})[watcher] = command.restarts
                self._watched.setdefault(watcher, set()).add(actor)
            else:
                name, reason, incarnation = self._past(actor)
                what = (name, Overflow.BLOCK.value, reason, incarnation)
                self._tell(watcher, TERMINATED, actor, what)
        self._core.reply(who, None)

    def unwatch(self, command: c.Unwatch, who: ReplyTo) -> None:
        """Undo a watch; what is on its way to the watcher is not to count any more."""
        actor, watcher = command.actor, command.watcher
        told_restarts = self._forget(actor, watcher)
        number = 0
        if told_restarts is not False and watcher in self._core.actors:
            # An event may be on its way: the watcher drops what is not newer than this record.
            number = self._tell(watcher, SETTLED, actor, None)
        self._core.reply(who, number)

    def link(self, command: c.Link, who: ReplyTo) -> None:
        """Link two actors; if one of them is over already, the other one ends now."""
        pair = (command.actor, command.other)
        for actor in pair:
            if actor in self._core.actors and self._core.actors[actor].is_inbox:
                raise InvalidSpec(
                    f"{self._core.name_of(actor)} is an inbox, which ends with the system alone: "
                    f"it cannot be linked; use its watch(ref)"
                )
        over = [actor for actor in pair if actor not in self._core.actors]
        if not over:
            for one, other in (pair, pair[::-1]):
                self._links.setdefault(one, set()).add(other)
        elif len(over) == 1:
            # Also if it is the one that asked: it was linked as long as it lived.
            (alive,) = set(pair) - set(over)
            name, reason, _ = self._past(over[0])
            self._pull(alive, name, reason)
        self._core.reply(who, None)

    def unlink(self, command: c.Unlink, who: ReplyTo) -> None:
        """Undo a link."""
        self._cut(command.actor, command.other)
        self._core.reply(who, None)

    # -- what happens -------------------------------------------------------------------------

    def restarted(self, actor: ActorRecord, reason: ExitReason) -> None:
        """The next incarnation of an actor is up; the one before it ended for `reason`."""
        for watcher, wants_restarts in self._watchers.get(actor.id, {}).items():
            if wants_restarts:
                self._tell(watcher, RESTARTED, actor.id, _facts(actor, reason))

    def final_reason(self, actor: ActorRecord, reason: ExitReason) -> ExitReason:
        """Return why an actor ends: a stop that a link has ordered says so."""
        linked = self._pulled.get(actor.id)
        if linked is None or reason.kind not in _PULLED:
            return reason
        if reason.kind is ExitKind.KILLED:
            return ExitReason(ExitKind.LINKED, None, f"{linked.text}; it had to be killed")
        return linked

    def ended(self, actor: ActorRecord, reason: ExitReason) -> None:
        """An actor is over: tell its watchers, stop those that it is linked to, forget it."""
        self._pulled.pop(actor.id, None)
        for watched in self._watched.pop(actor.id, set()):
            watchers = self._watchers[watched]
            del watchers[actor.id]
            if not watchers:
                del self._watchers[watched]
        for watcher in list(self._watchers.get(actor.id, ())):
            self._forget(actor.id, watcher)
            self._tell(watcher, TERMINATED, actor.id, _facts(actor, reason))
        linked = sorted(self._links.get(actor.id, ()))
        for other in linked:
            self._cut(actor.id, other)
        for other in linked:
            self._pull(other, actor.name, reason)

    def ask_parent(
        self, parent: ActorRecord, actor: ActorRecord, reason: ExitReason, restarts: int
    ) -> None:
        """Ask an actor about a child that has died; the answer is a command of its own."""
        what = (*_facts(actor, reason), restarts, parent.incarnation)
        self._tell(parent.id, CHILD_FAILED, actor.id, what)

    # -- inside -------------------------------------------------------------------------------

    def _past(self, actor: int) -> tuple[str, ExitReason, int]:
        """Return (name, reason, incarnation) of an actor that is over."""
        try:
            past = self._core.past(actor)
        except ActorStopped:
            return self._core.name_of(actor), _FORGOTTEN, 0
        return past.name, past.reason or _FORGOTTEN, past.incarnation

    def _forget(self, actor: int, watcher: int) -> bool | None:
        """Remove a watch; return whether it was one for restarts too, None if there was none."""
        watchers = self._watchers.get(actor, {})
        wanted_restarts = watchers.pop(watcher, None)
        if wanted_restarts is None:
            return None
        if not watchers:
            del self._watchers[actor]
        watched = self._watched[watcher]
        watched.discard(actor)
        if not watched:
            del self._watched[watcher]
        return wanted_restarts

    def _cut(self, one: int, other: int) -> None:
        for actor, partner in ((one, other), (other, one)):
            partners = self._links.get(actor, set())
            partners.discard(partner)
            if not partners:
                self._links.pop(actor, None)

    def _pull(self, actor_id: int, name: str, reason: ExitReason) -> None:
        """Stop an actor that is linked to one that is over."""
        actor = self._core.actors.get(actor_id)
        if actor is None or self._core.end_by is not None:
            return  # over; or it is stopped with all the others, in its turn
        linked = ExitReason(ExitKind.LINKED, None, _short(f"{name}, which {reason}", _MOST_TEXT))
        if actor.life is Life.DOWN:
            self._core.drop(actor, linked)
            return
        if actor.stop_by is None:  # else it is ending for a reason of its own
            self._pulled[actor_id] = linked
        self._stopping.order(actor)

    def _tell(self, watcher: int, what: int, actor: int, facts: tuple[Any, ...] | None) -> int:
        """Put an event into a watcher's mailbox; return its number."""
        number = next(self._numbers)
        self._send(watcher, what, actor, number, None if facts is None else _fit(facts))
        return number

    def _send(
        self, watcher: int, what: int, actor: int, number: int, facts: tuple[Any, ...] | None
    ) -> None:
        record = self._core.actors.get(watcher)
        if record is None:
            return
        try:
            record.host.tell(what, actor, number, facts)
        except (OSError, ProcActorsError):  # no descriptor is left just now
            again = functools.partial(self._send, watcher, what, actor, number, facts)
            self._core.after(_AGAIN_S, again)


def _facts(actor: ActorRecord, reason: ExitReason) -> tuple[str, str, ExitReason, int]:
    return actor.name, actor.options.overflow.value, reason, actor.incarnation


def _fit(facts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Shorten what a record might have no room for; at most four bytes a character."""
    name, overflow, reason, *numbers = facts
    reason = dataclasses.replace(reason, text=_short(reason.text, _MOST_TEXT))
    return _short(name, _MOST_NAME), overflow, reason, *numbers


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
