"""The lives of actors: each start, each death, and what follows from it.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: nothing; it works on the supervisor's cells.
Never: waits: a start's answer, its report and its end come as events.

    start ─► adopt (its process is known) ─► ready ─► gone ─► recovery, policy ─┬─► start
                                                                              └─► end
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
import os
import pickle
import random
import signal
from time import monotonic
from typing import TYPE_CHECKING, cast

from procactors.errors import SpawnError
from procactors.nesting import makers, one_deeper
from procactors.options import Delivery, Limits, Restart
from procactors.process.launcher import Launcher
from procactors.process.limits import thread_caps
from procactors.process.oom import OomKills, was_short
from procactors.process.order import StartOrder, surroundings, write_order
from procactors.seeds import derive
from procactors.supervision.branch import Verdict
from procactors.supervision.cell import Cell, Life, ReplyTo
from procactors.supervision.children import AskParent
from procactors.supervision.crash import LOG_LINES, CrashReport, ExitKind, ExitReason
from procactors.supervision.crashlog import CrashLog
from procactors.supervision.policy import GiveUp, Respawn, decide
from procactors.wire.blackbox import (
    CLOSED,
    CLOSING,
    CONTROL,
    ENDING,
    PARENT_GONE,
    PHASE,
    PROCESS,
    STARTING,
    STOP_ORDERED,
    STOPPING,
)
from procactors.wire.failure import own_failure
from procactors.wire.record import Kind

if TYPE_CHECKING:
    from procactors.supervision.supervisor import Supervisor

__all__ = ["Lives"]

_log = logging.getLogger("procactors")

#: Seconds between looks at a start that is overdue before its process is known.
_OVERDUE_EVERY_S = 0.1
#: Seconds beyond a start's time after which a zygote that has not answered counts as hung.
_ZYGOTE_PATIENCE_S = 5.0
#: Most seconds for which a death waits for the zygote to say how much memory the process had.
_PEAK_S = 0.2

_UNLIMITED = Limits(threads=None)
#: By somebody whom we do not know.
_SIGKILL = ExitReason(ExitKind.SIGNAL, signal.SIGKILL)


class Lives:
    """The supervisor's side that starts incarnations and deals with their ends."""

    def __init__(self, owner: Supervisor, launcher: Launcher) -> None:
        self._owner = owner
        self._launcher = launcher
        self._starts = itertools.count(1)
        self._oom = OomKills()
        #: What is logged of crashes.
        self.crashes = CrashLog(owner.at)
        # Of the seeds of all actors that have no root of their own.
        self._root = int.from_bytes(os.urandom(16), "big")
        #: By start: the dead of whom only the peak memory is not known yet.
        self._dying: dict[int, tuple[Cell, ExitReason, str]] = {}

    def start(self, cell: Cell) -> None:
        """Start the next incarnation; failing to is one more death."""
        cell.life = Life.STARTING
        cell.incarnation += 1
        cell.start = start = next(self._starts)
        cell.ready_at = None
        cell.ready_early = False
        cell.ended_with = 0
        cell.was_suspended = False
        cell.verdict = None
        cell.peak_memory = 0
        try:
            cell.words[STOP_ORDERED] = cell.stop_by is not None
            cell.seed = self._seed(cell)
            self._order(cell)
            cell.child = self._launcher.start(cell.actor, start)
            if cell.child is not None:
                self.adopt(cell)
        except Exception as error:  # noqa: BLE001 - so wide: somebody waits for this start
            self._owner.mishaps.start_broke(cell, error)
            return
        limit = cell.options.start_timeout
        if limit is not None:
            self._owner.at(
                monotonic() + limit, functools.partial(self._start_overdue, cell.actor, start)
            )

    def _order(self, cell: Cell) -> None:
        around = surroundings()
        env = cast("dict[str, str]", cell.options.env or {})  # made plain by `Options`
        timeout = cell.options.stop_timeout
        recycle = cell.options.recycle_after
        # A recycling is no restart: the hook of that name hears nothing of it.
        report = None if cell.was_recycled else cell.last_crash
        limits = cell.options.limits or _UNLIMITED
        caps = thread_caps(limits.threads)
        write_order(
            cell.folder,
            StartOrder(
                actor=cell.actor,
                start=cell.start,
                name=cell.name,
                incarnation=cell.incarnation,
                blueprint=cell.blueprint,
                extra=cell.extra,
                class_name=cell.class_name,
                parent=cell.parent,
                overflow=cell.options.overflow.value,
                stop_timeout=self._owner.stop_timeout if timeout is None else timeout,
                report=pickle.dumps(report) if report is not None else b"",
                environ={**caps, **around.environ, **one_deeper(), **env},
                cwd=around.cwd,
                path=around.path,
                argv=around.argv,
                main_file=around.main_file,
                authkey=around.authkey,
                recycle=None if recycle is None else dataclasses.astuple(recycle),
                cpus=None if limits.cpu_affinity is None else tuple(limits.cpu_affinity),
                nice=limits.nice,
                dumps=cell.pooled or cell.options.handle_timeout is not None,
                seed=cell.seed,
                reseed=cell.options.seed is not None,
                makers=makers(),
                system=self._launcher.system,
            ),
        )

    def _seed(self, cell: Cell) -> int:
        root = cell.options.seed
        if root is None:
            root = derive(self._root, cell.actor)
        return derive(root, cell.incarnation)

    def start_failed(self, cell: Cell, error: Exception) -> None:
        """Count a start that no process came of as a death."""
        said = error if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        reason = ExitReason(ExitKind.START, None, f"no process could be started: {said}")
        self._owner.mishaps.or_collapse(cell, lambda: self._after(cell, reason, ""))

    def adopt(self, cell: Cell) -> None:
        """Watch the process that a start has brought, the cell's child."""
        child = cell.child
        assert child is not None
        self._owner.watch(child.pidfd, cell)
        self._owner.watchdog.watch(cell)
        if cell.final and cell.ended_with:
            child.kill_group()  # killed before its number was known
        elif cell.ready_early:
            self.ready(cell.actor, cell.start, cell.decides)

    def ready(self, actor: int, start: int, decides: int) -> None:
        """An incarnation reports that its `on_start` is done.

        Args:
            actor: whose.
            start: number of the start that it is of.
            decides: whether it wants to be asked when one of its children dies.
        """
        cell = self._owner.cells.get(actor)
        if cell is None or cell.start != start or cell.life is not Life.STARTING:
            return
        cell.decides = bool(decides)
        if cell.child is None:
            # It was faster than the zygote's answer. It counts as up when it can be watched: a
            # stop would take it for an inbox, which has no process, and leave it running.
            cell.ready_early = True
            return
        cell.life = Life.UP
        cell.lost_starts = 0
        cell.ready_at = monotonic()
        if not self._owner.reply(cell.spawner, cell.info):
            # Its spawner was told of an error, or has given up, as by Ctrl-C: nobody has the ref.
            # In order: its `on_start` has run, so its `on_stop` runs too.
            self._owner.stopping.order(cell)
        cell.spawner = None  # not before: whoever has not been told is told of an error
        self._owner.recovery.letters.actor_up(cell.name)
        ended_as, cell.ended_as = cell.ended_as, None
        if ended_as is not None:
            self._owner.deathwatch.restarted(cell, ended_as)
        if cell.place is not None:
            self._owner.branches.child_started(cell.place)

    def _start_overdue(self, actor: int, start: int, late_s: float = 0.0) -> None:
        cell = self._owner.cells.get(actor)
        if cell is None:
            return
        if cell.start != start or cell.life is not Life.STARTING:
            return
        if cell.child is None:
            # The zygote is behind, or still coming up: look again once there is something to end.
            # One that was stopped answers nobody: it is replaced, and this start made anew.
            if late_s >= _ZYGOTE_PATIENCE_S:
                self._launcher.kill_zygote()
                return
            late_s += _OVERDUE_EVERY_S
            again = functools.partial(self._start_overdue, actor, start, late_s)
            self._owner.at(monotonic() + _OVERDUE_EVERY_S, again)
            return
        text = f"its on_start took longer than start_timeout={cell.options.start_timeout} s"
        cell.verdict = ExitReason(ExitKind.START, None, text)
        cell.child.kill_group()

    def gone(self, cell: Cell) -> None:
        """An incarnation has ended: reap it, and see what follows."""
        try:
            reason, trace, later = self._take_leave(cell)
        except Exception as error:  # noqa: BLE001 - so wide: nobody else would notice this end
            reason, trace, later = self._owner.mishaps.unknown_end(cell, error), "", False
        if reason.kind is ExitKind.RECYCLED:
            self._owner.mishaps.or_collapse(cell, lambda: self._recycled(cell))
        elif later:
            self._dying[cell.start] = cell, reason, trace
            # Should the zygote be dead or behind: then the peak stays unknown.
            due = monotonic() + _PEAK_S
            self._owner.at(due, functools.partial(self.reaped, cell.start, 0))
        else:
            self._owner.mishaps.or_collapse(cell, lambda: self._after(cell, reason, trace))

    def _take_leave(self, cell: Cell) -> tuple[ExitReason, str, bool]:
        """Reap a process; return (why it ended, traceback, whether its peak memory comes later)."""
        child = cell.child
        assert child is not None
        # The group before the number: once reaped, the number may be somebody else's.
        child.kill_group()
        code = child.exit_code()
        self._owner.unwatch(child.pidfd)
        self._owner.watchdog.unwatch(cell)
        reason, trace = cell.exit_reason(code)
        if reason == _SIGKILL and self._oom.claims(monotonic()):
            reason = ExitReason(ExitKind.OOM, signal.SIGKILL)
        # Only a crash is worth the zygote's answer, less than a millisecond later.
        wanted = reason.is_abnormal and not cell.final
        later = child.let_go(cell.start if wanted else 0)
        child.release()
        return reason, trace, later

    def reaped(self, start: int, peak: int) -> None:
        """The zygote tells how much memory a dead process had, or took too long to."""
        dead = self._dying.pop(start, None)
        if dead is not None:
            cell, reason, trace = dead
            assert cell.child is not None
            cell.child.peak_memory = peak
            self._owner.mishaps.or_collapse(cell, lambda: self._after(cell, reason, trace))

    def _recycled(self, cell: Cell) -> None:
        """An incarnation has made way: start the next one, but for an end that was ordered.

        No restart and no crash: nothing is counted, reported or waited for.
        """
        # It was up, whether or not its report has been read yet: its spawner waits for that.
        self.ready(cell.actor, cell.start, cell.decides)
        cell.child = None
        stop_by = cell.stop_by
        in_time = stop_by is None or monotonic() < stop_by
        if cell.place is not None and (
            cell.final or not in_time or self._owner.branches.is_stopping(cell.place)
        ):
            # It was ordered to end meanwhile: its supervisor says what follows.
            self._after(cell, ExitReason(ExitKind.STOPPED), "")
            return
        self._sweep_after(cell)
        if cell.final:
            self.end(cell, ExitReason(ExitKind.KILLED, cell.ended_with or signal.SIGKILL))
        elif not in_time:
            self.end(cell, ExitReason(ExitKind.STOPPED))
        else:
            cell.ended_as = ExitReason(ExitKind.RECYCLED)
            cell.ran_before_s = cell.ran_s()
            cell.recycled += 1
            cell.was_recycled = True
            self.park(cell)
            # Somebody's stop stands behind what the next life still has to handle.
            cell.stop_by = stop_by
            self.respawn(cell, 0.0)

    def _after(self, cell: Cell, reason: ExitReason, trace: str) -> None:
        """See what follows from the end of a life."""
        in_hand = self._owner.recovery.in_hand(cell)
        report = cell.report(reason, trace, in_hand)
        if reason == _SIGKILL and was_short(report.peak_memory):
            report = dataclasses.replace(report, memory_was_short=True)
        cell.child = None
        cell.was_recycled = False
        if cell.ready_at is not None:
            cell.ended_as = reason
        if cell.words[PHASE] != STARTING:
            # What it may have left is not for a life that follows a crash. (One that failed to
            # start has taken it, or has not come so far: then it is for the next one still.)
            cell.drop_snapshot()
        follows: object
        if cell.place is not None:
            follows = self._owner.branches.child_exited(cell.place, cell, reason, report)
            comes_back = follows.comes_back
        else:
            follows = self._decide(cell, reason, in_hand[0])
            comes_back = isinstance(follows, (Respawn, AskParent))
        again = (
            comes_back
            and cell.options.delivery is Delivery.AT_LEAST_ONCE
            and reason.kind is not ExitKind.ERROR  # an exception is no crash of the process
            and in_hand[1] < cell.options.max_deliveries
        )
        if reason.is_abnormal:
            cell.last_crash = report
            if not (reason.kind is ExitKind.KILLED and cell.final):
                # Of a failed start the caller is told why: the whole cause is shown once, by him.
                is_told = reason.kind is ExitKind.START and cell.spawner is not None
                self.crashes.note(report, 1 if is_told else LOG_LINES)
                self._owner.recovery.keep_crash(cell, report)
        try:
            self._owner.recovery.settle(cell, report, again)
            self._sweep_after(cell)
        finally:
            if isinstance(follows, Verdict):  # whatever happened: its supervisor waits for this
                self.park(cell)
                follows.carry_out()
        if not isinstance(follows, Verdict):
            self._follow(cell, reason, follows)

    def _follow(self, cell: Cell, reason: ExitReason, follows: object) -> None:
        """Do what follows from the death of an actor that stands under no supervisor of a tree."""
        if isinstance(follows, AskParent):
            ran_s = cell.ran_s()
            self.park(cell)
            self._owner.children.ask(cell, follows, reason, ran_s)
            return
        if isinstance(follows, Respawn):
            self.park(cell)
        self.go_on(cell, reason, follows)

    def go_on(self, cell: Cell, reason: ExitReason, follows: object) -> None:
        """Start the next life of a parked actor, if the policy says so; else end it for good."""
        if isinstance(follows, Respawn):
            cell.history = follows.history
            cell.ran_before_s = 0.0
            self.respawn(cell, follows.wait)
        else:
            too_often = ""
            if isinstance(follows, GiveUp):
                too_often = follows.words(cell.options.within, cell.options.max_restarts)
            self.end(cell, reason, too_often)

    def _sweep_after(self, cell: Cell) -> None:
        """Remove what the process that has ended had open."""
        if cell.words[PROCESS]:
            self._owner.recovery.sweep_after(cell.words[PROCESS])
            cell.words[PROCESS] = 0

    def _decide(self, cell: Cell, reason: ExitReason, handler: str | None) -> object:
        if cell.final or cell.spawner is not None:
            return None  # ordered to end, or never was up: its spawner is told instead
        ordered = cell.stop_by is not None or cell.words[CLOSED] == CLOSING
        if reason.kind is ExitKind.STOPPED or (ordered and not reason.is_abnormal):
            return None
        # Ordered to stop, it is respawned only to finish its mailbox: not if it failed behind it,
        # nor if it cannot start.
        if ordered and (cell.words[PHASE] == ENDING or reason.kind is ExitKind.START):
            return None
        if cell.stop_by is not None and monotonic() >= cell.stop_by:
            return None
        if reason.is_abnormal and not ordered and (asked := self._owner.children.decider(cell)):
            return asked
        if cell.pooled and handler is not None and cell.options.restart is not Restart.TEMPORARY:
            # An item has ended it, and the pool sees to that one: the worker is not to blame.
            return Respawn(0.0, cell.history)
        now, draw = monotonic(), random.random()  # noqa: S311 - jitter, not a secret
        return decide(cell.options, reason, cell.history, now, cell.ran_s(), draw)

    def park(self, cell: Cell) -> None:
        """Put an actor between two lives: its mailbox is kept."""
        cell.life = Life.DOWN
        if cell.place is not None:
            # Whatever ended this life was its supervisor's to decide: it is not the next one's.
            cell.words[CLOSED] = cell.words[STOP_ORDERED] = 0
            cell.stop_by, cell.final = None, False
        elif cell.words[PHASE] == STOPPING or cell.stop_by is not None:
            # It died on its way through the mailbox to its end: the next life goes on with it.
            cell.words[CLOSED] = 0
            self._owner.station.stop_in_order(cell.actor)
        cell.words[PHASE] = STARTING
        # No order to the last life may reach the next one.
        cell.words[CONTROL] = PARENT_GONE if cell.parent_gone else 0
        if cell.children:
            # What the dead one started ends with it, before its next life starts its own.
            self._owner.stopping.stop_cells(list(cell.children))

    def respawn(self, cell: Cell, wait: float) -> None:
        """Start the next life of a parked actor after `wait` seconds, once its children ended."""
        start = cell.start

        def respawn() -> None:
            if cell.life is Life.DOWN and cell.start == start:
                if cell.children:
                    cell.respawns_childless = True
                else:
                    self.start(cell)

        if wait > 0:
            self._owner.at(monotonic() + wait, respawn)
        else:
            respawn()

    def cancel(self, cell: Cell) -> None:
        """Have the awaited start of a parked actor not take place."""
        cell.start = next(self._starts)
        cell.respawns_childless = False

    def end(self, cell: Cell, reason: ExitReason, because: str = "") -> None:
        """End an actor for good: answer for its mailbox, tell whoever waits; once is enough."""
        if cell.life is Life.OVER:
            return
        cell.life = Life.OVER
        cell.reason = reason
        # Each step is somebody's answer: none of them hangs on the others.
        self._owner.mishaps.quietly(
            lambda: self._close(cell, because),
            lambda: self._owner.stopping.stop_cells(list(cell.children)),
            lambda: self._owner.remember(cell),
            lambda: self._owner.children.ended(cell),
            # First: what watchers are told comes before the stop that may come to them now, and
            # before what is sent by those who wait for this end.
            lambda: self._owner.deathwatch.ended(cell, cell.reason or reason),
            lambda: self._tell_spawner(cell),
            lambda: self._tell_waiters(cell),
            lambda: self._tell_parent(cell),
            lambda: self._owner.stopping.ended(cell),
        )

    def _close(self, cell: Cell, because: str) -> None:
        """Answer for the mailbox of an actor that is over."""
        assert cell.reason is not None
        cell.reason = reason = self._owner.deathwatch.final_reason(cell, cell.reason)
        if not cell.is_inbox:  # before anybody is told: who then stops the system is too late
            self._owner.recovery.tally.ended(
                cell.name, reason, cell.last_handler, cell.was_suspended
            )
        why = "has stopped" if not reason.is_abnormal else f"is gone for good: it {reason}"
        if because:
            why += f" ({because})"
            _log.error("%s %s", cell.name, why)
        if cell.is_inbox:
            cell.mark_gone()  # its reader, in the main program, sees to what is left
        else:
            self._owner.recovery.close_mailbox(cell, why)

    def _tell_spawner(self, cell: Cell) -> None:
        assert cell.reason is not None
        if cell.spawner is not None:
            self.tell_failed_start(
                cell.spawner, cell.class_name, cell.name, cell.reason, cell.last_crash
            )
            cell.spawner = None

    def _tell_waiters(self, cell: Cell) -> None:
        while cell.waiters:
            self._owner.reply(cell.waiters[0], cell.reason)
            del cell.waiters[0]  # behind it: should the answer raise, it is tried again

    def _tell_parent(self, cell: Cell) -> None:
        if cell.place is not None:
            self._owner.branches.child_ended(cell.place)
        parent = self._owner.cells.get(cell.parent)
        if parent is not None:
            parent.children.remove(cell.actor)
            self._owner.stopping.child_ended(parent)
            if parent.respawns_childless and not parent.children:
                parent.respawns_childless = False
                self.start(parent)

    def tell_failed_start(
        self,
        spawner: ReplyTo | None,
        class_name: str,
        name: str,
        reason: ExitReason,
        crash: CrashReport | None,
    ) -> None:
        """Answer a spawn, or the start of a tree, with what kept an actor from starting."""
        error = SpawnError(f"{class_name} ({name}) {reason}")
        trace = crash.traceback if crash is not None else ""
        if spawner is not None and trace:
            failure = own_failure(error, trace)
            self._owner.recovery.answer(spawner.reply, spawner.call, Kind.FAILURE, failure)
        else:
            self._owner.reply(spawner, error)
