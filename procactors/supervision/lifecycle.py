"""The lives of actors: each start, each death, and what is done about it.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: what is still to be said of deaths whose reports are not complete.
Never: waits: a start's answer, its report and its end come as events; decides: `engine` does.

    start ─► started (its process is known) ─► ready ─► gone ─► engine, recovery ─┬─► start
                                                                                 └─► end
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
import os
import signal
from collections.abc import Callable

from procactors.crash import LOG_LINES, CrashReport, ExitKind, ExitReason
from procactors.late_dataclass import dataclass
from procactors.model.choices import Delivery, Restart
from procactors.seeds import derive
from procactors.supervision.actor_record import ActorRecord, Life
from procactors.supervision.backend import Ended, NextLife, Tell
from procactors.supervision.child_failures import ChildFailures
from procactors.supervision.core import Core
from procactors.supervision.crash_log import CrashLog
from procactors.supervision.death_watch import DeathWatch
from procactors.supervision.engine import Close, Exit, Stage
from procactors.supervision.mishaps import quietly, said
from procactors.supervision.stopping import Stopping
from procactors.supervision.supervisor_record import ChildEntry
from procactors.supervision.watchdog import Watchdog
from procactors.wire.journal import (
    CRASHED,
    RESTARTING,
    STARTING as STARTING_AGAIN,
    STOPPED as OVER,
    UP,
)
from procactors.wire.mailbox.black_box import (
    CLOSED,
    CLOSING,
    CONTROL,
    DEBUGGED,
    ENDING,
    GONE,
    PARENT_GONE,
    PHASE,
    STARTING,
    STOP_ORDERED,
    STOPPING,
)

__all__ = ["Lifecycle"]

_log = logging.getLogger("procactors")

#: Seconds between looks at a start that is overdue before its process is known.
_OVERDUE_EVERY_S = 0.1
#: Seconds beyond a start's time after which a backend that has not answered counts as hung.
_BACKEND_PATIENCE_S = 5.0
#: Most seconds for which what is said of a death waits for the peak memory that the process had.
_PEAK_S = 0.2

#: A kill by a sender that is not known.
_SIGKILL = ExitReason(ExitKind.SIGNAL, signal.SIGKILL)


@dataclass(frozen=True)
class _Death:
    """What is to be said of a death, once its report is complete.

    Attributes:
        lines: how many of the report are logged; 0: none, it was ordered.
        write: writes it to the folder of crashes.
        tell: answers the caller of the message in hand, or keeps that as a dead letter.
        sweep: removes what the process had open. Behind `tell`: with the answer of a pool's batch
            its results are read, and what the process had sent is not what is swept.
    """

    actor: ActorRecord
    report: CrashReport
    lines: int
    write: Tell
    tell: Tell
    sweep: Callable[[], None]


class Lifecycle:
    """Starts incarnations and deals with their ends."""

    def __init__(
        self,
        core: Core,
        stopping: Stopping,
        death_watch: DeathWatch,
        child_failures: ChildFailures,
        watchdog: Watchdog,
    ) -> None:
        self._core = core
        self._stopping = stopping
        self._death_watch = death_watch
        self._child_failures = child_failures
        self._watchdog = watchdog
        self._crash_log = CrashLog(core.after)
        self._starts = itertools.count(1)
        # Of the seeds of all actors that have no root of their own.
        self._root = int.from_bytes(os.urandom(16), "big")
        #: By start: what is done with the peak memory of a process that has ended.
        self._peaks: dict[int, Callable[[int], None]] = {}

    def draw_seeds_from(self, root: int) -> None:
        """Derive the seeds of all actors that have no root of their own from this one."""
        self._root = root

    # -- starts ---------------------------------------------------------------------------------

    def start(self, actor: ActorRecord) -> None:
        """Start the next incarnation; failing to is one more death."""
        actor.life = Life.STARTING
        actor.incarnation += 1
        actor.start = start = next(self._starts)
        actor.ready_at = None
        actor.ready_early = False
        actor.ended_with = 0
        actor.was_suspended = actor.is_suspended = False
        actor.accused_of = None
        actor.killed_call = None
        actor.peak_memory = 0
        if actor.incarnation > 1:
            self._core.note(STARTING_AGAIN, actor.id, actor.incarnation, actor.recycled)
        try:
            actor.words[STOP_ORDERED] = actor.stop_by is not None
            actor.host.start(self._next_life(actor))
            if actor.host.pid is not None:
                self.started(actor.id)
        except Exception as error:  # noqa: BLE001 - so wide: a caller waits for this start
            self.start_broke(actor.id, error)
            return
        limit = actor.options.start_timeout
        if limit is not None:
            self._core.after(limit, functools.partial(self._overdue, actor, start))

    def _next_life(self, actor: ActorRecord) -> NextLife:
        options = actor.options
        root = derive(self._root, actor.id) if options.seed is None else options.seed
        actor.seed = derive(root, actor.incarnation)
        return NextLife(
            start=actor.start,
            incarnation=actor.incarnation,
            parent=actor.parent,
            extra=actor.extra,
            options=options,
            stop_timeout=self._core.time_of(actor),
            # A recycling is no restart: the hook of that name hears nothing of it.
            report=None if actor.was_recycled else actor.last_crash,
            seed=actor.seed,
            dumps=actor.pooled or options.handle_timeout is not None,
        )

    def start_lost(self, actor_id: int) -> None:
        """A start was lost before it had a process: make it anew."""
        actor = self._core.actors.get(actor_id)
        if actor is not None and actor.life is Life.STARTING:
            # A new number: should the old one have come to something after all, it is late.
            actor.incarnation -= 1
            self.start(actor)

    def start_failed(self, actor_id: int, error: Exception) -> None:
        """No process came of a start: that is one more death."""
        actor = self._core.actors.get(actor_id)
        if actor is None or actor.life is not Life.STARTING:
            return
        cause = error if isinstance(error, OSError) else said(error)
        reason = ExitReason(ExitKind.START, None, f"no process could be started: {cause}")
        self._or_abandon(actor, lambda: self._died(actor, reason, Ended(None), None))

    def start_broke(self, actor_id: int, error: Exception) -> None:
        """A start was broken off by an error of ours: that counts as a failed one."""
        actor = self._core.actors.get(actor_id)
        if actor is None:
            return
        _log.error("%s could not be started", actor.name, exc_info=error)
        if actor.host.pid is not None:
            # Its end is on its way, as an event like any other's.
            actor.accused_of = ExitReason(ExitKind.START, None, said(error))
            quietly(actor.host.kill)
        else:
            self.let_go(actor)
            self.start_failed(actor_id, error)

    def started(self, actor_id: int) -> None:
        """The process of a start is there, and its end will be noticed."""
        actor = self._core.actors[actor_id]
        try:
            self._watchdog.watch(actor)
            if actor.final and actor.ended_with:
                actor.host.kill()  # killed before it was there
            elif actor.ready_early:
                self._ready(actor)
        except Exception as error:  # noqa: BLE001 - so wide: a caller waits for this start
            self.start_broke(actor_id, error)

    def ready(self, actor_id: int, start: int, decides: int) -> None:
        """An incarnation reports that its `on_start` is done.

        Args:
            actor_id: of the actor.
            start: number of the start of that incarnation.
            decides: whether it wants to be asked when one of its children dies.
        """
        actor = self._core.actors.get(actor_id)
        if actor is None or actor.start != start or actor.life is not Life.STARTING:
            return
        actor.decides = bool(decides)
        # It may be faster than the word that its process is there. It counts as up when its end can
        # be noticed: a stop would take it for an inbox, and leave its process running.
        actor.ready_early = actor.host.pid is None
        if actor.ready_early:
            return
        try:
            self._ready(actor)
        except Exception as error:  # noqa: BLE001 - so wide: a caller waits for this start
            self.start_broke(actor_id, error)

    def _ready(self, actor: ActorRecord) -> None:
        """The start of an actor is done: answer its caller, and tell its watchers."""
        actor.life = Life.UP
        actor.ready_at = self._core.clock()
        self._core.note(UP, actor.id, actor.incarnation, actor.recycled, actor.host.pid)
        if self._core.announce is not None:
            self._core.announce.started(actor)
        entry = self._core.entries[actor.id]
        told = self._core.reply(entry.starter, actor.info)
        if told and entry.starter is not None:
            entry.answered = entry.starter
        entry.starter = None  # not before: a caller that has no answer yet gets an error
        self._core.child_started(entry)
        if not told and entry.supervisor.state.is_alone:
            # Its spawner got an error, or has given up, as by Ctrl-C: no process has the ref. In
            # order: its `on_start` has run, so its `on_stop` runs too.
            self._stopping.order(actor)
        self._core.backend.up(actor.name)
        ended_as, actor.ended_as = actor.ended_as, None
        if ended_as is not None:
            self._death_watch.restarted(actor, ended_as)

    def _overdue(
        self, actor: ActorRecord, start: int, late_s: float = 0.0, was_debugged: bool = False
    ) -> None:
        if actor.start != start or actor.life is not Life.STARTING:
            return
        if actor.host.pid is None:
            # The backend is behind, or still coming up: look again once there is something to end.
            if late_s >= _BACKEND_PATIENCE_S:
                self._core.backend.overdue()
                return
            again = functools.partial(self._overdue, actor, start, late_s + _OVERDUE_EVERY_S)
            self._core.after(_OVERDUE_EVERY_S, again)
            return
        limit, is_debugged = actor.options.start_timeout, bool(actor.words[DEBUGGED])
        if limit is not None and (is_debugged or was_debugged):
            # Behind the debugger it has all its time anew.
            again = functools.partial(self._overdue, actor, start, was_debugged=is_debugged)
            self._core.after(_OVERDUE_EVERY_S if is_debugged else limit, again)
            return
        text = f"its on_start took longer than start_timeout={limit} s"
        actor.accused_of = ExitReason(ExitKind.START, None, text)
        actor.host.kill()

    def respawn(self, actor: ActorRecord, wait: float) -> None:
        """Start the next life of an actor after `wait` seconds, once its children have ended."""
        start = actor.start

        def respawn() -> None:
            if actor.life is Life.DOWN and actor.start == start:
                actor.respawns_childless = bool(actor.children)
                if not actor.children:
                    self.start(actor)

        if actor.incarnation:
            reason = self._core.entries[actor.id].last[0]
            if actor.was_recycled and actor.ended_as is not None:
                reason = actor.ended_as
            self._note_restart(actor, reason, wait)
        if wait > 0:
            self._core.after(wait, respawn)
        else:
            respawn()

    def _note_restart(self, actor: ActorRecord, reason: ExitReason, wait: float) -> None:
        life = actor.incarnation + 1
        self._core.note(RESTARTING, actor.id, life, actor.recycled, wait, str(reason))
        if self._core.announce is not None:
            self._core.announce.restarting(actor, reason, wait)

    def cancel(self, actor: ActorRecord) -> None:
        """Have the awaited start of an actor not take place."""
        actor.start = next(self._starts)
        actor.respawns_childless = False

    # -- deaths ---------------------------------------------------------------------------------

    def gone(self, actor_id: int) -> None:
        """The process of an incarnation has ended: reap it, and see what follows."""
        actor = self._core.actors[actor_id]
        pid = actor.host.pid
        if self._comes_back(actor):
            self._core.backend.expect()
        try:
            ended = actor.host.reap(actor.start)
            self._watchdog.unwatch(actor)
            reason = self._core.backend.judge(actor.exit_reason(ended), self._core.clock())
        except Exception as error:  # noqa: BLE001 - so wide: this end is noticed once
            _log.error("the end of %s could not be looked into", actor.name, exc_info=error)
            self.let_go(actor)
            ended, reason = Ended(None), ExitReason(ExitKind.UNKNOWN, None, said(error))
        makes_way = reason.kind is ExitKind.RECYCLED
        follow = self._recycled if makes_way else self._died
        self._or_abandon(actor, lambda: follow(actor, reason, ended, pid))

    def _comes_back(self, actor: ActorRecord) -> bool:
        """Whether the next life will most likely be started at once; the engine decides."""
        is_ended = actor.final or actor.stop_by is not None or self._core.end_by is not None
        return not is_ended and actor.options.restart is not Restart.TEMPORARY

    def let_go(self, actor: ActorRecord) -> None:
        """End an actor's process, if it has one, behind an error of ours."""
        quietly(actor.host.let_go, lambda: self._watchdog.unwatch(actor))

    def _or_abandon(self, actor: ActorRecord, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - so wide: all that wait for this actor are answered
            self._core.abandon(actor, error)

    def _recycled(
        self, actor: ActorRecord, reason: ExitReason, ended: Ended, pid: int | None
    ) -> None:
        """An incarnation has made way: start the next one, but for an end that was ordered.

        No restart and no crash: nothing is counted, reported or waited for.
        """
        if actor.life is Life.STARTING:
            self._ready(actor)  # it was up, though its report has not been read yet
        is_late = actor.stop_by is not None and self._core.clock() >= actor.stop_by
        if actor.final or is_late or self._core.entries[actor.id].stage is Stage.STOPPING:
            killed = ExitReason(ExitKind.KILLED, actor.ended_with or signal.SIGKILL)
            reason = killed if actor.final else ExitReason(ExitKind.STOPPED)
            self._died(actor, reason, ended, pid)
            return
        quietly(actor.host.sweeper())
        actor.ended_as = reason
        actor.recycled += 1
        actor.was_recycled = True
        # A stop from outside stands behind what the next life still has to handle.
        self._park(actor, keeps_stop=True)
        self.respawn(actor, 0.0)

    def _died(self, actor: ActorRecord, reason: ExitReason, ended: Ended, pid: int | None) -> None:
        """A life has ended: ask the engine what follows, and see to the message in hand."""
        peak_comes = reason.is_abnormal and ended.peak_comes
        report = actor.report(reason, ended, pid, self._core.clock())
        entry = self._core.entries[actor.id]
        # A timer has a name there, too, but is no message.
        had_message = report.handler is not None and report.deliveries > 0
        how = self._exit_of(actor, reason, had_message=had_message)
        crashed = how in (Exit.ABNORMAL, Exit.FAULTLESS) and not _is_ordered(actor)
        crashed = crashed and not _is_wished(actor, reason)
        decider = self._core.decider(actor) if crashed else None
        is_held = decider is not None
        if peak_comes and self._core.stays_down(entry, how, held=is_held):
            # Nothing is started: the answers that its end brings wait for the whole report.
            actor.life = Life.DYING
            self._await_peak(actor, lambda peak: self._died_with(actor, reason, ended, pid, peak))
            return
        if actor.ready_at is not None:
            actor.ended_as = reason
        lines = self._lines(actor, reason, entry)
        self._note(actor, entry, reason, report)
        if reason.is_abnormal:
            self._note_crash(actor, report)
        if actor.words[CLOSED] == CLOSING:
            # It had come to an order to stop from outside: that waits for its end, not a new life.
            self._core.leave_down(entry)
        orders = self._core.child_exited(entry, how, held=is_held)
        comes_back = Close(entry.key) not in orders
        death = _Death(
            actor=actor,
            report=report,
            lines=lines,
            write=actor.host.crash_writer(),
            sweep=actor.host.sweeper(),
            # Last: once the mailbox is recovered, only this death has the message that was in hand.
            tell=actor.host.recover(
                report, _most_deliveries(actor) if comes_back else 0, actor.killed_call
            ),
        )
        try:
            if comes_back:
                self._park(actor, keeps_stop=entry.supervisor.state.is_alone)
                if decider is not None and entry.stage is Stage.PARKED:
                    self._child_failures.ask(actor, decider, reason)
        finally:
            tell = functools.partial(self._tell, death)
            # The next life is not kept waiting for the peak memory.
            quietly((lambda: self._await_peak(actor, tell)) if peak_comes else tell)

    def _note(
        self, actor: ActorRecord, entry: ChildEntry, reason: ExitReason, report: CrashReport
    ) -> None:
        """Keep what is known of a death, for the next life and for callers that ask."""
        actor.was_recycled = False
        entry.last = (reason, report if reason.is_abnormal else None)
        if reason.is_abnormal:
            actor.last_crash = report
        if not entry.supervisor.state.is_alone:
            if entry.stage is Stage.STARTING:
                entry.supervisor.failed = entry
            if reason.is_abnormal:
                entry.supervisor.note_deaths(report)

    def _note_crash(self, actor: ActorRecord, report: CrashReport) -> None:
        brief = report.brief(LOG_LINES)
        life, says = report.incarnation, str(report.reason)
        self._core.note(CRASHED, actor.id, life, says, brief, report.handler)
        if self._core.announce is not None:
            self._core.announce.crashed(actor, report)

    def _lines(self, actor: ActorRecord, reason: ExitReason, entry: ChildEntry) -> int:
        """Return how many lines of a death are logged."""
        if not reason.is_abnormal or (reason.kind is ExitKind.KILLED and actor.final):
            return 0
        if _is_wished(actor, reason):
            return 0
        # The caller of a failed start gets the whole cause: it is shown once, there.
        return 1 if reason.kind is ExitKind.START and entry.starter is not None else LOG_LINES

    def _exit_of(self, actor: ActorRecord, reason: ExitReason, *, had_message: bool) -> Exit:
        """Return what an actor's end means to the engine."""
        if actor.final or reason.kind is ExitKind.STOPPED:
            return Exit.SHUTDOWN
        if _is_ordered(actor) and not self._finishes_mailbox(actor, reason):
            return Exit.SHUTDOWN
        if not reason.is_abnormal:
            return Exit.NORMAL
        # An item has ended it, and its pool sees to that one: the worker is not to blame.
        is_items = actor.pooled and had_message
        return Exit.FAULTLESS if is_items or _is_wished(actor, reason) else Exit.ABNORMAL

    def _finishes_mailbox(self, actor: ActorRecord, reason: ExitReason) -> bool:
        """Whether an actor that crashed on its way to a stop comes back to finish its mailbox.

        Not in a tree, nor if it failed behind its mailbox, cannot start, or has no time left.
        """
        if not reason.is_abnormal or not self._core.entries[actor.id].supervisor.state.is_alone:
            return False
        if actor.words[PHASE] == ENDING or reason.kind is ExitKind.START:
            return False
        return actor.stop_by is None or self._core.clock() < actor.stop_by

    def _park(self, actor: ActorRecord, *, keeps_stop: bool) -> None:
        """Put an actor between two lives: its mailbox is kept."""
        actor.life = Life.DOWN
        words = actor.words
        if not keeps_stop:
            # What ended this life was its supervisor's order: it is not the next one's.
            words[CLOSED] = words[STOP_ORDERED] = 0
            actor.stop_by, actor.final = None, False
        elif words[PHASE] == STOPPING or actor.stop_by is not None:
            # It died on its way through the mailbox to its end: the next life goes on with it.
            words[CLOSED] = 0
            actor.host.stop()
        words[PHASE] = STARTING
        # No order to the last life may reach the next one.
        words[CONTROL] = PARENT_GONE if actor.parent_gone else 0
        if actor.children:
            # What the dead one started ends with it, before its next life starts its own.
            self._stopping.stop_row(list(actor.children))

    # -- what is said of a death ------------------------------------------------------------------

    def _await_peak(self, actor: ActorRecord, then: Callable[[int], None]) -> None:
        """Go on when the peak memory of a process is known; without it, should it not come."""
        self._peaks[actor.start] = then
        self._core.after(_PEAK_S, functools.partial(self.peak_known, actor.start, 0))

    def peak_known(self, start: int, peak: int) -> None:
        """Take the peak memory of the process of a start; 0: it will not come."""
        then = self._peaks.pop(start, None)
        if then is not None:
            quietly(lambda: then(peak))

    def _died_with(
        self, actor: ActorRecord, reason: ExitReason, ended: Ended, pid: int | None, peak: int
    ) -> None:
        if actor.life is Life.DYING:  # else it was ended meanwhile, behind an error of ours
            known = ended._replace(peak=peak, peak_comes=False)
            self._or_abandon(actor, lambda: self._died(actor, reason, known, pid))

    def _tell(self, death: _Death, peak: int = 0) -> None:
        """Say what is to be said of a death: its report is complete."""
        backend, report = self._core.backend, death.report
        report = dataclasses.replace(report, peak_memory=max(peak, report.peak_memory))
        if report.reason == _SIGKILL and backend.was_short(report.peak_memory):
            report = dataclasses.replace(report, memory_was_short=True)
        self._complete(death.actor, report)
        if death.lines:
            quietly(
                lambda: self._core.note_crash(report),
                lambda: self._crash_log.note(report, death.lines),
                lambda: death.write(report),
            )
        quietly(lambda: death.tell(report), death.sweep)

    def _complete(self, actor: ActorRecord, report: CrashReport) -> None:
        """Put a report in the place of what was known before, of the same life."""
        crash = actor.last_crash
        if crash is not None and crash.incarnation == report.incarnation:
            actor.last_crash = report
            if (past := self._core.over.get(actor.id)) is not None:
                self._core.over[actor.id] = dataclasses.replace(past, last_crash=report)

    def close(self) -> None:
        """Say now what there is to say."""
        for start in list(self._peaks):
            self.peak_known(start, 0)
        self._crash_log.close()

    # -- the end --------------------------------------------------------------------------------

    def end(self, actor: ActorRecord, reason: ExitReason, because: str = "") -> None:
        """End an actor for good: answer all that waits in its mailbox, and for it; once."""
        if actor.life is Life.OVER:
            return
        actor.life = Life.OVER
        actor.reason = reason
        # Each step is an answer to others: none of them hangs on the one before.
        quietly(
            lambda: self._close_mailbox(actor, because),
            lambda: self._announce_end(actor, reason),
            lambda: self._stopping.stop_row(list(actor.children)),
            lambda: self._core.remember(actor),
            lambda: self._child_failures.ended(actor),
            # First: the event for watchers comes before the stop that may come to them now, and
            # before what is sent by callers that wait for this end.
            lambda: self._death_watch.ended(actor, actor.reason or reason),
            lambda: self._core.reply_all(actor.waiters, actor.reason),
            lambda: self._core.reply_all(actor.childless_waiters, None),
            lambda: self._leave_parent(actor),
            lambda: self._stopping.ended(actor),
        )

    def _close_mailbox(self, actor: ActorRecord, because: str) -> None:
        assert actor.reason is not None
        actor.reason = reason = self._death_watch.final_reason(actor, actor.reason)
        if actor.is_inbox:
            actor.words[CLOSED] = GONE  # its reader, in the main program, sees to what is left
            return
        # Before any answer: what stops the system on getting it would be too late to count it.
        self._core.backend.ended(actor.name, reason, actor.last_handler, actor.was_suspended)
        why = "has stopped" if not reason.is_abnormal else f"is gone for good: it {reason}"
        if because:
            why += f" ({because})"
            _log.error("%s %s", actor.name, why)
        actor.host.close_mailbox(why)

    def _announce_end(self, actor: ActorRecord, reason: ExitReason) -> None:
        reason = actor.reason or reason
        self._core.note(OVER, actor.id, reason.kind.value, str(reason))
        if self._core.announce is not None and not actor.is_inbox:
            self._core.announce.stopped(actor, reason)

    def _leave_parent(self, actor: ActorRecord) -> None:
        parent = self._core.actors.get(actor.parent)
        if parent is None or actor.id not in parent.children:
            return
        parent.children.remove(actor.id)
        self._stopping.child_ended(parent)
        if parent.respawns_childless and not parent.children:
            parent.respawns_childless = False
            # Not if an order stands behind this event that has its life not take place.
            if self._core.entries[parent.id].stage in (Stage.STARTING, Stage.UP):
                self.start(parent)


def _is_wished(actor: ActorRecord, reason: ExitReason) -> bool:
    """Whether an actor's process was killed because a call's caller wished it."""
    return actor.killed_call is not None and reason.kind is ExitKind.KILLED


def _most_deliveries(actor: ActorRecord) -> int:
    """Return how often a message may be begun in all that a death has cut off; 0: not again."""
    again = actor.options.delivery is Delivery.AT_LEAST_ONCE
    return actor.options.max_deliveries if again else 0


def _is_ordered(actor: ActorRecord) -> bool:
    """Whether an actor was ordered to stop, or has come to such an order in its mailbox."""
    return actor.stop_by is not None or actor.words[CLOSED] == CLOSING
