"""Children that have died: the supervisor asks their parent what is to follow.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: which children wait for a parent's answer.
Never: waits: the answer comes as a command. A parent that ends before it answers stops its
children, those too that wait for its word.
"""

from __future__ import annotations

import random

from procactors.crash import ExitReason
from procactors.model import commands as c
from procactors.supervision import engine
from procactors.supervision.actor_record import ActorRecord
from procactors.supervision.backend import ReplyTo
from procactors.supervision.core import Core
from procactors.supervision.death_watch import DeathWatch
from procactors.supervision.engine import Exit

__all__ = ["ChildFailures"]


class ChildFailures:
    """Asks parents about their children."""

    def __init__(self, core: Core, death_watch: DeathWatch) -> None:
        self._core = core
        self._death_watch = death_watch
        #: By child that waits: the start that ended.
        self._waiting: dict[int, int] = {}

    def ask(self, actor: ActorRecord, parent: ActorRecord, reason: ExitReason) -> None:
        """Ask the parent of an actor that is held."""
        self._waiting[actor.id] = actor.start
        state, now = self._core.entries[actor.id].supervisor.state, self._core.clock()
        restarts = sum(now - at <= state.within for at in state.restarts)
        self._death_watch.ask_parent(parent, actor, reason, restarts)

    def decided(self, command: c.DecideOnChild, who: ReplyTo) -> None:
        """Do what the parent has decided; of a life that is past, nothing."""
        del who  # a tell, which wants no answer
        actor = self._core.actors.get(command.child)
        waiting = self._waiting.pop(command.child, None)
        if actor is None or actor.start != waiting or actor.incarnation != command.incarnation:
            return
        try:
            self._step(actor, command.directive)
        except Exception as error:  # noqa: BLE001 - so wide: its mailbox waits for what follows
            self._core.abandon(actor, error)

    def _step(self, actor: ActorRecord, directive: str) -> None:
        entry, now = self._core.entries[actor.id], self._core.clock()
        draw = random.random()  # noqa: S311 - jitter, not a secret
        how = Exit.ABNORMAL  # else its parent would not have been asked
        state = entry.supervisor.state
        step = engine.decided(state, entry.key, directive, how, now, draw)
        self._core.step(entry.supervisor, step)

    def ended(self, actor: ActorRecord) -> None:
        """An actor is over: nothing is to be decided any more."""
        self._waiting.pop(actor.id, None)
