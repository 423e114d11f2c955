"""Stopping: finish the mailbox, then terminate, then kill; one deadline for all of it.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: nothing; it works on the supervisor's cells.
Never: lets a stop end later than its deadline; waits.

    0 ─────────── mailbox is finished, on_stop runs ──────────┬── SIGTERM ──┬── SIGKILL
                                                       deadline - grace   deadline

A whole system stops in phases: no new actors (`close_intake`); then its actors, and the children
of each before it, one after the other, latest started first; after half of the time all at once.
"""

from __future__ import annotations

import functools
import logging
import signal
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, TypeGuard

from procactors.supervision import commands as c
from procactors.supervision.cell import Cell, Life, ReplyTo
from procactors.supervision.crash import ExitKind, ExitReason
from procactors.wire.blackbox import (
    CONTROL,
    HALT,
    IN_HAND,
    LEAVE,
    PARENT_GONE,
    STATE,
    STOP_ORDERED,
    TERMINATE,
)
from procactors.wire.record import Kind, frame

if TYPE_CHECKING:
    from procactors.supervision.supervisor import Supervisor

__all__ = ["UNWIND_S", "Stopping", "is_broken_off"]

_log = logging.getLogger("procactors")

_log = logging.getLogger("procactors")

#: Share of a stop's time, and most seconds, between SIGTERM and SIGKILL.
_GRACE_SHARE, _GRACE_S = 0.2, 1.0
#: Seconds between SIGTERM and SIGKILL for a handler that runs when a block is left by an error.
UNWIND_S = 1.0
#: Seconds between looks whether an actor that is to leave has begun a handler all the same.
_LOOK_S = 0.05
#: Actors that the line names for whom the end waits.
_NAMED = 8
#: Share of the time in which a whole system stops actor by actor, latest started first, so that
#: what they still send to earlier ones arrives; after it all are stopped at once.
_ORDERLY_SHARE = 0.5
#: Share of the time before its own SIGTERM in which a stopping actor's children must have ended:
#: the rest is for its `on_stop`.
_CHILDREN_SHARE = 0.8

_STOPPED = ExitReason(ExitKind.STOPPED)


def is_broken_off(error: BaseException | None) -> TypeGuard[BaseException]:
    """Whether a ``with`` block that is left by `error` is left before its work is done.

    Not by ``sys.exit()`` with code 0: that is how a program ends that is done.
    """
    return error is not None and not (isinstance(error, SystemExit) and not error.code)


class Row:
    """Actors that stop one after the other, the last first."""

    def __init__(self, left: list[int], by: float | None) -> None:
        self.left = left
        self.by = by
        self.told = 0  # the last of those that were told in turn
        self.hurried = False
        self.stepping = False


class Stopping:
    """The supervisor's stopping side."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._end_by = 0.0
        self._finished: list[ReplyTo] = []
        self._orderly = False
        self._stepping = False
        self._rows: dict[int, Row] = {}
        self.is_ending = False
        #: No actor is started any more. Set by the stopping thread before it even sends its order.
        self.intake_closed = False

    # -- one actor ----------------------------------------------------------------------------

    def stop(self, command: c.Stop, who: ReplyTo) -> None:
        """Stop one actor; the STOP in its mailbox comes from the caller, behind its messages."""
        cell = self._supervisor.cells.get(command.actor)
        if cell is None:
            self._supervisor.reply(who, self._supervisor.past(command.actor).reason)
            return
        cell.waiters.append(who)
        timeout = self._allowed(cell, command.timeout)
        if cell.place is not None and self._supervisor.branches.is_stopping(cell.place):
            # The restart that stops it keeps its mailbox, and this stop in it: not its deadline.
            kill = functools.partial(self._kill_for_good, cell)
            self._supervisor.at(monotonic() + timeout, kill)
        self._stop_by(cell, timeout)

    def kill(self, command: c.Kill, who: ReplyTo) -> None:
        """End one actor at once and for good."""
        cell = self._supervisor.cells.get(command.actor)
        if cell is None:
            self._supervisor.reply(who, self._supervisor.past(command.actor).reason)
            return
        cell.waiters.append(who)
        self._kill_for_good(cell)

    def _kill_for_good(self, cell: Cell) -> None:
        if cell.life is Life.OVER:
            return
        if cell.place is not None:
            self._supervisor.branches.leave_down(cell.place)
        self._kill(cell)

    def stop_children(self, command: c.StopChildren, who: ReplyTo) -> None:
        """Stop the children of an actor that is about to stop; answer when they are gone."""
        cell = self._supervisor.cells.get(command.actor)
        if cell is None or not cell.children:
            self._supervisor.reply(who, None)
            return
        cell.childless_waiters.append(who)
        self.stop_cells(list(cell.children), _children_by(cell))

    def stop_cells(self, actors: list[int], by: float | None = None) -> None:
        """Stop the children of an actor one after the other, the last first, each in its own time.

        After half of the longest of their times all that are left are told at once. Does not
        wait.

        Args:
            actors: their ids, in start order.
            by: the instant at which none of them may be left; None: no more than their own times.
        """
        cells = [cell for actor in actors if (cell := self._supervisor.cells.get(actor))]
        row = Row([cell.actor for cell in cells], by)
        for actor in row.left:
            child = self._supervisor.cells[actor]
            if child.stop_by is None:
                child.parent_gone = True
                child.words[CONTROL] = PARENT_GONE
            if actor in self._rows:
                self._rows[actor].left.remove(actor)  # it was in another, which had more time
            self._rows[actor] = row
        if len(cells) > 1:
            longest = max(self._time_in(row, cell) for cell in cells)
            hurry_at = monotonic() + longest * _ORDERLY_SHARE
            self._supervisor.at(hurry_at, functools.partial(self._hurry, row))
        self._step(row)

    def _step(self, row: Row) -> None:
        """Stop the last of a row, and so on while they end."""
        if row.stepping:
            return  # called from within the step below: it goes on by itself
        row.stepping = True
        try:
            while row.left and row.left[-1] != row.told and not row.hurried:
                row.told = row.left[-1]
                try:
                    self._order_in(row, row.told)
                except Exception:  # noqa: BLE001 - so wide: the rest of the row waits for this one
                    _log.exception("actor %d could not be told to stop: it is killed", row.told)
                    self._kill(self._supervisor.cells[row.told])
        finally:
            row.stepping = False

    def _hurry(self, row: Row) -> None:
        row.hurried = True
        for actor in reversed(row.left.copy()):
            if actor != row.told:
                self._order_in(row, actor)

    def _order_in(self, row: Row, actor: int) -> None:
        cell = self._supervisor.cells.get(actor)
        if cell is not None:
            self._order(cell, self._time_in(row, cell))

    def _time_in(self, row: Row, cell: Cell) -> float:
        own = self._allowed(cell, None)
        return own if row.by is None else max(0.0, min(own, row.by - monotonic()))

    def child_ended(self, parent: Cell) -> None:
        """A child of `parent` is over: tell whoever waits for the last of them."""
        if parent.children:
            return
        waiters, parent.childless_waiters = parent.childless_waiters, []
        for who in waiters:
            self._supervisor.reply(who, None)

    def _allowed(self, cell: Cell, timeout: float | None) -> float:
        if timeout is None:
            timeout = cell.options.stop_timeout
        return self._supervisor.stop_timeout if timeout is None else timeout

    def order(self, cell: Cell) -> None:
        """Stop an actor behind its messages, in its own time."""
        self._order(cell, self._allowed(cell, None))

    def park(self, cell: Cell) -> None:
        """Stop an actor behind the message in hand, in its own time; its mailbox is kept."""
        cell.words[CONTROL] = HALT
        # The nudge is for one that waits for a message: it takes no place, and wakes it.
        self._supervisor.station.send_control(cell.actor, frame(Kind.NUDGE, 0, b""))
        self._stop_by(cell, self._allowed(cell, None))

    def kill_cell(self, cell: Cell) -> None:
        """End an actor at once and for good."""
        self._kill(cell)

    def _order(self, cell: Cell, timeout: float) -> None:
        """Stop an actor from here: the STOP goes behind what the main program has sent."""
        if cell.child is not None or cell.life is Life.STARTING:
            self._supervisor.station.stop_in_order(cell.actor)
        self._stop_by(cell, timeout)

    def _stop_by(self, cell: Cell, timeout: float) -> None:
        deadline = monotonic() + timeout
        if self.is_ending:
            deadline = min(deadline, self._end_by)
        if cell.stop_by is not None and cell.stop_by <= deadline:
            return
        cell.stop_by = deadline
        # Its life is not to make way for another one, now that it goes to its end.
        cell.words[STOP_ORDERED] = 1
        # A deadline that has passed leaves none: a SIGTERM behind its SIGKILL would be reported.
        grace = min(_GRACE_S, max(0.0, deadline - monotonic()) * _GRACE_SHARE)
        cell.terminate_at = deadline - grace
        if cell.childless_waiters:  # it is about to stop by itself: its children have less time now
            self.stop_cells(list(cell.children), _children_by(cell))
        if cell.child is None and cell.life in (Life.DOWN, Life.UP):
            # Between two lives, or an inbox: nobody is there to finish the mailbox.
            self._supervisor.end_without_process(cell, cell.last_reason or _STOPPED)
            return
        self._supervisor.at(cell.terminate_at, self._if_still(cell, deadline, self._terminate))
        self._supervisor.at(deadline, self._if_still(cell, deadline, self._kill))

    def _if_still(
        self, cell: Cell, deadline: float, action: Callable[[Cell], None]
    ) -> Callable[[], None]:
        def act() -> None:
            if cell.life is not Life.OVER and cell.stop_by == deadline:
                action(cell)

        return act

    def _terminate(self, cell: Cell) -> None:
        cell.final = True
        if cell.child is not None:
            cell.was_suspended = cell.child.is_suspended()
            cell.ended_with = signal.SIGTERM
            # Announced first: an actor ignores a SIGTERM that nobody ordered.
            cell.words[CONTROL] = TERMINATE
            cell.child.send(signal.SIGTERM)

    def _kill(self, cell: Cell) -> None:
        cell.final = True
        cell.ended_with = signal.SIGKILL
        if cell.child is not None:
            cell.was_suspended = cell.child.is_suspended()
            cell.child.kill_group()
        elif cell.life is not Life.STARTING:
            reason = ExitReason(ExitKind.KILLED, signal.SIGKILL)
            self._supervisor.end_without_process(cell, reason)

    # -- without their mailboxes --------------------------------------------------------------

    def leave(self, command: c.Leave, who: ReplyTo) -> None:
        """Have actors end without finishing their mailboxes; does not wait for it."""
        cells = [cell for a in command.actors if (cell := self._supervisor.cells.get(a))]
        self._leave(cells, monotonic() + command.timeout)
        self._supervisor.reply(who, None)

    def _leave(self, cells: list[Cell], by: float) -> None:
        """Have actors end now, but for a handler's time to unwind; say for whom that waits."""
        busy = []
        for cell in cells:
            handler = self._supervisor.recovery.at_work(cell)
            if handler is not None:
                busy.append(f"{cell.name} (in {handler})")
            self._leave_one(cell, by)
        if busy:
            more = f" and {len(busy) - _NAMED} others" if len(busy) > _NAMED else ""
            text = "stopping without finishing the mailboxes: waiting up to %.1f s for %s%s"
            _log.warning(text, max(0.0, by - monotonic()), ", ".join(busy[:_NAMED]), more)

    def _leave_one(self, cell: Cell, by: float) -> None:
        if cell.life is Life.OVER:
            return  # with one before it
        if cell.child is None:
            self._kill(cell)
            return
        cell.final = True
        cell.stop_by = by
        cell.words[STOP_ORDERED] = 1
        cell.words[CONTROL] = LEAVE
        # It wakes one that waits for a message, and takes no place.
        self._supervisor.station.send_control(cell.actor, frame(Kind.NUDGE, 0, b""))
        self._supervisor.at(by, self._if_still(cell, by, self._kill))
        self._unwind(cell, by)

    def _unwind(self, cell: Cell, by: float) -> None:
        """Terminate an actor as soon as it is seen in a handler; an idle one leaves by itself."""
        if cell.life is Life.STARTING or cell.words[STATE] & IN_HAND:
            self._terminate(cell)
        else:
            again = self._if_still(cell, by, functools.partial(self._unwind, by=by))
            self._supervisor.at(monotonic() + _LOOK_S, again)

    # -- all of them --------------------------------------------------------------------------

    def close_intake(self) -> None:
        """Start no actor any more, and count for the report; from any thread."""
        self.intake_closed = True
        self._supervisor.recovery.tally.begin()

    def stop_all(self, command: c.StopAll, who: ReplyTo) -> None:
        """Stop everything: latest started first, then all at once, by one deadline."""
        self.close_intake()
        self._finished.append(who)
        end_by = monotonic() + command.timeout
        if self.is_ending:
            if command.drain and end_by >= self._end_by:
                return
            end_by = min(end_by, self._end_by)
        self.is_ending = True
        self._supervisor.show_end()
        self._end_by = end_by
        self._orderly = command.drain and command.timeout > 0
        if not command.drain:
            self._supervisor.recovery.is_abandoned = True
            self._supervisor.branches.stop_all()
            self._leave(list(self._supervisor.cells.values()), end_by)
        elif self._orderly:
            hurry_at = monotonic() + command.timeout * _ORDERLY_SHARE
            self._supervisor.at(hurry_at, self._stop_the_rest)
            self._stop_next()
        else:
            self._supervisor.branches.stop_all()
            for cell in list(self._supervisor.cells.values()):
                self._kill(cell)
        self._finish_if_empty()

    def ended(self, cell: Cell) -> None:
        """An actor is over: go on with the next, or be done."""
        row = self._rows.pop(cell.actor, None)
        if row is not None:
            row.left.remove(cell.actor)
            self._step(row)
        self.resume()

    def resume(self) -> None:
        """Go on with the system's stop, should an error have come between."""
        if not self.is_ending:
            return
        if self._orderly:
            self._stop_next()
        self._finish_if_empty()

    def _stop_next(self) -> None:
        """Stop the latest started of the main program's own actors, and so on while they end."""
        if self._stepping:
            return  # called from within the step below: it goes on by itself
        self._stepping = True
        try:
            while (cell := self._latest()) is not None and cell.stop_by is None:
                if cell.place is not None:
                    # A tree stops as one, its last child first; its end calls us again.
                    self._supervisor.branches.stop_tree_of(cell.place)
                    if cell.life is not Life.OVER and cell.stop_by is None:
                        return
                else:
                    self._order(cell, self._time_left(cell))
        finally:
            self._stepping = False

    def _latest(self) -> Cell | None:
        top = [cell for cell in self._supervisor.cells.values() if not self._has_parent(cell)]
        # Inboxes last: until then they take what the others send as their last words.
        top.sort(key=lambda cell: (not cell.is_inbox, cell.actor))
        return top[-1] if top else None

    def _stop_the_rest(self) -> None:
        self._orderly = False
        self._supervisor.branches.stop_all()
        for cell in list(self._supervisor.cells.values()):
            if not self._has_parent(cell):
                self._order(cell, self._time_left(cell))

    def _time_left(self, cell: Cell) -> float:
        """The actor's own time, inside what is left of the system's."""
        left, own = max(0.0, self._end_by - monotonic()), cell.options.stop_timeout
        return left if own is None else min(left, own)

    def _has_parent(self, cell: Cell) -> bool:
        return cell.parent in self._supervisor.cells

    def _finish_if_empty(self) -> None:
        if self._supervisor.cells:
            return
        # Trees without an actor now: whoever waits for them is told.
        self._supervisor.branches.stop_all()
        for who in self._finished:
            self._supervisor.reply(who, None)
        self._finished.clear()
        self._supervisor.finish()


def _children_by(parent: Cell) -> float | None:
    """Return by when the children of a stopping actor must have ended, so that it is in time."""
    if parent.stop_by is None:
        return None
    now = monotonic()
    return now + max(0.0, parent.terminate_at - now) * _CHILDREN_SHARE
