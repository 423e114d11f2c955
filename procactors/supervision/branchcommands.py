"""What the ref of a tree's supervisor can ask: its commands, each answered once.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: the files that come with a command, until a child has them.
Never: decides anything: `group` does; waits: what comes during a restart is put off.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from procactors.errors import (
    ActorStopped,
    InvalidSpec,
    NameTaken,
    SpawnError,
    SupervisionError,
)
from procactors.supervision import commands as c, group as g
from procactors.supervision.branch import (
    Branch,
    Slot,
    cells,
    is_copy,
    planned_name,
    plans,
    shown,
    unlink,
)
from procactors.supervision.cell import ReplyTo
from procactors.supervision.group import Ending, Phase, Stage
from procactors.tree import Strategy, check_significant

if TYPE_CHECKING:
    from procactors.supervision.supervisor import Supervisor

__all__ = ["BranchCommands"]


class BranchCommands:
    """The supervisor's side that answers the refs of trees' supervisors."""

    def __init__(self, owner: Supervisor) -> None:
        self._owner = owner
        self._branches = owner.branches
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

    def _supervise(self, command: c.Supervise, who: ReplyTo) -> None:
        try:
            if self._owner.stopping.intake_closed:
                raise SpawnError("the tree was not started: the system is stopping")
            branch = self._branches.new_branch(command.plan, None)
        except BaseException:
            for plan in plans(command.plan):
                unlink(plan.blueprint)
            raise
        branch.starter = who
        branch.turn = 1
        self._branches.step(branch, g.start(branch.group))

    def _start_child(self, command: c.StartChild, who: ReplyTo) -> None:
        try:
            branch = self._branches.find(command.branch)
            if self._waits(branch, functools.partial(self._start_child, command), who):
                return
            plan = self._plan_of_child(branch, command)
        except BaseException:
            if command.extra:
                unlink(command.extra)
            for unused in plans(command.plan) if command.plan is not None else ():
                unlink(unused.blueprint)
            raise
        member = branch.member(plan, is_static=False)
        slot = branch.slots[member.key]
        if is_copy(slot):
            slot.name = ""
        slot.starter = who
        self._branches.step(branch, g.add(branch.group, member))

    def _plan_of_child(self, branch: Branch, command: c.StartChild) -> c.ActorPlan | c.BranchPlan:
        """Return the plan of a child to be started. Raises: it cannot be one of this supervisor."""
        if self._owner.stopping.intake_closed:
            raise SpawnError(f"no child of {branch.name} is started: the system is stopping")
        plan, is_dynamic = command.plan, branch.plan.strategy is Strategy.DYNAMIC
        if (plan is None) is not is_dynamic:
            raise InvalidSpec(
                f"supervisor {branch.name} is {branch.plan.strategy.value}: start_child takes "
                + ("further arguments for its one spec" if is_dynamic else "spec(Class, ...)")
            )
        if plan is None:
            template = branch.plan.children[0]
            assert isinstance(template, c.ActorPlan)
            return template._replace(extra=command.extra)
        name = planned_name(plan)
        check_significant(plan.significant, branch.plan.auto_shutdown, name or "this child")
        if name and any(slot.name == name for slot in branch.slots.values()):
            raise NameTaken(
                f"supervisor {branch.name} has a child named {name!r} already; restart_child "
                f"starts it again, delete_child forgets it"
            )
        self._owner.check_name(name)
        return plan

    def _terminate_child(self, command: c.TerminateChild, who: ReplyTo) -> None:
        branch = self._branches.find(command.branch)
        if self._waits(branch, functools.partial(self._terminate_child, command), who):
            return
        slot = self._slot(branch, command.name)
        if branch.group.member(slot.key).stage is Stage.IDLE:
            self._owner.reply(who, slot.last[0])
            return
        slot.enders.append(who)
        self._branches.step(branch, g.terminate(branch.group, slot.key))

    def _restart_child(self, command: c.RestartChild, who: ReplyTo) -> None:
        branch = self._branches.find(command.branch)
        if self._waits(branch, functools.partial(self._restart_child, command), who):
            return
        slot = self._slot(branch, command.name)
        self._must_be_down(branch, slot, "terminate_child stops it")
        slot.starter = who
        self._branches.step(branch, g.launch(branch.group, slot.key))

    def _delete_child(self, command: c.DeleteChild, who: ReplyTo) -> None:
        branch = self._branches.find(command.branch)
        if self._waits(branch, functools.partial(self._delete_child, command), who):
            return
        slot = self._slot(branch, command.name)
        self._must_be_down(branch, slot, "terminate_child stops it first")
        branch.group = g.remove(branch.group, slot.key)
        self._branches.forget(slot)
        self._owner.reply(who, None)

    def _list_children(self, command: c.ListChildren, who: ReplyTo) -> None:
        branch = self._branches.find(command.branch)
        rows = []
        for member in branch.group.members:
            slot = branch.slots[member.key]
            plan = slot.plan
            rows.append(
                c.ChildRow(
                    name=slot.name,
                    info=slot.node.info if slot.node is not None else None,
                    class_name=plan.class_name if isinstance(plan, c.ActorPlan) else "",
                    restart=member.restart,
                    state=shown(member),
                    significant=member.significant,
                )
            )
        self._owner.reply(who, rows)

    def _stop_branch(self, command: c.StopBranch, who: ReplyTo) -> None:
        if (ended := self._branches.past(command.branch)) is not None:
            self._owner.reply(who, ended)
            return
        branch = self._branches.find(command.branch)
        branch.waiters.append(who)
        above = branch.above
        if above is not None:
            self._branches.leave_down(above)
            if branch.group.phase is Phase.STOPPING:
                # It may be giving up: but now the one above is not to bring it back.
                branch.group = replace(branch.group, ending=Ending.ORDERED)
        if command.timeout is not None:
            kill = functools.partial(self._kill_branch, branch)
            self._owner.at(monotonic() + command.timeout, kill)
        if branch.group.phase is Phase.OVER:  # parked by the one above, or waiting for its start
            if above is not None:
                self._branches.step(above.branch, g.terminate(above.branch.group, above.key))
            return
        self._branches.step(branch, g.stop(branch.group, parks=False))

    def _kill_branch(self, branch: Branch) -> None:
        if self._branches.has(branch):
            for cell in list(cells(branch)):
                self._owner.stopping.kill_cell(cell)

    def _wait_branch(self, command: c.WaitBranch, who: ReplyTo) -> None:
        if (ended := self._branches.past(command.branch)) is not None:
            self._owner.reply(who, ended)
        else:
            self._branches.find(command.branch).waiters.append(who)

    def _waits(self, branch: Branch, again: Callable[[ReplyTo], None], who: ReplyTo) -> bool:
        """Put a command off while a start, a restart or a stop is under way; return whether."""
        if branch.group.phase is Phase.RUNNING:
            return False
        comes_back = branch.above is not None and branch.group.parks  # unless the one above ends it
        if branch.group.ending is not None and not comes_back:
            raise ActorStopped(f"supervisor {branch.name} is stopping")
        branch.deferred.append(lambda: self._owner.guarded_command(again, who, starts=True))
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
