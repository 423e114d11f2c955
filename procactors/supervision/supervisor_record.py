"""One supervisor and the entries of its children: what is known of them.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: nothing; the files with the specs' classes and arguments are `trees`'.
Never: decides anything: `engine` does; carries anything out.

A supervisor has no process. Each child has an entry, which outlives the child: its node is an
actor, another supervisor, or None while nothing of it is left but its spec. A spawned actor
has a supervisor of its own, which is in no tree.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Iterator

from procactors.crash import CrashReport, ExitKind, ExitReason
from procactors.errors import ProcActorsError
from procactors.model import commands as c
from procactors.model.choices import AutoShutdown, Restart, Strategy
from procactors.supervision import engine
from procactors.supervision.actor_record import ActorRecord
from procactors.supervision.backend import ReplyTo
from procactors.supervision.engine import ChildState, Ending, Stage, SupervisorState

__all__ = [
    "STOPPED",
    "ChildEntry",
    "SupervisorRecord",
    "actors_below",
    "planned_name",
    "plans",
    "reason_of",
    "shown",
    "unlink",
]

#: Deaths kept of each supervisor, for the history of its giving up.
_HISTORY = 100

STOPPED = ExitReason(ExitKind.STOPPED)


class ChildEntry:
    """One child of a supervisor."""

    def __init__(
        self, supervisor: SupervisorRecord, key: int, plan: c.ActorPlan | c.SupervisorPlan
    ) -> None:
        self.supervisor = supervisor
        self.key = key
        self.plan = plan
        self.name = planned_name(plan)
        #: Of a spawned actor: the id of the actor that spawned it, and whether it works for a pool.
        self.parent, self.pooled = 0, False
        self.node: ActorRecord | SupervisorRecord | None = None
        #: How its last life ended, and the report if it was a crash.
        self.last: tuple[ExitReason, CrashReport | None] = (STOPPED, None)
        #: What kept it from being started at all; None if something was.
        self.error: ProcActorsError | None = None
        #: The caller that waits for its start, having asked for it.
        self.starter: ReplyTo | None = None
        #: That caller, once it has been answered.
        self.answered: ReplyTo | None = None
        #: Callers that wait for its end.
        self.enders: list[ReplyTo] = []

    @property
    def stage(self) -> Stage | None:
        """Where the child is; None if it has been forgotten."""
        state = self.supervisor.state
        return state.child(self.key).stage if state.has(self.key) else None

    @property
    def is_copy(self) -> bool:
        """Whether the child is a copy of its dynamic supervisor's one spec."""
        return self.supervisor.state.strategy is Strategy.DYNAMIC


#: What there is to say of the supervisor of a spawned actor; its state says the rest.
_ALONE = c.SupervisorPlan(
    (), None, Strategy.ONE_FOR_ONE, 0, 0.0, Restart.TEMPORARY, AutoShutdown.NEVER, False
)


class SupervisorRecord:
    """One supervisor; without a plan, that of a spawned actor."""

    def __init__(
        self,
        supervisor_id: int,
        name: str,
        plan: c.SupervisorPlan = _ALONE,
        above: ChildEntry | None = None,
    ) -> None:
        self.id = supervisor_id
        self.name = name
        self.plan = plan
        self.above = above
        self.entries: dict[int, ChildEntry] = {}
        self.starter: ReplyTo | None = None
        #: That caller, once it has been answered.
        self.answered: ReplyTo | None = None
        self.waiters: list[ReplyTo] = []
        #: The last deaths, for the history of giving up.
        self.deaths: list[CrashReport] = []
        #: The child whose start failed, once one did.
        self.failed: ChildEntry | None = None
        #: Number of the current start: a timer of an earlier one is late.
        self.turn = 0
        self._keys = itertools.count()
        self.state = SupervisorState(
            strategy=plan.strategy,
            max_restarts=plan.max_restarts,
            within=plan.within,
            auto_shutdown=plan.auto_shutdown,
        )
        if plan.strategy is not Strategy.DYNAMIC:
            children = tuple(self.new_child(child, True) for child in plan.children)
            self.state = dataclasses.replace(self.state, children=children)

    @property
    def info(self) -> c.SupervisorInfo:
        """What makes a ref to this supervisor."""
        return c.SupervisorInfo(self.id, self.name)

    @property
    def root(self) -> SupervisorRecord:
        """The supervisor at the top of its tree."""
        record = self
        while record.above is not None:
            record = record.above.supervisor
        return record

    def new_child(self, plan: c.ActorPlan | c.SupervisorPlan, is_static: bool) -> ChildState:
        """Make the entry of a new child; return it as the engine sees it."""
        entry = self.new_entry(plan)
        options = plan.options if isinstance(plan, c.ActorPlan) else None
        return ChildState(
            entry.key,
            restart=plan.restart if isinstance(plan, c.SupervisorPlan) else plan.options.restart,
            significant=plan.significant,
            backoff=options.backoff if options is not None else None,
            is_static=is_static,
        )

    def new_entry(self, plan: c.ActorPlan | c.SupervisorPlan) -> ChildEntry:
        """Make the entry of a new child."""
        entry = ChildEntry(self, next(self._keys), plan)
        self.entries[entry.key] = entry
        return entry

    def note_deaths(self, *reports: CrashReport) -> None:
        """Keep deaths for the history of giving up."""
        self.deaths = [*self.deaths, *reports][-_HISTORY:]


def reason_of(record: SupervisorRecord, ending: Ending) -> ExitReason:
    """Return how a supervisor ended, as a reason."""
    if ending is Ending.GAVE_UP:
        return ExitReason(ExitKind.GAVE_UP, None, engine.too_many(record.state))
    if ending is Ending.START_FAILED:
        failed = record.failed
        text = f"its child {failed.name} {failed.last[0]}" if failed is not None else ""
        return ExitReason(ExitKind.START, None, text)
    return ExitReason(ExitKind.NORMAL) if ending is Ending.AUTO_SHUTDOWN else STOPPED


def planned_name(plan: c.ActorPlan | c.SupervisorPlan) -> str:
    """Return the name that a plan asks for; empty if the system makes one."""
    if isinstance(plan, c.SupervisorPlan):
        return plan.name or ""
    return plan.options.name or ""


def plans(plan: c.ActorPlan | c.SupervisorPlan) -> Iterator[c.ActorPlan]:
    """Yield the actors of a plan."""
    if isinstance(plan, c.ActorPlan):
        yield plan
    else:
        for child in plan.children:
            yield from plans(child)


def actors_below(record: SupervisorRecord) -> Iterator[ActorRecord]:
    """Yield the actors below a supervisor that are there, running or between two lives."""
    for entry in record.entries.values():
        if isinstance(entry.node, SupervisorRecord):
            yield from actors_below(entry.node)
        elif entry.node is not None:
            yield entry.node


def shown(child: ChildState) -> str:
    """Return a child's state as `SupervisorRef.children` shows it."""
    if child.stage is Stage.IDLE:
        return "down"
    if child.stage is Stage.PARKED or (child.stage is Stage.STARTING and child.in_a_row):
        return "restarting"
    return str(child.stage.value)


def unlink(path: str) -> None:
    """Remove a file, if it is there."""
    with contextlib.suppress(OSError):
        os.unlink(path)
