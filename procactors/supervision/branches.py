"""Supervision trees at work: what `group` decides, carried out on actors and on other branches.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: the files with the specs' classes and arguments, as long as the spec is there.
Never: decides anything: `group` does; waits.
"""

from __future__ import annotations

import collections
import functools
import logging
import random
from time import monotonic
from typing import TYPE_CHECKING

from procactors.errors import (
    ActorStopped,
    NameTaken,
    RestartIntensityExceeded,
    SpawnError,
)
from procactors.supervision import commands as c, group as g
from procactors.supervision.branch import (
    STOPPED,
    Branch,
    Slot,
    Verdict,
    cells,
    exit_of,
    is_copy,
    plans,
    reason_of,
    unlink,
)
from procactors.supervision.cell import Cell, Life, ReplyTo
from procactors.supervision.crash import CrashReport, ExitKind, ExitReason
from procactors.supervision.group import Ending, Exit, Order, Phase, Stage
from procactors.supervision.mishaps import as_answer
from procactors.tree import Strategy
from procactors.wire.blackbox import CLOSED, CLOSING

if TYPE_CHECKING:
    from procactors.supervision.supervisor import Supervisor

__all__ = ["Branches"]

_log = logging.getLogger("procactors")

#: Ends of trees kept for refs that ask later.
_REMEMBERED = 1_000


class Branches:
    """All supervisors of all trees of one system."""

    def __init__(self, owner: Supervisor) -> None:
        self._owner = owner
        self._branches: dict[int, Branch] = {}
        self._past: collections.OrderedDict[int, ExitReason] = collections.OrderedDict()

    # -- what happens to children -------------------------------------------------------------

    def child_started(self, slot: Slot) -> None:
        """A child's start is done."""
        node = slot.node
        assert node is not None
        self._owner.reply(slot.starter, node.info)
        slot.starter = None  # not before: whoever has not been told is told of an error
        branch = slot.branch
        self.step(branch, g.started(branch.group, slot.key, monotonic(), _draw()))

    def child_exited(
        self, slot: Slot, cell: Cell, reason: ExitReason, report: CrashReport
    ) -> Verdict:
        """An actor's process has ended, or did not come up: say what follows.

        The orders are to be carried out once the actor's mailbox is settled.
        """
        branch = slot.branch
        slot.last = (reason, report if reason.is_abnormal else None)
        if reason.is_abnormal:
            branch.deaths.append(report)
        if branch.group.member(slot.key).stage is Stage.STARTING:
            branch.failed = slot
        if cell.words[CLOSED] == CLOSING:
            # It had come to somebody's order to stop: who waits for its end, not for a new life.
            self.leave_down(slot)
        how = exit_of(cell, reason)
        branch.group, orders = g.exited(branch.group, slot.key, how, monotonic(), _draw())
        branch.orders.extend(orders)
        was_held, branch.is_held = branch.is_held, True
        comes_back = g.Close(slot.key) not in orders
        return Verdict(comes_back, functools.partial(self._release, branch, was_held))

    def child_ended(self, slot: Slot) -> None:
        """An actor is over for good: its place is empty."""
        slot.node = None

    def leave_down(self, slot: Slot) -> None:
        """Have a child not come back that is being stopped now, perhaps for a restart."""
        if self.is_stopping(slot):
            self.step(slot.branch, g.terminate(slot.branch.group, slot.key))

    def drop(self, slot: Slot, cell: Cell, reason: ExitReason) -> None:
        """End an actor of a tree that has no process now."""
        stage = _stage_of(slot)
        if stage is Stage.STARTING:
            slot.last = (reason, None)
            self._child_is_down(slot, Exit.SHUTDOWN)
        elif stage is Stage.PARKED:
            slot.last = (reason, None)
            self.step(slot.branch, g.terminate(slot.branch.group, slot.key))
        if cell.life is not Life.OVER:
            self._owner.lives.end(cell, reason)

    def is_stopping(self, slot: Slot) -> bool:
        """Return whether a child's supervisor has ordered it to stop, for good or for a restart."""
        return _stage_of(slot) is Stage.STOPPING

    # -- the system's end ---------------------------------------------------------------------

    def stop_tree_of(self, slot: Slot) -> None:
        """Stop the whole tree that an actor belongs to, last started first; once is enough."""
        branch = slot.branch
        while branch.above is not None:
            branch = branch.above.branch
        self.step(branch, g.stop(branch.group, parks=False))

    def stop_all(self) -> None:
        """Stop all trees."""
        for branch in list(self._branches.values()):
            if branch.above is None:
                self.step(branch, g.stop(branch.group, parks=False))

    # -- all supervisors ----------------------------------------------------------------------

    def find(self, number: int) -> Branch:
        """Return a supervisor by its id. Raises ActorStopped: it has ended."""
        try:
            return self._branches[number]
        except KeyError:
            raise ActorStopped("the supervisor has ended") from None

    def has(self, branch: Branch) -> bool:
        """Return whether a supervisor has not ended for good."""
        return branch.branch in self._branches

    def past(self, number: int) -> ExitReason | None:
        """Return how a supervisor has ended; None: it has not, or long ago."""
        return self._past.get(number)

    def new_branch(self, plan: c.BranchPlan, above: Slot | None) -> Branch:
        """Make a supervisor, not started yet. Raises NameTaken."""
        number, name = self._owner.new_name(plan.name, "supervisor")
        branch = Branch(number, name, plan, above)
        self._branches[number] = branch
        return branch

    # -- carrying out -------------------------------------------------------------------------

    def step(self, branch: Branch, step: g.Step) -> None:
        """Take a supervisor's next step: its new state, and what is to be done."""
        branch.group, orders = step
        branch.orders.extend(orders)
        self._carry_out(branch)

    def _release(self, branch: Branch, was_held: bool) -> None:
        """Go on with the orders that waited for a dead child's mailbox."""
        branch.is_held = was_held
        self._carry_out(branch)

    def _carry_out(self, branch: Branch) -> None:
        """Carry out what is ordered, first come, first served.

        Orders have consequences that come back as steps of the same supervisor while it is being
        served: those wait in the queue, for they follow from what is still to be done.
        """
        if branch.is_held:
            return
        branch.is_held = True
        try:
            while branch.orders:
                order = branch.orders.popleft()
                try:
                    self._obey(branch, order)
                except Exception as error:  # noqa: BLE001 - so wide: the other orders stand
                    self._broke(branch, order, error)
        finally:
            branch.is_held = False
        while branch.deferred and branch.group.phase is Phase.RUNNING:
            branch.deferred.popleft()()

    def _obey(self, branch: Branch, order: Order) -> None:
        if isinstance(order, g.Ready):
            self._ready(branch)
        elif isinstance(order, g.Over):
            self._over(branch, order.ending)
        else:
            slot = branch.slots[order.key]
            if isinstance(order, g.Start):
                self._start(slot, order.wait)
            elif isinstance(order, g.Stop):
                self._stop(slot, order.parks)
            else:
                self._close(slot)

    def _broke(self, branch: Branch, order: Order, error: Exception) -> None:
        """An order was broken off by an error of ours: have what it was for come to its end."""
        _log.error("supervisor %s met an error of its own", branch.name, exc_info=error)
        if isinstance(order, (g.Ready, g.Over)):
            self._owner.reply(branch.starter, as_answer(error, starts=True))
            branch.starter = None
            if isinstance(order, g.Over):
                self._bury(branch, reason_of(branch, order.ending))
            else:
                self.step(branch, g.stop(branch.group, parks=False))
            return
        slot = branch.slots.get(order.key)
        if slot is None:
            return
        if isinstance(order, g.Start):
            self._cannot_start(slot, error)
        elif isinstance(order, g.Stop):
            self._kill(slot)
        else:
            self._answer_place(slot)

    def _kill(self, slot: Slot) -> None:
        """Bring a child down that could not be stopped."""
        below = [slot.node] if isinstance(slot.node, Cell) else []
        if isinstance(slot.node, Branch):
            below = list(cells(slot.node))
        for cell in below:
            self._owner.stopping.kill_cell(cell)
        if not below:
            self._child_is_down(slot, Exit.SHUTDOWN)

    def collapse(self, slot: Slot, reason: ExitReason) -> None:
        """Give up the whole tree that an actor belongs to; all who wait for it are told."""
        branch = slot.branch
        while branch.above is not None:
            branch = branch.above.branch
        starter, branch.starter = branch.starter, None
        self._owner.reply(starter, SpawnError(f"the tree {branch.name} {reason}"))
        for cell in cells(branch):
            self._owner.mishaps.let_go(cell)
        self._bury(branch, reason)

    def _start(self, slot: Slot, wait: float) -> None:
        slot.error = None
        if isinstance(slot.plan, c.BranchPlan):
            self._start_branch(slot, slot.plan, wait)
            return
        if slot.node is None:
            try:
                slot.node = self._new_cell(slot, slot.plan)
            except Exception as error:  # noqa: BLE001 - so wide: its supervisor waits for this start
                self._cannot_start(slot, error)
                return
        assert isinstance(slot.node, Cell)
        self._owner.lives.respawn(slot.node, wait)

    def _new_cell(self, slot: Slot, plan: c.ActorPlan) -> Cell:
        options, prefix = plan.options, None
        if slot.branch.plan.strategy is Strategy.DYNAMIC and not slot.name and options.name:
            options, prefix = options.replace(name=None), options.name
        elif slot.name:
            options = options.replace(name=slot.name)
        cell = self._owner.new_cell(options, plan.class_name, 0, prefix)
        try:
            cell.take_blueprint(plan.blueprint, is_shared=True)
        except BaseException:  # whatever it is: nobody else knows of this actor yet
            self._owner.remember(cell)
            raise
        cell.extra = plan.extra
        cell.place = slot
        cell.life = Life.DOWN
        slot.name = cell.name
        return cell

    def _cannot_start(self, slot: Slot, error: Exception) -> None:
        slot.error = (
            SpawnError(f"{slot.name}: {error}")
            if isinstance(error, OSError)
            else as_answer(error, starts=True)
        )
        slot.last = (ExitReason(ExitKind.START, None, str(error)), None)
        slot.branch.failed = slot
        self._child_is_down(slot, Exit.ABNORMAL)

    def _start_branch(self, slot: Slot, plan: c.BranchPlan, wait: float) -> None:
        branch = slot.node
        if branch is None:
            try:
                branch = slot.node = self.new_branch(plan, slot)
            except NameTaken as error:
                self._cannot_start(slot, error)
                return
        assert isinstance(branch, Branch)
        slot.name = branch.name
        branch.turn += 1
        turn = branch.turn

        def begin() -> None:
            if branch.turn == turn and branch.branch in self._branches:
                branch.failed = None
                self.step(branch, g.start(branch.group))

        if wait > 0:
            self._owner.at(monotonic() + wait, begin)
        else:
            begin()

    def _stop(self, slot: Slot, parks: bool) -> None:
        node = slot.node
        if isinstance(node, Branch):
            if node.group.phase is Phase.OVER or not node.turn:  # it waits for its start
                node.turn += 1
                self._child_is_down(slot, Exit.SHUTDOWN)
            else:
                self.step(node, g.stop(node.group, parks=parks))
        elif node is None:
            self._child_is_down(slot, Exit.SHUTDOWN)
        elif node.child is None and node.life is Life.DOWN:
            self._owner.lives.cancel(node)
            slot.last = (STOPPED, None)
            self._child_is_down(slot, Exit.SHUTDOWN)
        elif parks:
            self._owner.stopping.park(node)
        else:
            self._owner.stopping.order(node)

    def _child_is_down(self, slot: Slot, how: Exit) -> None:
        branch = slot.branch
        self.step(branch, g.exited(branch.group, slot.key, how, monotonic(), _draw()))

    def _close(self, slot: Slot) -> None:
        """A child that is down does not come back."""
        reason, _ = slot.last
        node, branch = slot.node, slot.branch
        if isinstance(node, Cell):
            self._owner.lives.end(node, reason)
        elif node is not None:
            self._bury(node, reason)
        slot.node = None
        self._answer_place(slot)
        if not branch.group.has(slot.key):
            self.forget(slot)

    def _answer_place(self, slot: Slot) -> None:
        """Tell who waits for a child's start or end that it is down."""
        if slot.starter is not None:
            self._tell_failed(slot.starter, slot)
            slot.starter = None
        self._tell_enders(slot)

    def _tell_enders(self, slot: Slot) -> None:
        while slot.enders:
            self._owner.reply(slot.enders[0], slot.last[0])
            del slot.enders[0]  # behind it: should the answer raise, it is tried again

    def _tell_failed(self, who: ReplyTo | None, slot: Slot) -> None:
        """Answer a start with what failed: this child, or one below it."""
        if slot.error is not None:
            self._owner.reply(who, slot.error)
            return
        if isinstance(slot.plan, c.BranchPlan):
            self._owner.reply(who, SpawnError(f"supervisor {slot.name} {slot.last[0]}"))
            return
        reason, report = slot.last
        self._owner.lives.tell_failed_start(who, slot.plan.class_name, slot.name, reason, report)

    def _ready(self, branch: Branch) -> None:
        told = self._owner.reply(branch.starter, branch.info)
        branch.starter = None
        if not told:  # but of an error
            self.step(branch, g.stop(branch.group, parks=False))
        if branch.above is not None:
            self.child_started(branch.above)

    def _over(self, branch: Branch, ending: Ending) -> None:
        reason = reason_of(branch, ending)
        if ending is Ending.GAVE_UP:
            _log.error("supervisor %s %s", branch.name, reason)
        above = branch.above
        if above is not None:
            above.last = (reason, None)
            above.branch.deaths.extend(branch.deaths)
            branch.deaths.clear()
            if ending is Ending.START_FAILED and branch.failed is not None:
                # Named at the top, where somebody may wait for the start of the whole tree.
                above.last, above.error = branch.failed.last, branch.failed.error
                above.branch.failed = branch.failed
            how = Exit.SHUTDOWN if ending is Ending.ORDERED else Exit.NORMAL
            self._child_is_down(above, Exit.ABNORMAL if ending is Ending.START_FAILED else how)
            return
        starter, branch.starter = branch.starter, None
        if ending is Ending.START_FAILED and branch.failed is not None:
            self._tell_failed(starter, branch.failed)
        elif starter is not None:
            self._owner.reply(starter, SpawnError(f"the tree {branch.name} was stopped"))
        self._bury(branch, reason)
        if ending is Ending.GAVE_UP:
            text = f"supervisor {branch.name} {reason}"
            self._owner.fail(RestartIntensityExceeded(text, tuple(branch.deaths)))

    def _bury(self, branch: Branch, reason: ExitReason) -> None:
        """Forget a supervisor for good, and end what its children left."""
        if self._branches.pop(branch.branch, None) is None:
            return
        branch.orders.clear()
        gave_up = reason.kind is ExitKind.GAVE_UP
        because = f"its supervisor {branch.name} {reason}" if gave_up else ""
        # Each step is somebody's answer: none of them hangs on the others.
        quietly = self._owner.mishaps.quietly
        for slot in reversed(list(branch.slots.values())):
            quietly(functools.partial(self._empty, slot, reason, because))
        if branch.above is None:
            for plan in plans(branch.plan):
                unlink(plan.blueprint)
        self._past[branch.branch] = reason
        quietly(
            lambda: self._owner.release_name(branch.name),
            lambda: self._answer_all(branch, reason),
        )
        while len(self._past) > _REMEMBERED:
            self._past.popitem(last=False)

    def _empty(self, slot: Slot, reason: ExitReason, because: str) -> None:
        """End what is at a place whose supervisor is no more, and tell who waits for it."""
        node, branch = slot.node, slot.branch
        if isinstance(node, Cell):
            self._owner.lives.end(node, slot.last[0], because)
        elif node is not None:
            self._bury(node, reason)
        slot.node = None
        self._tell_enders(slot)
        self._owner.reply(slot.starter, ActorStopped(f"supervisor {branch.name} has ended"))
        slot.starter = None
        self.forget(slot)

    def _answer_all(self, branch: Branch, reason: ExitReason) -> None:
        """Answer whoever waits for the end of a supervisor, or for its restart."""
        while branch.waiters:
            self._owner.reply(branch.waiters[0], reason)
            del branch.waiters[0]
        while branch.deferred:
            branch.deferred.popleft()()  # they are told that it has ended

    def forget(self, slot: Slot) -> None:
        """Drop a spec: what was given for this child alone goes with it."""
        branch = slot.branch
        branch.slots.pop(slot.key, None)
        if isinstance(slot.plan, c.ActorPlan) and slot.plan.extra:
            unlink(slot.plan.extra)
        if slot.plan not in branch.plan.children and not is_copy(slot):
            for plan in plans(slot.plan):
                unlink(plan.blueprint)


def _stage_of(slot: Slot) -> Stage | None:
    """Return where a child is; None if it has been forgotten."""
    group = slot.branch.group
    return group.member(slot.key).stage if group.has(slot.key) else None


def _draw() -> float:
    return random.random()  # noqa: S311 - jitter, not a secret
