"""What the ref of a tree's supervisor can ask: its commands, each answered once.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: the files that come with a command, until a child has them.
Never: decides anything: `engine` does; waits: what comes during a restart is put off.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from procactors.errors import (
    ActorStopped,
    InvalidSpec,
    NameTaken,
    SpawnError,
    SupervisionError,
)
from procactors.model import commands as c
from procactors.model.choices import Strategy
from procactors.model.tree import check_significant
from procactors.supervision import engine
from procactors.supervision.backend import ReplyTo
from procactors.supervision.core import Core
from procactors.supervision.engine import Ending, Phase, Stage
from procactors.supervision.stopping import Stopping
from procactors.supervision.supervisor_record import (
    ChildEntry,
    SupervisorRecord,
    actors_below,
    planned_name,
    plans,
    shown,
    unlink,
)
from procactors.supervision.trees import Trees

__all__ = ["TreeCommands"]

#: Runs the handler of a command for its caller, which waits for a start; an error is its answer.
Answered = Callable[[Callable[[ReplyTo], None], ReplyTo], None]


class TreeCommands:
    """Answers the refs of trees' supervisors."""

    def __init__(self, core: Core, stopping: Stopping, trees: Trees, answered: Answered) -> None:
        self._core = core
        self._stopping = stopping
        self._trees = trees
        self._answered = answered
        self.handlers: dict[type, Callable[[Any, ReplyTo], None]] = {
            c.Supervise: self._supervise,
            c.StartChild: self._start_child,
            c.TerminateChild: self._terminate_child,
            c.RestartChild: self._restart_child,
            c.DeleteChild: self._delete_child,
            c.ListChildren: self._list_children,
            c.StopSupervisor: self._stop_supervisor,
            c.WaitSupervisor: self._wait_supervisor,
        }

    def _supervise(self, command: c.Supervise, who: ReplyTo) -> None:
        try:
            if self._core.intake_closed:
                raise SpawnError("the tree was not started: the system is stopping")
            record = self._trees.new_supervisor(command.plan)
        except BaseException:
            for plan in plans(command.plan):
                unlink(plan.blueprint)
            raise
        record.starter = who
        record.turn = 1
        self._core.step(record, engine.start(record.state))

    def _start_child(self, command: c.StartChild, who: ReplyTo) -> None:
        try:
            record = self._trees.find(command.supervisor)
            if self._waits(record, functools.partial(self._start_child, command), who):
                return
            plan = self._plan_of_child(record, command)
        except BaseException:
            if command.extra:
                unlink(command.extra)
            for unused in plans(command.plan) if command.plan is not None else ():
                unlink(unused.blueprint)
            raise
        child = record.new_child(plan, is_static=False)
        entry = record.entries[child.key]
        if entry.is_copy:
            entry.name = ""
        entry.starter = who
        self._core.step(record, engine.add(record.state, child))

    def _plan_of_child(
        self, record: SupervisorRecord, command: c.StartChild
    ) -> c.ActorPlan | c.SupervisorPlan:
        """Return the plan of a child to be started. Raises: it cannot be one of this supervisor."""
        if self._core.intake_closed:
            raise SpawnError(f"no child of {record.name} is started: the system is stopping")
        plan, is_dynamic = command.plan, record.plan.strategy is Strategy.DYNAMIC
        if (plan is None) is not is_dynamic:
            raise InvalidSpec(
                f"supervisor {record.name} is {record.plan.strategy.value}: start_child takes "
                + ("further arguments for its one spec" if is_dynamic else "spec(Class, ...)")
            )
        if plan is None:
            template = record.plan.children[0]
            assert isinstance(template, c.ActorPlan)
            return template._replace(extra=command.extra)
        name = planned_name(plan)
        check_significant(plan.significant, record.plan.auto_shutdown, name or "this child")
        if name and any(entry.name == name for entry in record.entries.values()):
            raise NameTaken(
                f"supervisor {record.name} has a child named {name!r} already; restart_child "
                f"starts it again, delete_child forgets it"
            )
        self._core.check_name(name)
        return plan

    def _terminate_child(self, command: c.TerminateChild, who: ReplyTo) -> None:
        record = self._trees.find(command.supervisor)
        if self._waits(record, functools.partial(self._terminate_child, command), who):
            return
        entry = self._entry(record, command.name)
        if record.state.child(entry.key).stage is Stage.IDLE:
            self._core.reply(who, entry.last[0])
            return
        entry.enders.append(who)
        self._core.step(record, engine.terminate(record.state, entry.key))

    def _restart_child(self, command: c.RestartChild, who: ReplyTo) -> None:
        record = self._trees.find(command.supervisor)
        if self._waits(record, functools.partial(self._restart_child, command), who):
            return
        entry = self._entry(record, command.name)
        self._must_be_down(record, entry, "terminate_child stops it")
        entry.starter = who
        self._core.step(record, engine.launch(record.state, entry.key))

    def _delete_child(self, command: c.DeleteChild, who: ReplyTo) -> None:
        record = self._trees.find(command.supervisor)
        if self._waits(record, functools.partial(self._delete_child, command), who):
            return
        entry = self._entry(record, command.name)
        self._must_be_down(record, entry, "terminate_child stops it first")
        record.state = engine.remove(record.state, entry.key)
        self._trees.drop_spec(entry)
        self._core.reply(who, None)

    def _list_children(self, command: c.ListChildren, who: ReplyTo) -> None:
        record = self._trees.find(command.supervisor)
        rows = []
        for child in record.state.children:
            entry = record.entries[child.key]
            plan = entry.plan
            rows.append(
                c.ChildRow(
                    name=entry.name,
                    info=entry.node.info if entry.node is not None else None,
                    class_name=plan.class_name if isinstance(plan, c.ActorPlan) else "",
                    restart=child.restart,
                    state=shown(child),
                    significant=child.significant,
                )
            )
        self._core.reply(who, rows)

    def _stop_supervisor(self, command: c.StopSupervisor, who: ReplyTo) -> None:
        if (ended := self._trees.past(command.supervisor)) is not None:
            self._core.reply(who, ended)
            return
        record = self._trees.find(command.supervisor)
        record.waiters.append(who)
        above = record.above
        if above is not None:
            self._core.leave_down(above)
            if record.state.phase is Phase.STOPPING:
                # It may be giving up: but now the one above is not to bring it back.
                record.state = replace(record.state, ending=Ending.ORDERED)
        if command.timeout is not None:
            self._core.after(command.timeout, functools.partial(self._kill_all, record))
        if record.state.phase is not Phase.OVER:
            self._core.step(record, engine.stop(record.state, parks=False))
        elif above is not None:  # parked by the one above, or waiting for its start
            step = engine.terminate(above.supervisor.state, above.key)
            self._core.step(above.supervisor, step)

    def _kill_all(self, record: SupervisorRecord) -> None:
        if self._trees.has(record):
            for actor in list(actors_below(record)):
                self._stopping.kill_now(actor)

    def _wait_supervisor(self, command: c.WaitSupervisor, who: ReplyTo) -> None:
        if (ended := self._trees.past(command.supervisor)) is not None:
            self._core.reply(who, ended)
        else:
            self._trees.find(command.supervisor).waiters.append(who)

    def _waits(
        self, record: SupervisorRecord, again: Callable[[ReplyTo], None], who: ReplyTo
    ) -> bool:
        """Put a command off while a start, a restart or a stop is under way; return whether."""
        if record.state.phase is Phase.RUNNING:
            return False
        # Unless the supervisor above ends it.
        comes_back = record.above is not None and record.state.parks
        if record.state.ending is not None and not comes_back:
            raise ActorStopped(f"supervisor {record.name} is stopping")
        self._trees.defer(record, functools.partial(self._answered, again, who))
        return True

    def _entry(self, record: SupervisorRecord, name: str) -> ChildEntry:
        for entry in record.entries.values():
            if entry.name == name:
                return entry
        names = sorted(entry.name for entry in record.entries.values())
        raise SupervisionError(f"supervisor {record.name} has no child {name!r}; it has {names}")

    def _must_be_down(self, record: SupervisorRecord, entry: ChildEntry, hint: str) -> None:
        stage = record.state.child(entry.key).stage
        if stage is not Stage.IDLE:
            raise SupervisionError(
                f"expected child {entry.name!r} of supervisor {record.name} to be down, but it is "
                f"{stage.value}; {hint}"
            )
