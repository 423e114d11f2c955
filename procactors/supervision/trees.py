"""Supervisors at work: the engine's orders, carried out on actors and on other supervisors.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: the files with the specs' classes and arguments, as long as the spec is there.
Never: decides anything: `engine` does; waits.
"""

from __future__ import annotations

import collections
import functools
import logging
from collections.abc import Callable

from procactors.crash import ExitKind, ExitReason
from procactors.errors import ActorStopped, NameTaken, RestartIntensityExceeded, SpawnError
from procactors.model import commands as c
from procactors.model.options import Options
from procactors.supervision import engine
from procactors.supervision.actor_record import ActorRecord, Life
from procactors.supervision.backend import ReplyTo
from procactors.supervision.core import Abandon, Core
from procactors.supervision.engine import (
    Close,
    Ending,
    Exit,
    Order,
    Over,
    Phase,
    Ready,
    Stage,
    Start,
    Stop,
)
from procactors.supervision.lifecycle import Lifecycle
from procactors.supervision.mishaps import as_answer, quietly
from procactors.supervision.stopping import Stopping
from procactors.supervision.supervisor_record import (
    STOPPED,
    ChildEntry,
    SupervisorRecord,
    actors_below,
    plans,
    reason_of,
    unlink,
)
from procactors.wire.journal import GAVE_UP, MADE, RESTARTING, STOPPED as OVER, TREE, UP

__all__ = ["Trees"]

_log = logging.getLogger("procactors")

#: Ends of supervisors kept for refs that ask later.
_REMEMBERED = 1_000


class Trees:
    """All supervisors of one system, those of spawned actors among them.

    Args:
        core, stopping, lifecycle: the parts that it works with.
        fail: called when the root of a tree has given up.
    """

    def __init__(
        self,
        core: Core,
        stopping: Stopping,
        lifecycle: Lifecycle,
        fail: Callable[[RestartIntensityExceeded], None],
    ) -> None:
        self._core = core
        self._stopping = stopping
        self._lifecycle = lifecycle
        self._fail = fail
        #: The supervisors of trees, by their ids, and how those have ended that are over.
        self._live: dict[int, SupervisorRecord] = {}
        self._past: collections.OrderedDict[int, ExitReason] = collections.OrderedDict()
        #: Commands that wait until no restart of their supervisor is under way.
        self._deferred: list[tuple[SupervisorRecord, Callable[[], None]]] = []

    # -- all supervisors ----------------------------------------------------------------------

    def new_supervisor(
        self, plan: c.SupervisorPlan, above: ChildEntry | None = None
    ) -> SupervisorRecord:
        """Make a supervisor, not started yet. Raises NameTaken."""
        number, name = self._core.new_name(plan.name, "supervisor")
        record = self._live[number] = SupervisorRecord(number, name, plan, above)
        over = above.supervisor.id if above is not None else 0
        limits = plan.max_restarts, plan.within
        self._core.note(TREE, number, name, plan.strategy.value, over, plan.restart.value, *limits)
        return record

    def find(self, number: int) -> SupervisorRecord:
        """Return a supervisor by its id. Raises ActorStopped: it has ended."""
        try:
            return self._live[number]
        except KeyError:
            raise ActorStopped("the supervisor has ended") from None

    def has(self, record: SupervisorRecord) -> bool:
        """Return whether a tree's supervisor has not ended for good."""
        return record.id in self._live

    def past(self, number: int) -> ExitReason | None:
        """Return how a supervisor has ended; None: it has not, or long ago."""
        return self._past.get(number)

    def spawn(self, plan: c.ActorPlan, who: ReplyTo, parent: int, pooled: bool) -> None:
        """Have an actor started under a supervisor of its own; `who` is answered."""
        record = SupervisorRecord(0, plan.class_name)
        entry = record.new_entry(plan)
        entry.starter, entry.parent, entry.pooled = who, parent, pooled
        self._core.step(record, engine.alone(plan.options))

    def new_inbox(self, name: str | None) -> ActorRecord:
        """Make an inbox, which needs no start.

        Raises:
            NameTaken: another live actor has its name. OSError: no room, or no descriptor.
        """
        record, options = SupervisorRecord(0, "inbox"), Options(name=name)
        state, _ = engine.alone(options)
        record.state, _ = engine.started(state, 0, self._core.clock())
        entry = record.new_entry(c.ActorPlan("", "inbox", options))
        entry.node = actor = self._core.new_actor(options, "inbox", 0)
        actor.is_inbox, actor.life = True, Life.UP
        self._core.entries[actor.id] = entry
        self._core.note(MADE, actor.id, actor.name, "inbox", "inbox", 0, 0, False, 0, "temporary")
        return actor

    def stop_tree(self, record: SupervisorRecord) -> None:
        """Stop the whole tree of a supervisor, last started first; once is enough."""
        root = record.root
        self._core.step(root, engine.stop(root.state, parks=False))

    def stop_unknown(self, caller: ReplyTo) -> None:
        """Stop the tree or the actor whose starter was answered and has not seen the answer."""
        for record in list(self._live.values()):
            if record.answered == caller and record.above is None:
                self.stop_tree(record)
        for entry in list(self._core.entries.values()):
            actor = entry.node
            alone = entry.supervisor.state.is_alone
            if entry.answered == caller and alone and isinstance(actor, ActorRecord):
                self._stopping.order(actor)

    def stop_all(self) -> None:
        """Stop all trees."""
        for record in list(self._live.values()):
            if record.above is None:
                self.stop_tree(record)

    # -- carrying out -------------------------------------------------------------------------

    def carry_out(self) -> None:
        """Carry out the orders, oldest first, and those that follow from them."""
        orders = self._core.orders
        while orders or self._take_up():
            while orders:
                record, order = orders.popleft()
                try:
                    self._obey(record, order)
                except Exception as error:  # noqa: BLE001 - so wide: the other orders stand
                    self._broke(record, order, error)

    def defer(self, record: SupervisorRecord, command: Callable[[], None]) -> None:
        """Have a command wait until nothing is under way with a supervisor, or it has ended."""
        self._deferred.append((record, command))

    def _take_up(self) -> bool:
        """Run the first command that needs to wait no more; return whether there was one."""
        for waiting in self._deferred:
            record, command = waiting
            if record.state.phase is Phase.RUNNING or not self.has(record):
                self._deferred.remove(waiting)
                command()
                return True
        return False

    def _obey(self, record: SupervisorRecord, order: Order | Abandon) -> None:
        if not (record.state.is_alone or self.has(record)):
            return  # it was forgotten meanwhile, and all its children with it
        if isinstance(order, Ready):
            self._ready(record)
        elif isinstance(order, Over):
            self._over(record, order.ending)
        elif isinstance(order, Abandon):
            self._abandon(record, order.reason)
        elif (entry := record.entries.get(order.key)) is not None:
            if isinstance(order, Close):
                self._close(entry)
            elif isinstance(order, Stop):
                self._stop(entry, order.parks)
            elif entry.stage is Stage.STARTING:  # else it was taken back meanwhile
                self._start(entry, order.wait)

    def _broke(self, record: SupervisorRecord, order: Order | Abandon, error: Exception) -> None:
        """An order was broken off by an error of ours: have what it was for come to its end."""
        _log.error("supervisor %s met an error of its own", record.name, exc_info=error)
        if isinstance(order, (Ready, Over)):
            starter, record.starter = record.starter, None
            quietly(lambda: self._core.reply(starter, as_answer(error, starts=True)))
            if isinstance(order, Over):
                self._forget(record, reason_of(record, order.ending))
            else:
                self.stop_tree(record)
        elif isinstance(order, Abandon):
            self._forget(record, order.reason)
        elif (entry := record.entries.get(order.key)) is not None:
            if isinstance(order, Start):
                self._cannot_start(entry, error)
            elif isinstance(order, Close):
                quietly(functools.partial(self._close, entry))
            elif isinstance(entry.node, ActorRecord) and not entry.node.is_idle:
                self._stopping.kill_now(entry.node)
            else:
                quietly(functools.partial(self._stop, entry, order.parks))

    # -- starts -------------------------------------------------------------------------------

    def _start(self, entry: ChildEntry, wait: float) -> None:
        entry.error = None
        if isinstance(entry.plan, c.SupervisorPlan):
            self._start_supervisor(entry, entry.plan, wait)
            return
        if entry.node is None:
            self._core.backend.expect()
            try:
                self._make_child(entry, entry.plan)
            except Exception as error:  # noqa: BLE001 - so wide: its supervisor waits for this start
                self._cannot_start(entry, error)
                return
        assert isinstance(entry.node, ActorRecord)
        self._lifecycle.respawn(entry.node, wait)

    def _make_child(self, entry: ChildEntry, plan: c.ActorPlan) -> None:
        options, prefix = plan.options, None
        if entry.is_copy and not entry.name and options.name:
            options, prefix = options.replace(name=None), options.name
        elif entry.name != (options.name or ""):
            options = options.replace(name=entry.name)
        actor = self._core.new_actor(options, plan.class_name, entry.parent, prefix)
        actor.extra, actor.pooled = plan.extra, entry.pooled
        self._core.entries[actor.id] = entry
        try:
            is_shared = not entry.supervisor.state.is_alone
            actor.host.take_blueprint(plan.blueprint, is_shared)
        except BaseException:  # whatever it is: nothing else knows of this actor yet
            self._core.remember(actor)
            raise
        entry.node, entry.name = actor, actor.name
        self._note_made(actor, entry)

    def _note_made(self, actor: ActorRecord, entry: ChildEntry) -> None:
        options = actor.options
        kind = actor.class_name, "actor"
        relations = actor.parent, entry.supervisor.id, actor.pooled
        words = options.mailbox or 0, options.restart.value
        self._core.note(MADE, actor.id, actor.name, *kind, *relations, *words)

    def _cannot_start(self, entry: ChildEntry, error: Exception) -> None:
        entry.error = as_answer(error, starts=True)
        entry.last = (ExitReason(ExitKind.START, None, str(error)), None)
        entry.supervisor.failed = entry
        self._core.child_exited(entry, Exit.ABNORMAL)

    def _start_supervisor(self, entry: ChildEntry, plan: c.SupervisorPlan, wait: float) -> None:
        if entry.node is None:
            try:
                entry.node = self.new_supervisor(plan, entry)
            except NameTaken as error:
                self._cannot_start(entry, error)
                return
        record = entry.node
        assert isinstance(record, SupervisorRecord)
        entry.name = record.name
        record.turn += 1
        turn = record.turn
        if turn > 1:
            self._core.note(RESTARTING, record.id, turn, 0, wait, str(entry.last[0]))

        def begin() -> None:
            if record.turn == turn and self.has(record):
                record.failed = None
                self._core.step(record, engine.start(record.state))

        if wait > 0:
            self._core.after(wait, begin)
        else:
            begin()

    def _ready(self, record: SupervisorRecord) -> None:
        """All children of a supervisor are up."""
        self._core.note(UP, record.id, record.turn, 0, None)
        answered = self._core.reply(record.starter, record.info)
        if answered and record.starter is not None:
            record.answered = record.starter
        record.starter = None
        if not answered:  # but of an error, or not at all: no process has the ref
            self.stop_tree(record)
        if record.above is not None:
            self._core.reply(record.above.starter, record.info)
            record.above.starter = None
            self._core.child_started(record.above)

    # -- ends ---------------------------------------------------------------------------------

    def _stop(self, entry: ChildEntry, parks: bool) -> None:
        node = entry.node
        if isinstance(node, SupervisorRecord):
            if node.state.phase is Phase.OVER or not node.turn:  # it waits for its start
                node.turn += 1
                self._core.child_exited(entry, Exit.SHUTDOWN)
            else:
                self._core.step(node, engine.stop(node.state, parks=parks))
        elif node is None:
            self._core.child_exited(entry, Exit.SHUTDOWN)
        elif node.is_idle:
            self._lifecycle.cancel(node)
            entry.last = (STOPPED, None)
            self._core.child_exited(entry, Exit.SHUTDOWN)
        elif parks:
            self._stopping.park(node)
        else:
            self._stopping.order(node)

    def _close(self, entry: ChildEntry) -> None:
        """End a child for good that is down."""
        reason, _ = entry.last
        node, record = entry.node, entry.supervisor
        if isinstance(node, ActorRecord):
            because = ""
            if record.state.is_alone and record.state.ending is Ending.GAVE_UP:
                because = engine.too_many(record.state)
                self._core.note(GAVE_UP, node.id, because)
                if self._core.announce is not None:
                    self._core.announce.gave_up(node.name, because)
            self._lifecycle.end(node, reason, because)
        elif node is not None:
            self._forget(node, reason)
        entry.node = None
        if entry.starter is not None:
            self._tell_failed(entry.starter, entry)
            entry.starter = None
        self._core.reply_all(entry.enders, entry.last[0])
        if record.state.is_alone or not record.state.has(entry.key):
            self.drop_spec(entry)

    def _tell_failed(self, who: ReplyTo | None, entry: ChildEntry) -> None:
        """Answer a start with what failed: this child, or one below it."""
        if entry.error is not None:
            self._core.reply(who, entry.error)
            return
        reason, report = entry.last
        if isinstance(entry.plan, c.SupervisorPlan):
            self._core.reply(who, SpawnError(f"supervisor {entry.name} {reason}"))
            return
        error = SpawnError(f"{entry.plan.class_name} ({entry.name}) {reason}")
        self._core.reply(who, error, report.traceback if report is not None else "")

    def _over(self, record: SupervisorRecord, ending: Ending) -> None:
        """All children of a supervisor are down."""
        if record.state.is_alone:
            return  # its actor has ended, and that was all
        reason = reason_of(record, ending)
        if ending is Ending.GAVE_UP:
            _log.error("supervisor %s %s", record.name, reason)
            self._core.note(GAVE_UP, record.id, reason.text or str(reason))
            if self._core.announce is not None:
                self._core.announce.gave_up(record.name, reason.text or str(reason))
        above = record.above
        if above is not None:
            above.last = (reason, None)
            above.supervisor.note_deaths(*record.deaths)
            record.deaths = []
            if ending is Ending.START_FAILED and record.failed is not None:
                # Named at the top, where a caller may wait for the start of the whole tree.
                above.last, above.error = record.failed.last, record.failed.error
                above.supervisor.failed = record.failed
            how = Exit.SHUTDOWN if ending is Ending.ORDERED else Exit.NORMAL
            self._core.child_exited(above, Exit.ABNORMAL if ending is Ending.START_FAILED else how)
            return
        starter, record.starter = record.starter, None
        if ending is Ending.START_FAILED and record.failed is not None:
            self._tell_failed(starter, record.failed)
        elif starter is not None:
            self._core.reply(starter, SpawnError(f"the tree {record.name} was stopped"))
        deaths = tuple(record.deaths)
        self._forget(record, reason)
        if ending is Ending.GAVE_UP:
            error = RestartIntensityExceeded(f"supervisor {record.name} {reason}", deaths)
            _log.critical("the system ends: %s", error)
            self._fail(error)

    def _abandon(self, record: SupervisorRecord, reason: ExitReason) -> None:
        """End a whole tree with which nothing else is possible; all that wait are answered."""
        starter, record.starter = record.starter, None
        for actor in actors_below(record):
            self._lifecycle.let_go(actor)
        if record.state.is_alone:
            quietly(*(functools.partial(self._close, entry) for entry in record.entries.values()))
        else:
            self._core.reply(starter, SpawnError(f"the tree {record.name} {reason}"))
            self._forget(record, reason)

    def _forget(self, record: SupervisorRecord, reason: ExitReason) -> None:
        """Forget a tree's supervisor for good, and end what its children left."""
        if self._live.pop(record.id, None) is None:
            return
        self._core.note(OVER, record.id, reason.kind.value, str(reason))
        gave_up = reason.kind is ExitKind.GAVE_UP
        because = f"its supervisor {record.name} {reason}" if gave_up else ""
        # Each step is an answer to others: none of them hangs on the one before.
        for entry in reversed(list(record.entries.values())):
            quietly(functools.partial(self._empty, entry, reason, because))
        if record.above is None:
            for plan in plans(record.plan):
                unlink(plan.blueprint)
        self._past[record.id] = reason
        while len(self._past) > _REMEMBERED:
            self._past.popitem(last=False)
        quietly(
            lambda: self._core.release_name(record.name),
            lambda: self._core.reply_all(record.waiters, reason),
        )

    def _empty(self, entry: ChildEntry, reason: ExitReason, because: str) -> None:
        """End a child whose supervisor is no more, and answer all that wait for it."""
        node, record = entry.node, entry.supervisor
        if isinstance(node, ActorRecord):
            self._lifecycle.end(node, entry.last[0], because)
        elif node is not None:
            self._forget(node, reason)
        entry.node = None
        self._core.reply_all(entry.enders, entry.last[0])
        self._core.reply(entry.starter, ActorStopped(f"supervisor {record.name} has ended"))
        entry.starter = None
        self.drop_spec(entry)

    def drop_spec(self, entry: ChildEntry) -> None:
        """Drop a spec: what was given for this child alone goes with it."""
        record = entry.supervisor
        record.entries.pop(entry.key, None)
        if isinstance(entry.plan, c.ActorPlan) and entry.plan.extra:
            unlink(entry.plan.extra)
        if entry.plan not in record.plan.children and not entry.is_copy:
            for plan in plans(entry.plan):
                unlink(plan.blueprint)
