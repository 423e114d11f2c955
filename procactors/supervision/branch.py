"""One supervisor of a tree and the places of its children: what is known of them.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: nothing; the files with the specs' classes and arguments are `branches`'.
Never: decides anything: `group` does; carries anything out.

A `Branch` is one supervisor of a tree. It has no process. Each child has a `Slot`, which outlives
the child: its node is a cell, another branch, or None while nothing of it is left but its spec.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
from collections.abc import Callable, Iterator

from procactors.errors import ProcActorsError
from procactors.supervision import commands as c
from procactors.supervision.cell import Cell, ReplyTo
from procactors.supervision.crash import CrashReport, ExitKind, ExitReason
from procactors.supervision.group import Ending, Exit, Group, Member, Order, Stage
from procactors.supervision.policy import GiveUp
from procactors.tree import Strategy

__all__ = [
    "STOPPED",
    "Branch",
    "Slot",
    "Verdict",
    "cells",
    "exit_of",
    "is_copy",
    "planned_name",
    "plans",
    "reason_of",
    "shown",
    "unlink",
]

#: Deaths kept of each supervisor, for the history of its giving up.
_HISTORY = 100

STOPPED = ExitReason(ExitKind.STOPPED)


class Slot:
    """One child's place under a supervisor."""

    def __init__(self, branch: Branch, key: int, plan: c.ActorPlan | c.BranchPlan) -> None:
        self.branch = branch
        self.key = key
        self.plan = plan
        self.name = planned_name(plan)
        self.node: Cell | Branch | None = None
        #: How its last life ended, and the report if it was a crash.
        self.last: tuple[ExitReason, CrashReport | None] = (STOPPED, None)
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
        #: What is still to be carried out; not now, while `is_held`.
        self.orders: collections.deque[Order] = collections.deque()
        self.is_held = False
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


def exit_of(cell: Cell, reason: ExitReason) -> Exit:
    """Say what an actor's end means to the policy."""
    if cell.final or cell.stop_by is not None or reason.kind is ExitKind.STOPPED:
        return Exit.SHUTDOWN
    return Exit.ABNORMAL if reason.is_abnormal else Exit.NORMAL


def reason_of(branch: Branch, ending: Ending) -> ExitReason:
    """Return how a supervisor ended, for those who ask."""
    if ending is Ending.GAVE_UP:
        plan = branch.plan
        text = GiveUp(len(branch.group.restarts)).words(plan.within, plan.max_restarts)
        return ExitReason(ExitKind.GAVE_UP, None, text)
    if ending is Ending.START_FAILED:
        failed = branch.failed
        text = f"its child {failed.name} {failed.last[0]}" if failed is not None else ""
        return ExitReason(ExitKind.START, None, text)
    return ExitReason(ExitKind.NORMAL) if ending is Ending.AUTO_SHUTDOWN else STOPPED


def planned_name(plan: c.ActorPlan | c.BranchPlan) -> str:
    """Return the name that a plan asks for; empty if the system makes one."""
    if isinstance(plan, c.BranchPlan):
        return plan.name or ""
    return plan.options.name or ""


def plans(plan: c.ActorPlan | c.BranchPlan) -> Iterator[c.ActorPlan]:
    """Yield the actors of a plan."""
    if isinstance(plan, c.ActorPlan):
        yield plan
    else:
        for child in plan.children:
            yield from plans(child)


def cells(branch: Branch) -> Iterator[Cell]:
    """Yield the actors below a supervisor that are there, running or between two lives."""
    for slot in branch.slots.values():
        if isinstance(slot.node, Branch):
            yield from cells(slot.node)
        elif slot.node is not None:
            yield slot.node


def is_copy(slot: Slot) -> bool:
    """Return whether a child is a copy of its dynamic supervisor's one spec."""
    return slot.branch.plan.strategy is Strategy.DYNAMIC


def shown(member: Member) -> str:
    """Return a child's state as `SupervisorRef.children` shows it."""
    if member.stage is Stage.IDLE:
        return "down"
    if member.stage is Stage.PARKED or (member.stage is Stage.STARTING and member.in_a_row):
        return "restarting"
    return str(member.stage.value)


def unlink(path: str) -> None:
    """Remove a file, if it is there."""
    with contextlib.suppress(OSError):
        os.unlink(path)
