"""Supervision trees at work: what `group` decides, carried out on actors and on other branches.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: the files with the specs' classes and arguments, as long as the spec is there.
Never: decides anything: `group` does; waits.

A `Branch` is one supervisor of a tree. It has no process. Each child has a `Slot`, which outlives
the child: its node is a cell, another branch, or None while nothing of it is left but its spec.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
import logging
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from procactors.errors import (
    ActorStopped,
    InvalidSpec,
    NameTaken,
    ProcActorsError,
    RestartIntensityExceeded,
    SpawnError,
    SupervisionError,
)
from procactors.supervision import commands as c, group as g
from procactors.supervision.cell import Cell, Life, ReplyTo
from procactors.supervision.crash import CrashReport, ExitKind, ExitReason
from procactors.supervision.group import Ending, Exit, Group, Member, Order, Phase, Stage
from procactors.tree import Strategy

if TYPE_CHECKING:
    from procactors.supervision.supervisor import Supervisor

__all__ = ["Branch", "Branches", "Slot", "Verdict"]

_log = logging.getLogger("procactors")

#: Ends of trees kept for refs that ask later.
_REMEMBERED = 1_000

#: Deaths kept of each supervisor, for the history of its giving up.
_HISTORY = 100

_STOPPED = ExitReason(ExitKind.STOPPED)


class Slot:
    """One child's place under a supervisor."""

    def __init__(self, branch: Branch, key: int, plan: c.ActorPlan | c.BranchPlan) -> None:
        self.branch = branch
        self.key = key
        self.plan = plan
        self.name = _planned_name(plan)
        self.node: Cell | Branch | None = None
        #: How its last life ended, and the report if it was a crash.
        self.last: tuple[ExitReason, CrashReport | None] = (_STOPPED, None)
        #: What kept it from being started at all; None if something was.
        self.error: ProcActorsError | None = None
        #: Who waits for its start, because he asked for it.
        self.starter: ReplyTo | None = None
        #: Who waits for its end.
        self.enders: list[ReplyTo] = []


class Branch:
    """One supervisor of a tree."""

    def __init__(self, branch: int, name: str, plan: c.BranchPlan, above: Slot | None) -> None:
        self.branch = branch
        self.name = name
        self.plan = plan
        self.above = above
        self.slots: dict[int, Slot] = {}
        self.starter: ReplyTo | None = None
        self.waiters: list[ReplyTo] = []
        #: Commands that wait until no restart is under way.
        self.deferred: collections.deque[Callable[[], None]] = collections.deque()
        #: The last deaths, for the history of giving up.
        self.deaths: collections.deque[CrashReport] = collections.deque(maxlen=_HISTORY)
        #: The child whose start failed, once one did.
        self.failed: Slot | None = None
        #: Number of the current start: a timer of an earlier one is late.
        self.turn = 0
        self._keys = itertools.count()
        is_dynamic = plan.strategy is Strategy.DYNAMIC
        members = [] if is_dynamic else [self.member(child, True) for child in plan.children]
        self.group = Group(
            strategy=plan.strategy,
            max_restarts=plan.max_restarts,
            within=plan.within,
            auto_shutdown=plan.auto_shutdown,
            members=tuple(members),
        )

    @property
    def info(self) -> c.BranchInfo:
        """What makes a ref to this supervisor."""
        return c.BranchInfo(self.branch, self.name)

    def member(self, plan: c.ActorPlan | c.BranchPlan, is_static: bool) -> Member:
        """Make the slot of a new child; return it as the policy sees it."""
        slot = Slot(self, next(self._keys), plan)
        self.slots[slot.key] = slot
        options = plan.options if isinstance(plan, c.ActorPlan) else None
        return Member(
            slot.key,
            restart=plan.restart if isinstance(plan, c.BranchPlan) else plan.options.restart,
            significant=plan.significant,
            backoff=options.backoff if options is not None else None,
            is_static=is_static,
        )


class Verdict:
    """What follows from a child's death: whether its mailbox is kept, and the orders."""

    def __init__(self, comes_back: bool, carry_out: Callable[[], None]) -> None:
        self.comes_back = comes_back
        self.carry_out = carry_out


class Branches:
    """All supervisors of all trees of one system."""

    def __init__(self, owner: Supervisor) -> None:
        self._owner = owner
        self._branches: dict[int, Branch] = {}
        self._past: collections.OrderedDict[int, ExitReason] = collections.OrderedDict()
        self.handlers: dict[type, Callable[[Any, ReplyTo], None]] = {
            c.Supervise: self._supervise,
            c.StartChild: self._start_child,
            c.TerminateChild: self._terminate_child,
            c.RestartChild: self._restart_child,
            c.DeleteChild: self._delete_child,
            c.ListChildren: self._list_children,
            c.StopBranch: self._stop_branch,
            c.WaitBranch: self._wait_branch,
        }

    # -- what happens to children -------------------------------------------------------------

    def child_started(self, slot: Slot) -> None:
        """A child's start is done."""
        starter, slot.starter = slot.starter, None
        node = slot.node
        assert node is not None
        self._owner.reply(starter, node.info)
        branch = slot.branch
        self._step(branch, g.started(branch.group, slot.key, monotonic(), _draw()))

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
        how = _how(cell, reason)
        group, orders = g.exited(branch.group, slot.key, how, monotonic(), _draw())
        branch.group = group
        comes_back = g.Close(slot.key) not in orders
        return Verdict(comes_back, functools.partial(self._carry_out, branch, orders))

    def child_ended(self, slot: Slot) -> None:
        """An actor is over for good: its place is empty."""
        slot.node = None

    def drop(self, slot: Slot, cell: Cell, reason: ExitReason) -> None:
        """End an actor of a tree that has no process now."""
        branch = slot.branch
        if branch.group.has(slot.key) and branch.group.member(slot.key).stage is Stage.STARTING:
            slot.last = (reason, None)
            self._step(branch, g.exited(branch.group, slot.key, Exit.SHUTDOWN, monotonic()))
        if cell.life is not Life.OVER:
            self._owner.lives.end(cell, reason)

    def is_stopping(self, slot: Slot) -> bool:
        """Return whether a child's supervisor has ordered it to stop, for good or for a restart."""
        return slot.branch.group.member(slot.key).stage is Stage.STOPPING

    def ends_for_good(self, slot: Slot) -> None:
        """Somebody ends an actor: a restart that is stopping it just now does not keep it."""
        if self.is_stopping(slot):
            self._step(slot.branch, g.terminate(slot.branch.group, slot.key))

    # -- the system's end ---------------------------------------------------------------------

    def stop_tree_of(self, slot: Slot) -> None:
        """Stop the whole tree that an actor belongs to, last started first; once is enough."""
        branch = slot.branch
        while branch.above is not None:
            branch = branch.above.branch
        self._step(branch, g.stop(branch.group, parks=False))

    def stop_all(self) -> None:
        """Stop all trees."""
        for branch in list(self._branches.values()):
            if branch.above is None:
                self._step(branch, g.stop(branch.group, parks=False))

    # -- carrying out -------------------------------------------------------------------------

    def _step(self, branch: Branch, step: g.Step) -> None:
        branch.group, orders = step
        self._carry_out(branch, orders)

    def _carry_out(self, branch: Branch, orders: tuple[Order, ...]) -> None:
        for order in orders:
            if isinstance(order, g.Start):
                self._start(branch.slots[order.key], order.wait)
            elif isinstance(order, g.Stop):
                self._stop(branch.slots[order.key], order.parks)
            elif isinstance(order, g.Close):
                self._close(branch.slots[order.key])
            elif isinstance(order, g.Ready):
                self._ready(branch)
            else:
                self._over(branch, order.ending)
        while branch.deferred and branch.group.phase is Phase.RUNNING:
            branch.deferred.popleft()()

    def _start(self, slot: Slot, wait: float) -> None:
        slot.error = None
        if isinstance(slot.plan, c.BranchPlan):
            self._start_branch(slot, slot.plan, wait)
            return
        if slot.node is None:
            try:
                slot.node = self._new_cell(slot, slot.plan)
            except (ProcActorsError, OSError) as error:
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
            # A name of its own for the same bytes: the actor's folder goes with the actor.
            os.link(plan.blueprint, os.path.join(cell.folder, "blueprint"))
        except OSError:
            self._owner.remember(cell)
            raise
        cell.extra = plan.extra
        cell.place = slot
        cell.life = Life.DOWN
        slot.name = cell.name
        return cell

    def _cannot_start(self, slot: Slot, error: Exception) -> None:
        slot.error = (
            error if isinstance(error, ProcActorsError) else SpawnError(f"{slot.name}: {error}")
        )
        slot.last = (ExitReason(ExitKind.START, None, str(error)), None)
        slot.branch.failed = slot
        self._child_is_down(slot, Exit.ABNORMAL)

    def _start_branch(self, slot: Slot, plan: c.BranchPlan, wait: float) -> None:
        branch = slot.node
        if branch is None:
            try:
                branch = slot.node = self._new_branch(plan, slot)
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
                self._step(branch, g.start(branch.group))

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
                self._step(node, g.stop(node.group, parks=parks))
        elif node is None:
            self._child_is_down(slot, Exit.SHUTDOWN)
        elif node.child is None and node.life is Life.DOWN:
            self._owner.lives.cancel(node)
            slot.last = (_STOPPED, None)
            self._child_is_down(slot, Exit.SHUTDOWN)
        elif parks:
            self._owner.stopping.park(node)
        else:
            self._owner.stopping.order(node)

    def _child_is_down(self, slot: Slot, how: Exit) -> None:
        branch = slot.branch
        self._step(branch, g.exited(branch.group, slot.key, how, monotonic(), _draw()))

    def _close(self, slot: Slot) -> None:
        """A child that is down does not come back."""
        reason, _ = slot.last
        node, branch = slot.node, slot.branch
        if isinstance(node, Cell):
            self._owner.lives.end(node, reason)
        elif node is not None:
            self._bury(node, reason)
        slot.node = None
        starter, slot.starter = slot.starter, None
        if starter is not None:
            self._tell_failed(starter, slot)
        enders, slot.enders = slot.enders, []
        for who in enders:
            self._owner.reply(who, reason)
        if not branch.group.has(slot.key):
            self._forget(slot)

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
        starter, branch.starter = branch.starter, None
        self._owner.reply(starter, branch.info)
        if branch.above is not None:
            self.child_started(branch.above)

    def _over(self, branch: Branch, ending: Ending) -> None:
        reason = _reason_of(branch, ending)
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
        gave_up = reason.kind is ExitKind.GAVE_UP
        because = f"its supervisor {branch.name} {reason}" if gave_up else ""
        for slot in reversed(list(branch.slots.values())):
            node = slot.node
            if isinstance(node, Cell):
                self._owner.lives.end(node, slot.last[0], because)
            elif node is not None:
                self._bury(node, reason)
            slot.node = None
            for who in slot.enders:
                self._owner.reply(who, slot.last[0])
            self._owner.reply(slot.starter, ActorStopped(f"supervisor {branch.name} has ended"))
            self._forget(slot)
        if branch.above is None:
            for plan in _plans(branch.plan):
                _unlink(plan.blueprint)
        self._owner.release_name(branch.name)
        self._past[branch.branch] = reason
        while len(self._past) > _REMEMBERED:
            self._past.popitem(last=False)
        self._answer_all(branch, reason)

    def _answer_all(self, branch: Branch, reason: ExitReason) -> None:
        """Answer whoever waits for the end of a supervisor, or for its restart."""
        waiters, branch.waiters = branch.waiters, []
        for who in waiters:
            self._owner.reply(who, reason)
        while branch.deferred:
            branch.deferred.popleft()()  # they are told that it has ended

    def _forget(self, slot: Slot) -> None:
        """Drop a spec: what was given for this child alone goes with it."""
        branch = slot.branch
        branch.slots.pop(slot.key, None)
        if isinstance(slot.plan, c.ActorPlan) and slot.plan.extra:
            _unlink(slot.plan.extra)
        if slot.plan not in branch.plan.children and not _is_copy(slot):
            for plan in _plans(slot.plan):
                _unlink(plan.blueprint)

    def _new_branch(self, plan: c.BranchPlan, above: Slot | None) -> Branch:
        number, name = self._owner.new_name(plan.name, "supervisor")
        branch = Branch(number, name, plan, above)
        self._branches[number] = branch
        return branch

    # -- commands -----------------------------------------------------------------------------

    def _supervise(self, command: c.Supervise, who: ReplyTo) -> None:
        try:
            if self._owner.stopping.intake_closed:
                raise SpawnError("the tree was not started: the system is stopping")
            branch = self._new_branch(command.plan, None)
        except BaseException:
            for plan in _plans(command.plan):
                _unlink(plan.blueprint)
            raise
        branch.starter = who
        branch.turn = 1
        self._step(branch, g.start(branch.group))

    def _start_child(self, command: c.StartChild, who: ReplyTo) -> None:
        branch = self._find(command.branch)
        if self._waits(branch, functools.partial(self._start_child, command), who):
            return
        plan = command.plan
        if self._owner.stopping.intake_closed:
            raise SpawnError(f"no child of {branch.name} is started: the system is stopping")
        is_dynamic = branch.plan.strategy is Strategy.DYNAMIC
        try:
            if (plan is None) is not is_dynamic:
                raise InvalidSpec(
                    f"supervisor {branch.name} is {branch.plan.strategy.value}: start_child takes "
                    + ("further arguments for its one spec" if is_dynamic else "spec(Class, ...)")
                )
            if plan is None:
                template = branch.plan.children[0]
                assert isinstance(template, c.ActorPlan)
                plan = replace(template, extra=command.extra)
            name = _planned_name(plan)
            if not is_dynamic and name and any(s.name == name for s in branch.slots.values()):
                raise NameTaken(
                    f"supervisor {branch.name} has a child named {name!r} already; restart_child "
                    f"starts it again, delete_child forgets it"
                )
            self._owner.check_name("" if is_dynamic else name)
        except BaseException:
            if command.extra:
                _unlink(command.extra)
            for unused in _plans(command.plan) if command.plan is not None else ():
                _unlink(unused.blueprint)
            raise
        member = branch.member(plan, is_static=False)
        slot = branch.slots[member.key]
        if is_dynamic:
            slot.name = ""
        slot.starter = who
        self._step(branch, g.add(branch.group, member))

    def _terminate_child(self, command: c.TerminateChild, who: ReplyTo) -> None:
        branch = self._find(command.branch)
        if self._waits(branch, functools.partial(self._terminate_child, command), who):
            return
        slot = self._slot(branch, command.name)
        if branch.group.member(slot.key).stage is Stage.IDLE:
            self._owner.reply(who, slot.last[0])
            return
        slot.enders.append(who)
        self._step(branch, g.terminate(branch.group, slot.key))

    def _restart_child(self, command: c.RestartChild, who: ReplyTo) -> None:
        branch = self._find(command.branch)
        if self._waits(branch, functools.partial(self._restart_child, command), who):
            return
        slot = self._slot(branch, command.name)
        self._must_be_down(branch, slot, "terminate_child stops it")
        slot.starter = who
        self._step(branch, g.launch(branch.group, slot.key))

    def _delete_child(self, command: c.DeleteChild, who: ReplyTo) -> None:
        branch = self._find(command.branch)
        if self._waits(branch, functools.partial(self._delete_child, command), who):
            return
        slot = self._slot(branch, command.name)
        self._must_be_down(branch, slot, "terminate_child stops it first")
        branch.group = g.remove(branch.group, slot.key)
        self._forget(slot)
        self._owner.reply(who, None)

    def _list_children(self, command: c.ListChildren, who: ReplyTo) -> None:
        branch = self._find(command.branch)
        rows = []
        for member in branch.group.members:
            slot = branch.slots[member.key]
            plan = slot.plan
            is_up = member.stage in (Stage.UP, Stage.STOPPING) or slot.node is not None
            rows.append(
                c.ChildRow(
                    name=slot.name,
                    info=slot.node.info if is_up and slot.node is not None else None,
                    class_name=plan.class_name if isinstance(plan, c.ActorPlan) else "",
                    restart=member.restart,
                    state=_shown(member),
                    significant=member.significant,
                )
            )
        self._owner.reply(who, rows)

    def _stop_branch(self, command: c.StopBranch, who: ReplyTo) -> None:
        if command.branch in self._past:
            self._owner.reply(who, self._past[command.branch])
            return
        branch = self._find(command.branch)
        branch.waiters.append(who)
        if command.timeout is not None:
            kill = functools.partial(self._kill_branch, branch)
            self._owner.at(monotonic() + command.timeout, kill)
        if branch.group.phase is Phase.OVER:  # parked by the one above, or waiting for its start
            if branch.above is not None:
                self._step(
                    branch.above.branch, g.terminate(branch.above.branch.group, branch.above.key)
                )
            return
        self._step(branch, g.stop(branch.group, parks=False))

    def _kill_branch(self, branch: Branch) -> None:
        if branch.branch in self._branches:
            for cell in list(_cells(branch)):
                self._owner.stopping.kill_cell(cell)

    def _wait_branch(self, command: c.WaitBranch, who: ReplyTo) -> None:
        if command.branch in self._past:
            self._owner.reply(who, self._past[command.branch])
        else:
            self._find(command.branch).waiters.append(who)

    def _find(self, number: int) -> Branch:
        try:
            return self._branches[number]
        except KeyError:
            raise ActorStopped("the supervisor has ended") from None

    def _waits(self, branch: Branch, again: Callable[[ReplyTo], None], who: ReplyTo) -> bool:
        """Put a command off while a start, a restart or a stop is under way; return whether."""
        if branch.group.phase is Phase.RUNNING:
            return False
        comes_back = branch.above is not None and branch.group.parks  # unless the one above ends it
        if branch.group.ending is not None and not comes_back:
            raise ActorStopped(f"supervisor {branch.name} is stopping")
        branch.deferred.append(lambda: self._owner.guarded_command(again, who))
        return True

    def _slot(self, branch: Branch, name: str) -> Slot:
        for slot in branch.slots.values():
            if slot.name == name:
                return slot
        names = sorted(slot.name for slot in branch.slots.values())
        raise SupervisionError(f"supervisor {branch.name} has no child {name!r}; it has {names}")

    def _must_be_down(self, branch: Branch, slot: Slot, hint: str) -> None:
        stage = branch.group.member(slot.key).stage
        if stage is not Stage.IDLE:
            raise SupervisionError(
                f"expected child {slot.name!r} of supervisor {branch.name} to be down, but it is "
                f"{stage.value}; {hint}"
            )


def _draw() -> float:
    return random.random()  # noqa: S311 - jitter, not a secret


def _how(cell: Cell, reason: ExitReason) -> Exit:
    """Say what an actor's end means to the policy."""
    if cell.final or cell.stop_by is not None or reason.kind is ExitKind.STOPPED:
        return Exit.SHUTDOWN
    return Exit.ABNORMAL if reason.is_abnormal else Exit.NORMAL


def _reason_of(branch: Branch, ending: Ending) -> ExitReason:
    if ending is Ending.GAVE_UP:
        plan = branch.plan
        text = (
            f"restart number {len(branch.group.restarts)} within {plan.within} s, allowed are "
            f"{plan.max_restarts}"
        )
        return ExitReason(ExitKind.GAVE_UP, None, text)
    if ending is Ending.START_FAILED:
        failed = branch.failed
        text = f"its child {failed.name} {failed.last[0]}" if failed is not None else ""
        return ExitReason(ExitKind.START, None, text)
    return ExitReason(ExitKind.NORMAL) if ending is Ending.AUTO_SHUTDOWN else _STOPPED


def _planned_name(plan: c.ActorPlan | c.BranchPlan) -> str:
    if isinstance(plan, c.BranchPlan):
        return plan.name or ""
    return plan.options.name or ""


def _plans(plan: c.ActorPlan | c.BranchPlan) -> Iterator[c.ActorPlan]:
    """Yield the actors of a plan."""
    if isinstance(plan, c.ActorPlan):
        yield plan
    else:
        for child in plan.children:
            yield from _plans(child)


def _cells(branch: Branch) -> Iterator[Cell]:
    for slot in branch.slots.values():
        if isinstance(slot.node, Branch):
            yield from _cells(slot.node)
        elif slot.node is not None:
            yield slot.node


def _is_copy(slot: Slot) -> bool:
    return slot.branch.plan.strategy is Strategy.DYNAMIC


def _shown(member: Member) -> str:
    if member.stage is Stage.IDLE:
        return "down"
    if member.stage is Stage.PARKED or (member.stage is Stage.STARTING and member.in_a_row):
        return "restarting"
    return str(member.stage.value)


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
