"""Stopping actors: finish the mailbox, then terminate, then kill; one deadline for all of it.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: the rows of children that stop one after the other.
Never: lets a stop end later than its deadline; waits.

    0 ─────────── mailbox is finished, on_stop runs ──────────┬── SIGTERM ──┬── SIGKILL
                                                       deadline - grace   deadline
"""

from __future__ import annotations

import functools
import logging
import signal
from collections.abc import Callable

from procactors.crash import ExitKind, ExitReason
from procactors.model import commands as c
from procactors.supervision.actor_record import ActorRecord, Life
from procactors.supervision.backend import ReplyTo
from procactors.supervision.core import Core
from procactors.supervision.engine import Stage
from procactors.wire.mailbox.black_box import (
    CONTROL,
    HALT,
    IN_HAND,
    LEAVE,
    PARENT_GONE,
    STATE,
    TERMINATE,
    TIMER,
)

__all__ = ["ORDERLY_SHARE", "Stopping"]

_log = logging.getLogger("procactors")

#: Share of a stop's time, and most seconds, between SIGTERM and SIGKILL.
_GRACE_SHARE, _GRACE_S = 0.2, 1.0
#: Seconds between looks whether an actor that is to leave has begun a handler all the same.
_LOOK_S = 0.05
#: Actors that the line names for which the end waits.
_NAMED = 8
#: Share of the time in which actors stop one by one, latest started first, so that what they still
#: send to earlier ones arrives; after it all are stopped at once.
ORDERLY_SHARE = 0.5
#: Share of the time before its own SIGTERM in which a stopping actor's children must have ended:
#: the rest is for its `on_stop`.
_CHILDREN_SHARE = 0.8

_STOPPED = ExitReason(ExitKind.STOPPED)


class Row:
    """Actors that stop one after the other, the last first."""

    def __init__(self, left: list[int], by: float | None) -> None:
        self.left = left
        self.by = by
        self.ordered = 0  # the latest that was ordered to stop in its turn
        self.hurried = False


class Stopping:
    """Stops actors, with their children."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._rows: dict[int, Row] = {}

    # -- commands -----------------------------------------------------------------------------

    def stop(self, command: c.Stop, who: ReplyTo) -> None:
        """Stop one actor; the STOP in its mailbox comes from the caller, behind its messages."""
        actor = self._core.actors.get(command.actor)
        if actor is None:
            self._core.reply(who, self._core.past(command.actor).reason)
            return
        actor.waiters.append(who)
        timeout = self._core.time_of(actor, command.timeout)
        if self._core.entries[actor.id].stage is Stage.STOPPING:
            # The restart that stops it keeps its mailbox, and this stop in it: not its deadline.
            self._core.after(timeout, functools.partial(self.kill_for_good, actor))
        self._stop_within(actor, timeout)

    def kill(self, command: c.Kill, who: ReplyTo) -> None:
        """End one actor at once and for good."""
        actor = self._core.actors.get(command.actor)
        if actor is None:
            self._core.reply(who, self._core.past(command.actor).reason)
            return
        actor.waiters.append(who)
        self.kill_for_good(actor)

    def stop_children(self, command: c.StopChildren, who: ReplyTo) -> None:
        """Stop the children of an actor that is about to stop; answer when they are gone."""
        actor = self._core.actors.get(command.actor)
        if actor is None or not actor.children:
            self._core.reply(who, None)
            return
        actor.childless_waiters.append(who)
        self.stop_row(list(actor.children), self._children_by(actor))

    def leave(self, command: c.Leave, who: ReplyTo) -> None:
        """Have actors end without finishing their mailboxes; does not wait for it."""
        actors = [actor for a in command.actors if (actor := self._core.actors.get(a))]
        self.leave_all(actors, self._core.clock() + command.timeout)
        self._core.reply(who, None)

    # -- one actor ----------------------------------------------------------------------------

    def order(self, actor: ActorRecord, timeout: float | None = None) -> None:
        """Stop an actor behind what the main program has sent; in its own time, without another."""
        if actor.host.pid is not None or actor.life is Life.STARTING:
            actor.host.stop()
        self._stop_within(actor, self._core.time_of(actor) if timeout is None else timeout)

    def park(self, actor: ActorRecord) -> None:
        """Stop an actor behind the message in hand, in its own time; its mailbox is kept."""
        actor.words[CONTROL] = HALT
        actor.host.nudge()  # takes no token of the mailbox, and wakes an actor that waits
        self._stop_within(actor, self._core.time_of(actor))

    def kill_for_good(self, actor: ActorRecord) -> None:
        """End an actor at once, also one that a restart is stopping."""
        if actor.life is not Life.OVER:
            self._core.leave_down(self._core.entries[actor.id])
            self.kill_now(actor)

    def kill_now(self, actor: ActorRecord) -> None:
        """End an actor at once."""
        actor.final = True
        actor.ended_with = signal.SIGKILL
        if actor.host.pid is not None:
            actor.was_suspended = actor.host.is_suspended()
            actor.host.kill()
        elif actor.is_idle:
            self._core.drop(actor, ExitReason(ExitKind.KILLED, signal.SIGKILL))

    def _stop_within(self, actor: ActorRecord, timeout: float) -> None:
        now = self._core.clock()
        deadline = now + timeout
        if self._core.end_by is not None:
            deadline = min(deadline, self._core.end_by)
        if actor.stop_by is not None and actor.stop_by <= deadline:
            return
        self._core.mark_stopping(actor, deadline)
        self._let_go_on(actor)
        # A deadline that has passed leaves none: a SIGTERM behind its SIGKILL would be reported.
        grace = min(_GRACE_S, max(0.0, deadline - now) * _GRACE_SHARE)
        actor.terminate_at = deadline - grace
        if actor.childless_waiters:  # it is about to stop by itself: its children have less time
            self.stop_row(list(actor.children), self._children_by(actor))
        if actor.is_idle:
            # Between two lives, or an inbox: no process is there to finish the mailbox.
            self._core.drop(actor, actor.last_reason or _STOPPED)
            return
        self._core.at(actor.terminate_at, self._if_still(actor, deadline, self._terminate))
        self._core.at(deadline, self._if_still(actor, deadline, self.kill_now))

    def _let_go_on(self, actor: ActorRecord) -> None:
        """Let an actor go on to its end that was suspended by an order."""
        if actor.is_suspended:
            from procactors.supervision.suspension import go_on  # only where it is used

            go_on(self._core, actor)

    def _if_still(
        self, actor: ActorRecord, deadline: float, action: Callable[[ActorRecord], None]
    ) -> Callable[[], None]:
        def act() -> None:
            if actor.life is not Life.OVER and actor.stop_by == deadline:
                action(actor)

        return act

    def _terminate(self, actor: ActorRecord) -> None:
        actor.final = True
        if actor.host.pid is not None:
            actor.was_suspended = actor.host.is_suspended()
            actor.ended_with = signal.SIGTERM
            # Announced first: an actor ignores a SIGTERM that its supervisor has not ordered.
            actor.words[CONTROL] = TERMINATE
            actor.host.send(signal.SIGTERM)

    # -- children, one after the other ----------------------------------------------------------

    def stop_row(self, actors: list[int], by: float | None = None) -> None:
        """Stop the children of an actor one after the other, the last first, each in its own time.

        After half of the longest of their times all that are left are stopped at once. Does not
        wait.

        Args:
            actors: their ids, in start order.
            by: the instant at which none of them may be left; None: no more than their own times.
        """
        children = [actor for one in actors if (actor := self._core.actors.get(one))]
        row = Row([child.id for child in children], by)
        for child in children:
            if child.stop_by is None:
                child.parent_gone = True
                child.words[CONTROL] = PARENT_GONE
            if child.id in self._rows:
                self._rows[child.id].left.remove(child.id)  # of one that had more time
            self._rows[child.id] = row
        if len(children) > 1:
            longest = max(self._time_in(row, child) for child in children)
            self._core.after(longest * ORDERLY_SHARE, functools.partial(self._hurry, row))
        self._step(row)

    def _step(self, row: Row) -> None:
        """Stop the last of a row; its end brings the next step."""
        if not row.left or row.left[-1] == row.ordered or row.hurried:
            return
        row.ordered = row.left[-1]
        try:
            self._order_in(row, row.ordered)
        except Exception:  # noqa: BLE001 - so wide: the rest of the row waits for this one
            _log.exception("actor %d could not be ordered to stop: it is killed", row.ordered)
            self.kill_now(self._core.actors[row.ordered])

    def _hurry(self, row: Row) -> None:
        row.hurried = True
        for actor in reversed(row.left.copy()):
            if actor != row.ordered:
                self._order_in(row, actor)

    def _order_in(self, row: Row, actor: int) -> None:
        record = self._core.actors.get(actor)
        if record is not None:
            self.order(record, self._time_in(row, record))

    def _time_in(self, row: Row, actor: ActorRecord) -> float:
        own = self._core.time_of(actor)
        return own if row.by is None else max(0.0, min(own, row.by - self._core.clock()))

    def _children_by(self, parent: ActorRecord) -> float | None:
        """Return by when a stopping actor's children must have ended, so that it is in time."""
        if parent.stop_by is None:
            return None
        now = self._core.clock()
        return now + max(0.0, parent.terminate_at - now) * _CHILDREN_SHARE

    def ended(self, actor: ActorRecord) -> None:
        """An actor is over: go on with its row."""
        row = self._rows.pop(actor.id, None)
        if row is not None and actor.id in row.left:
            row.left.remove(actor.id)
            self._step(row)

    def child_ended(self, parent: ActorRecord) -> None:
        """A child of `parent` is over: answer what waits for the last of them."""
        if not parent.children:
            self._core.reply_all(parent.childless_waiters, None)

    # -- without their mailboxes --------------------------------------------------------------

    def leave_all(self, actors: list[ActorRecord], by: float) -> None:
        """Have actors end now, but for a handler's time to unwind; say for which that waits."""
        busy = []
        for actor in actors:
            handler = actor.host.at_work()
            if handler is not None:
                busy.append(f"{actor.name} (in {handler})")
            self._leave_one(actor, by)
        if busy:
            more = f" and {len(busy) - _NAMED} others" if len(busy) > _NAMED else ""
            text = "stopping without finishing the mailboxes: waiting up to %.1f s for %s%s"
            left = max(0.0, by - self._core.clock())
            _log.warning(text, left, ", ".join(busy[:_NAMED]), more)

    def _leave_one(self, actor: ActorRecord, by: float) -> None:
        if actor.life is Life.OVER:
            return
        if actor.host.pid is None:
            self.kill_now(actor)
            return
        actor.final = True
        self._core.mark_stopping(actor, by)
        actor.words[CONTROL] = LEAVE
        self._let_go_on(actor)
        actor.host.nudge()
        self._core.at(by, self._if_still(actor, by, self.kill_now))
        self._unwind(actor, by)

    def _unwind(self, actor: ActorRecord, by: float) -> None:
        """Terminate an actor as soon as it is seen in a handler; an idle one leaves by itself."""
        words = actor.words
        is_busy = words[STATE] & IN_HAND or words[TIMER] or actor.host.at_work() is not None
        if actor.life is Life.STARTING or is_busy:
            self._terminate(actor)
        else:
            again = functools.partial(self._unwind, by=by)
            self._core.after(_LOOK_S, self._if_still(actor, by, again))
