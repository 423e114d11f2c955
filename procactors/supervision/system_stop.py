"""Stopping a whole system, in phases, by one deadline.

Layer: supervision. Runs in: parent, in the supervisor's thread, but for `close_intake`.
Owns: the calls that wait for the end.
Never: lets the stop end later than its deadline; waits.

First no actor is started any more (`close_intake`). Then the actors stop, and the children of each
before it, one after the other, latest started first; after half of the time all at once.
"""

from __future__ import annotations

from collections.abc import Callable

from procactors.model import commands as c
from procactors.supervision.actor_record import ActorRecord
from procactors.supervision.backend import ReplyTo
from procactors.supervision.core import Core
from procactors.supervision.stopping import ORDERLY_SHARE, Stopping
from procactors.supervision.trees import Trees

__all__ = ["SystemStop"]


class SystemStop:
    """Stops everything.

    Args:
        core, stopping, trees: the parts that it works with.
        begin: called in the supervisor's thread when the end begins; with whether the mailboxes
            are finished.
        finish: called when nothing is left.
    """

    def __init__(
        self,
        core: Core,
        stopping: Stopping,
        trees: Trees,
        begin: Callable[[bool], None],
        finish: Callable[[], None],
    ) -> None:
        self._core = core
        self._stopping = stopping
        self._trees = trees
        self._begin = begin
        self._finish = finish
        self._waiters: list[ReplyTo] = []
        self._orderly = False
        # The actors that have no parent, as `_latest` takes them: from the end.
        self._order: list[ActorRecord] = []

    def stop_all(self, command: c.StopAll, who: ReplyTo) -> None:
        """Stop everything: latest started first, then all at once, by one deadline."""
        core = self._core
        self._waiters.append(who)
        end_by = core.clock() + command.timeout
        if core.end_by is not None:
            if command.drain and end_by >= core.end_by:
                return
            end_by = min(end_by, core.end_by)
        core.end_by = end_by
        self._begin(command.drain)
        self._orderly = command.drain and command.timeout > 0
        if self._orderly:
            core.after(command.timeout * ORDERLY_SHARE, self._stop_the_rest)
            return  # `go_on`, behind this event, takes the first step
        self._trees.stop_all()
        if command.drain:
            for actor in list(core.actors.values()):
                self._stopping.kill_now(actor)
        else:
            self._stopping.leave_all(list(core.actors.values()), end_by)

    def go_on(self) -> None:
        """Take the next step, if the system stops and the last one is done. Behind each event."""
        if self._core.end_by is None:
            return
        if self._orderly:
            self._stop_next()
        if not self._core.actors:
            # Trees without an actor now: what waits for them is answered.
            self._trees.stop_all()
            self._core.reply_all(self._waiters, None)
            self._finish()

    def _stop_next(self) -> None:
        """Stop the latest started of the main program's own actors; its end brings the next."""
        actor = self._latest()
        if actor is None or actor.stop_by is not None:
            return
        record = self._core.entries[actor.id].supervisor
        if record.state.is_alone:
            self._stopping.order(actor, self._time_left(actor))
        else:
            self._trees.stop_tree(record)  # as one, its last child first

    def _latest(self) -> ActorRecord | None:
        order, actors = self._order, self._core.actors
        while order and order[-1].id not in actors:
            order.pop()
        if not order:  # not yet looked for; or some are left whose parent has gone before them
            top = [actor for actor in actors.values() if not self._has_parent(actor)]
            # Inboxes last: until then they take what the others send as their last words.
            order += sorted(top, key=lambda actor: (not actor.is_inbox, actor.id))
        return order[-1] if order else None

    def _stop_the_rest(self) -> None:
        self._orderly = False
        self._trees.stop_all()
        for actor in list(self._core.actors.values()):
            if not self._has_parent(actor):
                self._stopping.order(actor, self._time_left(actor))

    def _time_left(self, actor: ActorRecord) -> float:
        """Return the actor's own time, inside what is left of the system's."""
        assert self._core.end_by is not None
        left, own = max(0.0, self._core.end_by - self._core.clock()), actor.options.stop_timeout
        return left if own is None else min(left, own)

    def _has_parent(self, actor: ActorRecord) -> bool:
        return actor.parent in self._core.actors
