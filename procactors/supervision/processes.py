"""Actors in processes: the backend of supervision that starts, watches and ends them.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: the children's pidfds, each by its host (`ProcessHost.let_go`); which are watched.
Never: decides what follows from an end; waits for the zygote.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import pickle
import select
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from procactors.crash import CrashReport, ExitKind, ExitReason
from procactors.errors import ProcActorsError
from procactors.late import late
from procactors.model.backends import unsupported
from procactors.model.choices import Delivery
from procactors.model.options import Limits, Options
from procactors.process.child import Child
from procactors.process.launcher import Launcher
from procactors.process.limits import thread_caps
from procactors.process.nesting import makers, one_deeper
from procactors.process.oom import OomKills, was_short
from procactors.process.order import StartOrder, surroundings, write_order
from procactors.process.zygote import REAP
from procactors.runner.log_tail import read_log
from procactors.supervision.actor_mailbox import ActorMailbox
from procactors.supervision.backend import Ended, Listener, NextLife, ReplyTo, Tell
from procactors.supervision.logs import Logs
from procactors.supervision.mishaps import quietly
from procactors.supervision.recovery import Recovery
from procactors.wire.endpoint import Endpoint
from procactors.wire.envelope import build_event
from procactors.wire.mailbox.black_box import (
    DEBUGGED,
    HALTED,
    INCARNATION,
    LEFT,
    LOGS,
    PHASE,
    PROCESS,
    RECYCLED,
    STARTING,
    STOPPED,
)
from procactors.wire.procstat import resident_of
from procactors.wire.record import Kind, frame, tap_record
from procactors.wire.replies.failures import own_failure

if TYPE_CHECKING:
    from procactors.supervision import totals
else:
    totals = late("procactors.supervision.totals")  # not before an actor has ended

__all__ = ["ProcessHost", "Processes"]

_log = logging.getLogger("procactors")

#: How often a start is made anew because its zygote died.
_LOST_STARTS = 3

_UNLIMITED = Limits(threads=None)
#: A kill by a sender that is not known.
_SIGKILL = ExitReason(ExitKind.SIGNAL, signal.SIGKILL)
#: What a process that ends in order has noted last.
_ORDERLY = (STOPPED, LEFT, HALTED, RECYCLED)


class ProcessHost(ActorMailbox):
    """One actor's mailbox and its process; its `pid` is that of one whose end will be noticed."""

    def __init__(
        self, processes: Processes, actor: int, name: str, class_name: str, options: Options
    ) -> None:
        super().__init__(processes.path, actor, name, class_name, options)
        self._processes = processes
        self._recovery = processes.recovery
        self.pid: int | None = None
        self.taps = dict(processes.taps)
        self._child: Child | None = None
        #: Number of the start that no process has come of yet; 0 for none.
        self.ordered = 0
        #: Starts of this life that were lost with a zygote.
        self.lost_starts = 0

    # -- its process

    def start(self, life: NextLife) -> None:
        """Start a process; by the zygote, its pid comes as an event."""
        self._processes.logs.begins(self.id, self.name, self.folder)
        self._write_order(life)
        self.ordered = life.start
        self._child = self._processes.launcher.start(self.id, life.start)
        if self._child is not None:
            self._watch(self._child)

    def adopt(self, pid: int) -> None:
        """Take the process that the zygote has forked for the start."""
        self._child = self._processes.launcher.adopt(pid)
        self._watch(self._child)

    def _watch(self, child: Child) -> None:
        """Watch for the end of the process."""
        self.ordered = self.lost_starts = 0
        self._processes.watch(child.pidfd, self)
        self.pid = child.pid

    @property
    def has_child(self) -> bool:
        """Whether there is a process to be ended, noticed or not."""
        return self._child is not None

    def _write_order(self, life: NextLife) -> None:
        around, options = surroundings(), life.options
        env = cast("dict[str, str]", options.env or {})  # made plain by `Options`
        limits, recycle = options.limits or _UNLIMITED, options.recycle_after
        order = StartOrder(
            actor=self.id,
            start=life.start,
            name=self.name,
            incarnation=life.incarnation,
            blueprint=self.blueprint,
            extra=life.extra,
            class_name=self.class_name,
            parent=life.parent,
            overflow=options.overflow.value,
            stop_timeout=life.stop_timeout,
            report=b"" if life.report is None else pickle.dumps(life.report),
            environ={**thread_caps(limits.threads), **around.environ, **one_deeper(), **env},
            cwd=around.cwd,
            path=around.path,
            argv=around.argv,
            main_file=around.main_file,
            authkey=around.authkey,
            recycle=None if recycle is None else dataclasses.astuple(recycle),
            checkpoint=None if options.checkpoint is None else _checkpoint(options),
            cpus=None if limits.cpu_affinity is None else tuple(limits.cpu_affinity),
            nice=limits.nice,
            dumps=life.dumps,
            seed=life.seed,
            reseed=options.seed is not None,
            makers=makers(),
            system=self._processes.launcher.system,
            concurrency=options.max_concurrency,
            metrics=self._processes.endpoint.trips is not None,
            logs=self._processes.logs.mode,
            levels=self._processes.logs.levels,
            output=self._processes.logs.output,
            is_traced=around.is_traced,
            taps=tuple(self.taps.items()),
            options=pickle.dumps(options) if self.taps else b"",
        )
        write_order(self.folder, order)

    def send(self, number: int) -> None:
        """Send a signal to the process."""
        if self._child is not None:
            self._child.send(number)

    def kill(self) -> None:
        """SIGKILL the process and what it has started."""
        if self._child is not None:
            self._child.kill_group()

    def is_suspended(self) -> bool:
        """Return whether the process is stopped, as by SIGSTOP or a debugger."""
        return self._child is not None and self._child.is_suspended()

    def reap(self, start: int) -> Ended:
        """Return how the process of that start has ended; kill what it left behind."""
        child = self._child
        assert child is not None
        # The process group before the number: once reaped, the number may be another's.
        child.kill_group()
        code = child.exit_code()
        self._processes.unwatch(child.pidfd)
        self.words[DEBUGGED] = 0  # of the process that is gone
        # Counted from 0 by each life: one that is killed before its first line has logged nothing.
        logged, self.words[LOGS] = self.words[LOGS], 0
        self._processes.logs.ended(self.id, self.words[INCARNATION], child.pid, logged)
        phase = self.words[PHASE]
        if phase != STARTING and not (phase == RECYCLED and code in (0, None)):
            # What it may have left is not for a life that follows a crash. (One that failed to
            # start has taken it, or has not come so far: then it is for the next one still.)
            self.drop_snapshot()
        text, trace = self.last_words(start)
        # Only a crash is worth the zygote's answer.
        comes = child.let_go(0 if code == 0 and phase in _ORDERLY else start)
        ended = Ended(
            code=code,
            lost=child.lost,
            text=text,
            trace=trace,
            stacks=self.take_stacks(),
            log=read_log(self.folder),
            peak=child.peak_memory,
            peak_comes=comes,
        )
        child.release()
        self.pid = self._child = None
        return ended

    def let_go(self) -> None:
        """End the process, if there is one, behind an error of the supervisor's own."""
        child, self._child, self.pid, self.ordered = self._child, None, None, 0
        if child is None:
            return
        quietly(child.kill_group, lambda: self._processes.unwatch(child.pidfd))
        if not child.is_reaped:  # after the SIGKILL it does not take long
            quietly(child.exit_code, child.let_go)
        quietly(child.release)

    def sweeper(self) -> Callable[[], None]:
        """Return what removes what the process that has ended had open."""
        process, self.words[PROCESS] = self.words[PROCESS], 0
        if not process:
            return lambda: None
        return lambda: self._recovery.sweep_after(process)

    def resident(self) -> int:
        """Return the resident bytes of the process; 0 if it is gone."""
        if self.pid is not None:
            with contextlib.suppress(OSError, IndexError):
                return resident_of(self.pid)
        return 0

    def peak(self) -> int:
        """Return the most resident bytes that the process ever had."""
        try:
            with open(f"/proc/{self.pid}/status", "rb") as file:
                for line in file:
                    if line.startswith(b"VmHWM:"):
                        return int(line.split()[1]) * 1024
        except (OSError, ValueError):
            pass
        return 0

    # -- its mailbox

    def waiting(self) -> int:
        """Return how many messages wait."""
        # An inbox has never a process, but a reader in the main program.
        return self.count_waiting(is_read=self.pid is not None or not self.blueprint)

    def crash_writer(self) -> Tell:
        """Return what writes a crash to the folder of crashes, with the message now in hand."""
        return self._recovery.crash_writer(self)

    def recover(
        self, report: CrashReport, most: int, unwanted: tuple[int, int] | None = None
    ) -> Tell:
        """Decide on the messages in hand (see `Recovery.recover`)."""
        return self._recovery.recover(self, report, most, unwanted)

    def stop(self) -> None:
        """Put a stop into the mailbox, behind everything that the parent has sent."""
        self._processes.endpoint.stop_in_order(self.id)

    def tap(self, name: str, argument: str) -> None:
        """Tell the life that there is of a tap."""
        self._processes.endpoint.send_control(self.id, tap_record(name, argument))

    def nudge(self) -> None:
        """Wake an actor that waits for a message; takes no token of the mailbox."""
        self._processes.endpoint.send_control(self.id, frame(Kind.NUDGE, 0, b""))

    def tell(self, what: int, actor: int, number: int, facts: tuple[object, ...] | None) -> None:
        """Put an event into the mailbox."""
        endpoint = self._processes.endpoint
        record = build_event(endpoint.store, what, actor, number, facts)
        endpoint.send_control(self.id, record)

    def remove(self) -> None:
        """Keep what it has counted; close and remove everything."""
        quietly(self._keep_counts, super().remove)

    def _keep_counts(self) -> None:
        processes = self._processes
        if processes.endpoint.trips is None or processes.is_closed:
            return
        if processes.totals is None:
            processes.totals = totals.Totals(processes.path)
        processes.totals.take(self.id, self.name, self.class_name, self.words, self.folder)

    def close_mailbox(self, why: str) -> None:
        """Close the mailbox for good, and answer everything in it."""
        self._recovery.close_mailbox(self, why)


def _checkpoint(options: Options) -> tuple[int | None, float | None, str, bool]:
    """Return what an actor is told of its checkpoints."""
    checkpoint = options.checkpoint
    assert checkpoint is not None
    file = cast("str | None", checkpoint.file)  # made plain by `Checkpoint`
    keeps_answers = options.delivery is Delivery.AT_LEAST_ONCE
    return checkpoint.messages, checkpoint.seconds, file or "", keeps_answers


class Processes:
    """The backend: the processes of one system.

    Args:
        endpoint: the parent's end of the wire.
        launcher: starts the processes.
        recovery: answers for the dead.
        epoll: watches the descriptors by which ends are noticed.
        logs: takes what actors log and print.

    Attributes:
        listener: takes the events of processes; set before the first is started.
    """

    listener: Listener

    def __init__(
        self,
        endpoint: Endpoint,
        launcher: Launcher,
        recovery: Recovery,
        epoll: select.epoll,
        logs: Logs,
    ) -> None:
        self.endpoint = endpoint
        self.path = endpoint.path
        self.launcher = launcher
        self.recovery = recovery
        self.logs = logs
        self.taps: dict[str, str] = {}
        self.oom = OomKills()
        #: What actors that are over have counted; made with the first of them.
        self.totals: totals.Totals | None = None
        #: Nothing of an actor is kept any more.
        self.is_closed = False
        self._epoll = epoll
        self._hosts: dict[int, ProcessHost] = {}
        self._by_pidfd: dict[int, ProcessHost] = {}

    # -- the backend

    def host(self, actor: int, name: str, class_name: str, options: Options) -> ProcessHost:
        """Make the host of a new actor. Raises UnsupportedOnBackend: it has such an option."""
        if options.ray is not None:
            raise unsupported("placement", "processes")
        host = self._hosts[actor] = ProcessHost(self, actor, name, class_name, options)
        return host

    def expect(self) -> None:
        """Have a process ready for a start whose order will follow."""
        self.launcher.expect()

    def answer(self, who: ReplyTo, value: object, trace: str = "") -> bool:
        """Answer a call; an exception is raised there, with that remote traceback if any."""
        kind = Kind.VERDICT if isinstance(value, BaseException) else Kind.RESULT
        if trace and isinstance(value, ProcActorsError):
            kind, value = Kind.FAILURE, own_failure(value, trace)
        return self.recovery.answer(who.reply, who.call, kind, value)

    def up(self, name: str) -> None:
        """An actor of that name is up: letters may have been kept for it."""
        self.recovery.letters.actor_up(name)

    def forget(self, actor: int) -> None:
        """An actor is over: close what is open for sending to it."""
        self._hosts.pop(actor, None)
        self.logs.removed(actor)
        self.endpoint.forget(actor)

    def overdue(self) -> None:
        """Replace a zygote that answers nothing, as one that was stopped."""
        self.launcher.kill_zygote()

    def judge(self, reason: ExitReason, now: float) -> ExitReason:
        """Return the reason of an end, corrected if the machine was short of memory."""
        if reason == _SIGKILL and self.oom.claims(now):
            return ExitReason(ExitKind.OOM, signal.SIGKILL)
        return reason

    def was_short(self, peak: int) -> bool:
        """Return whether memory was short for a process that has died with `peak` bytes."""
        return was_short(peak)

    def ended(self, name: str, reason: ExitReason, handler: str | None, suspended: bool) -> None:
        """An actor is over: count it for the report of a system's stop."""
        self.recovery.tally.ended(name, reason, handler, suspended)

    def lost(self, name: str, record: bytes, why: str, actor: int) -> None:
        """Answer for a record that its sender could not deliver, or its actor not handle."""
        self.recovery.lost(name, record, why, self._hosts.get(actor), actor)

    # -- what happens

    def watch(self, pidfd: int, host: ProcessHost) -> None:
        """Watch for the end of a process."""
        self._epoll.register(pidfd, select.EPOLLIN)
        self._by_pidfd[pidfd] = host  # behind it: what is in here is watched

    def unwatch(self, pidfd: int) -> None:
        """Forget a process that has ended."""
        if self._by_pidfd.pop(pidfd, None) is not None:
            self._epoll.unregister(pidfd)

    def close(self) -> None:
        """Keep nothing more of actors that end: the system has."""
        self.is_closed = True
        self._by_pidfd.clear()  # nothing is watched any more
        if self.totals is not None:
            self.totals.close()

    def open(self) -> None:
        """Watch the zygote, which has been started, and for the first record that is logged."""
        self._watch_zygote()
        if self.logs.fileno() >= 0:
            self._epoll.register(self.logs.fileno(), select.EPOLLIN)

    def happened(self, fd: int) -> None:
        """Pass on what a descriptor that has become ready tells."""
        if fd in self._by_pidfd:
            self.listener.gone(self._by_pidfd[fd].id)
        elif fd == self.logs.fileno():
            self._epoll.unregister(fd)
            self.logs.begin()
        else:
            self._take_answers()

    def _take_answers(self) -> None:
        """Pass on what the zygote has answered."""
        try:
            answers = self.launcher.collect()
        except Exception:  # noqa: BLE001 - so wide: what waits for an answer gets none
            _log.exception("the zygote's answers could not be read: it is replaced")
            self.launcher.kill_zygote()  # with a new one, all starts that it had are made anew
            return
        for what, number, start, outcome in answers:
            if what == REAP:
                quietly(functools.partial(self.listener.peak_known, start, outcome))
            elif (host := self._hosts.get(number)) is not None and host.ordered == start:
                try:
                    self._forked(host, outcome)
                except Exception as error:  # noqa: BLE001 - so wide: a caller waits for this start
                    if outcome > 0 and not host.has_child:
                        # No descriptor to watch it by: it must not go on unwatched.
                        quietly(functools.partial(self.launcher.discard, outcome))
                    self.listener.start_broke(host.id, error)
            # Else of a start that was given up; the incarnation sees that it is late.

    def _forked(self, host: ProcessHost, pid: int) -> None:
        """The zygote has forked a process; a negative number says why it could not."""
        if pid < 0:
            host.ordered = 0
            self.listener.start_failed(host.id, OSError(-pid, os.strerror(-pid)))
        else:
            host.adopt(pid)
            self.listener.started(host.id)

    # -- the zygote

    def _watch_zygote(self) -> None:
        self._epoll.register(self.launcher.fileno(), select.EPOLLIN)
        self._epoll.register(self.launcher.zygote_pidfd, select.EPOLLIN)

    def drop_zygote(self) -> None:
        """Take what a dead zygote had still answered, and close what is left of it."""
        fds = (self.launcher.fileno(), self.launcher.zygote_pidfd)
        quietly(
            self._take_answers,
            *(functools.partial(self._epoll.unregister, fd) for fd in fds),
            self.launcher.close,
        )

    def renew_zygote(self) -> bool:
        """Start another zygote, and have the starts that were lost made anew.

        Running actors go on; the exit codes of those that the dead one forked may be unknown.

        Returns:
            whether it is up.
        """
        why = ""
        try:
            self.launcher.renew()
            self._watch_zygote()
        except Exception as error:  # noqa: BLE001 - no descriptor or process left: later, perhaps
            _log.error("no zygote could be started: %s", error)
            why = f"no zygote could be started: {error}"
        for host in [host for host in self._hosts.values() if host.ordered]:
            host.lost_starts += 1
            if host.lost_starts > _LOST_STARTS:
                host.lost_starts = host.ordered = 0
                hint = "the zygote died at each try: does a module of preload= end the process?"
                self.listener.start_failed(host.id, OSError(why or hint))
            elif not why:
                self.listener.start_lost(host.id)
        return not why
