"""The lives of actors: each start, each death, and what follows from it.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: nothing; it works on the supervisor's cells.
Never: waits: a start's answer, its report and its end come as events.

    start ─► adopt (its process is known) ─► ready ─► gone ─► recovery, policy ─┬─► start
                                                                              └─► end
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
import pickle
import random
import signal
from time import monotonic
from typing import TYPE_CHECKING

from procactors.errors import SpawnError
from procactors.options import Delivery, Limits
from procactors.process.child import Child
from procactors.process.launcher import Launcher
from procactors.process.limits import thread_caps
from procactors.process.loop import ENDING, STARTING, STOPPING
from procactors.process.oom import OomKills
from procactors.process.order import StartOrder, surroundings, write_order
from procactors.process.setup import PARENT_GONE
from procactors.supervision.cell import Cell, Life, ReplyTo
from procactors.supervision.crash import ExitKind, ExitReason
from procactors.supervision.policy import GiveUp, Respawn, decide
from procactors.wire.blackbox import CLOSED, CLOSING, CONTROL, PHASE, PROCESS
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


class Lives:
    """The supervisor's side that starts incarnations and deals with their ends."""

    def __init__(self, owner: Supervisor, launcher: Launcher) -> None:
        self._owner = owner
        self._launcher = launcher
        self._starts = itertools.count(1)
        self._oom = OomKills()
        #: By start: the dead of whom only the peak memory is not known yet.
        self._dying: dict[int, tuple[Cell, ExitReason, str]] = {}

    def start(self, cell: Cell) -> None:
        """Start the next incarnation; failing to is one more death."""
        cell.life = Life.STARTING
        cell.incarnation += 1
        cell.start = start = next(self._starts)
        cell.ready_at = None
        cell.ended_with = 0
        cell.verdict = None
        cell.peak_memory = 0
        try:
            self._order(cell)
            child = self._launcher.start(cell.actor, start)
            if child is not None:
                self.adopt(cell, child)
        except OSError as error:
            self.start_failed(cell, error)
            return
        limit = cell.options.start_timeout
        if limit is not None:
            self._owner.at(
                monotonic() + limit, functools.partial(self._start_overdue, cell.actor, start)
            )

    def _order(self, cell: Cell) -> None:
        environ, cwd, path, argv, main_file = surroundings()
        timeout = cell.options.stop_timeout
        limits = cell.options.limits or _UNLIMITED
        caps = thread_caps(limits.threads)
        write_order(
            cell.folder,
            StartOrder(
                actor=cell.actor,
                start=cell.start,
                name=cell.name,
                incarnation=cell.incarnation,
                blueprint=os.path.join(cell.folder, "blueprint"),
                class_name=cell.class_name,
                parent=cell.parent,
                overflow=cell.options.overflow.value,
                stop_timeout=self._owner.stop_timeout if timeout is None else timeout,
                report=pickle.dumps(cell.last_crash) if cell.last_crash is not None else b"",
                environ={**caps, **environ, **(cell.options.env or {})},
                cwd=cwd,
                path=path,
                argv=argv,
                main_file=main_file,
                cpus=None if limits.cpu_affinity is None else tuple(limits.cpu_affinity),
                nice=limits.nice,
                dumps=cell.options.handle_timeout is not None,
            ),
        )

    def start_failed(self, cell: Cell, error: OSError) -> None:
        """Count a start that no process came of as a death."""
        text = f"no process could be started: {error}"
        self._after(cell, ExitReason(ExitKind.START, None, text), "")

    def adopt(self, cell: Cell, child: Child) -> None:
        """Watch the process that a start has brought."""
        cell.child = child
        self._owner.watch(child.pidfd, cell)
        self._owner.watchdog.watch(cell)
        if cell.final and cell.ended_with:
            child.kill_group()  # killed before its number was known

    def ready(self, actor: int, start: int) -> None:
        """An incarnation reports that its `on_start` is done."""
        cell = self._owner.cells.get(actor)
        if cell is None or cell.start != start or cell.life is not Life.STARTING:
            return
        cell.life = Life.UP
        cell.lost_starts = 0
        cell.ready_at = monotonic()
        spawner, cell.spawner = cell.spawner, None
        self._owner.reply(spawner, cell.info)

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
        cell.child.kill_group()
        text = f"its on_start took longer than start_timeout={cell.options.start_timeout} s"
        with open(os.path.join(cell.folder, "error"), "wb") as file:
            pickle.dump((start, text, ""), file)

    def gone(self, cell: Cell) -> None:
        """An incarnation has ended: reap it, and see what follows."""
        child = cell.child
        assert child is not None
        # The group before the number: once reaped, the number may be somebody else's.
        child.kill_group()
        code = child.exit_code()
        self._owner.unwatch(child.pidfd)
        self._owner.watchdog.unwatch(cell)
        reason, trace = cell.exit_reason(code)
        is_sigkill = reason == ExitReason(ExitKind.SIGNAL, signal.SIGKILL)
        if is_sigkill and self._oom.claims(monotonic()):
            reason = ExitReason(ExitKind.OOM, signal.SIGKILL)
        # Only a crash is worth the zygote's answer, less than a millisecond later.
        wanted = reason.is_abnormal and not cell.final
        later = child.let_go(cell.start if wanted else 0)
        child.release()
        if later:
            self._dying[cell.start] = cell, reason, trace
            # Should the zygote be dead or behind: then the peak stays unknown.
            due = monotonic() + _PEAK_S
            self._owner.at(due, functools.partial(self.reaped, cell.start, 0))
        else:
            self._after(cell, reason, trace)

    def reaped(self, start: int, peak: int) -> None:
        """The zygote tells how much memory a dead process had, or took too long to."""
        dead = self._dying.pop(start, None)
        if dead is not None:
            cell, reason, trace = dead
            assert cell.child is not None
            cell.child.peak_memory = peak
            self._after(cell, reason, trace)

    def _after(self, cell: Cell, reason: ExitReason, trace: str) -> None:
        in_hand = self._owner.recovery.in_hand(cell)
        report = cell.report(reason, trace, in_hand)
        cell.child = None
        follows = self._decide(cell, reason)
        again = (
            isinstance(follows, Respawn)
            and cell.options.delivery is Delivery.AT_LEAST_ONCE
            and reason.kind is not ExitKind.ERROR  # an exception is no crash of the process
            and in_hand[1] < cell.options.max_deliveries
        )
        if reason.is_abnormal:
            cell.last_crash = report
            if not (reason.kind is ExitKind.KILLED and cell.final):
                _log.error("%s", report)
                self._owner.recovery.keep_crash(cell, report)
        self._owner.recovery.settle(cell, report, again)
        if cell.words[PROCESS]:
            self._owner.recovery.sweep_after(cell.words[PROCESS])
            cell.words[PROCESS] = 0
        if isinstance(follows, Respawn):
            cell.history = follows.history
            self._respawn_after(cell, follows.wait)
        else:
            self.end(cell, reason, follows)

    def _decide(self, cell: Cell, reason: ExitReason) -> object:
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
        now, draw = monotonic(), random.random()  # noqa: S311 - jitter, not a secret
        return decide(cell.options, reason, cell.history, now, cell.ran_s(), draw)

    def _respawn_after(self, cell: Cell, wait: float) -> None:
        cell.life = Life.DOWN
        if cell.words[PHASE] == STOPPING or cell.stop_by is not None:
            # It died on its way through the mailbox to its end: the next life goes on with it.
            cell.words[CLOSED] = 0
            self._owner.station.stop_in_order(cell.actor)
        cell.words[PHASE] = STARTING
        # No order to the last life may reach the next one.
        cell.words[CONTROL] = PARENT_GONE if cell.parent_gone else 0
        if cell.children:
            # What the dead one started ends with it, before its next life starts its own.
            self._owner.stopping.stop_cells(list(cell.children))
        due = monotonic() + wait
        start = cell.start

        def respawn() -> None:
            if cell.life is Life.DOWN and cell.start == start:
                if cell.children:
                    cell.respawns_childless = True
                else:
                    self.start(cell)

        if wait > 0:
            self._owner.at(due, respawn)
        else:
            respawn()

    def end(self, cell: Cell, reason: ExitReason, follows: object = None) -> None:
        """End an actor for good: answer for its mailbox, tell whoever waits."""
        cell.life = Life.OVER
        cell.reason = reason
        why = "has stopped" if not reason.is_abnormal else f"is gone for good: it {reason}"
        if isinstance(follows, GiveUp):
            why += (
                f" (restart number {follows.count} within {cell.options.within} s, allowed are "
                f"{cell.options.max_restarts})"
            )
            _log.error("%s %s", cell.name, why)
        if cell.is_inbox:
            cell.mark_gone()  # its reader, in the main program, sees to what is left
        else:
            self._owner.recovery.close_mailbox(cell, why)
        if cell.children:
            self._owner.stopping.stop_cells(list(cell.children))
        self._owner.remember(cell)
        spawner, cell.spawner = cell.spawner, None
        if spawner is not None:
            self._spawn_failed(cell, reason, spawner)
        waiters, cell.waiters = cell.waiters, []
        for who in waiters:
            self._owner.reply(who, reason)
        parent = self._owner.cells.get(cell.parent)
        if parent is not None:
            parent.children.remove(cell.actor)
            self._owner.stopping.child_ended(parent)
            if parent.respawns_childless and not parent.children:
                parent.respawns_childless = False
                self.start(parent)
        self._owner.stopping.ended(cell)

    def _spawn_failed(self, cell: Cell, reason: ExitReason, spawner: ReplyTo) -> None:
        error = SpawnError(f"{cell.class_name} ({cell.name}) {reason}")
        trace = cell.last_crash.traceback if cell.last_crash is not None else ""
        if trace:
            self._owner.recovery.answer(spawner.reply, spawner.call, Kind.FAILURE, (error, trace))
        else:
            self._owner.reply(spawner, error)
