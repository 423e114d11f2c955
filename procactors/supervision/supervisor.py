"""The supervisor: one thread in the parent that watches every exit and respawns what died.

Layer: supervision. Runs in: parent, in a thread of its own, which owns all of the state.
Owns: the cells of all actors, the supervisor's mailbox, an epoll descriptor (closed at the end).
Never: runs user code; waits for an actor, a caller or the zygote; dies of an error in one cell.

    commands (its own mailbox) ─┐
    pidfds of the actors ───────┼─► one epoll ─► this thread ─► launcher, recovery, policy
    zygote's answers, its pidfd ┘                          └─► answers to reply pipes
    timers: start and stop deadlines, backoff
"""

from __future__ import annotations

import contextlib
import functools
import heapq
import itertools
import logging
import os
import select
import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Any

from procactors.errors import (
    ActorStopped,
    NameTaken,
    ProcActorsError,
    RestartIntensityExceeded,
    SpawnError,
)
from procactors.observe.event import Progress
from procactors.observe.events import Events
from procactors.options import Options
from procactors.process.launcher import Launcher
from procactors.process.zygote import REAP
from procactors.supervision import commands as c
from procactors.supervision.branchcommands import BranchCommands
from procactors.supervision.branches import Branches
from procactors.supervision.cell import Cell, Life, ReplyTo
from procactors.supervision.children import Children
from procactors.supervision.crash import ExitReason
from procactors.supervision.deathwatch import DeathWatch
from procactors.supervision.lives import Lives
from procactors.supervision.mishaps import Mishaps, as_answer
from procactors.supervision.recovery import Recovery
from procactors.supervision.stopping import Stopping
from procactors.supervision.watchdog import Watchdog
from procactors.wire.blackbox import CLOSED, GONE, LISTENED, SYSTEM_ENDS
from procactors.wire.envelope import CALL_ID, Envelope, open_envelope
from procactors.wire.mailbox import MailboxFiles
from procactors.wire.reader import MailboxReader
from procactors.wire.record import READY, Kind
from procactors.wire.station import Station, actor_path
from procactors.wire.transport import SUPERVISOR

__all__ = ["Supervisor"]

_log = logging.getLogger("procactors")

#: Least seconds between two zygotes, but for the first that is replaced.
_ZYGOTE_RENEWAL_S = 1.0
#: How often a start is made anew because its zygote died.
_LOST_STARTS = 3

#: How often what a timer is for is begun if it raises, and how many seconds lie between.
_TIMER_TRIES, _AGAIN_S = 5, 0.1

#: Commands whose callers wait for a start.
_STARTS = (c.Spawn, c.OpenInbox, c.Supervise, c.StartChild, c.RestartChild)

#: Ends and statuses kept of actors that are over, for refs that ask later.
_REMEMBERED = 10_000


class Supervisor:
    """Starts, watches, restarts and stops the actors of one system.

    Args:
        station: the parent's place on the wire.
        launcher: starts the processes.
        recovery: answers for the dead.
        stop_timeout: seconds of a stop for which neither caller nor options name any.
        events: told what actors report.
    """

    def __init__(
        self,
        station: Station,
        launcher: Launcher,
        recovery: Recovery,
        stop_timeout: float,
        events: Events,
    ) -> None:
        self.station = station
        self.recovery = recovery
        self.stop_timeout = stop_timeout
        self._events = events
        self.cells: dict[int, Cell] = {}
        #: Actors that are over, and whose descriptors are not closed yet.
        self.unburied: list[Cell] = []
        self._launcher = launcher
        self._names: dict[str, int] = {}
        self._over: OrderedDict[int, c.ActorStatus] = OrderedDict()
        self._ids = itertools.count(1)
        self._timers: list[tuple[float, int, Callable[[], None], int]] = []
        self._timer_ids = itertools.count()
        self._by_pidfd: dict[int, Cell] = {}
        self.stopping = Stopping(self)
        self.watchdog = Watchdog(self)
        self.mishaps = Mishaps(self)
        self.lives = Lives(self, launcher)
        self.branches = Branches(self)
        self.deathwatch = DeathWatch(self)
        self.children = Children(self)
        with contextlib.ExitStack() as undo:
            self._files = MailboxFiles(actor_path(station.path, SUPERVISOR))
            undo.callback(self._files.close)
            self._mailbox = MailboxReader(self._files.path)
            undo.callback(self._mailbox.close)
            self._epoll = select.epoll()
            undo.callback(self._epoll.close)
            self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            undo.pop_all()
        self._done = False
        self._renewed_at = -_ZYGOTE_RENEWAL_S
        # Guards the wake descriptor and the own box: the thread closes them, others write to them.
        self._closing = threading.RLock()
        self._handlers: dict[type, Callable[[Any, ReplyTo], None]] = {
            c.Spawn: self._spawn,
            c.OpenInbox: self._open_inbox,
            c.Stop: self.stopping.stop,
            c.StopChildren: self.stopping.stop_children,
            c.StopAll: self.stopping.stop_all,
            c.Leave: self.stopping.leave,
            c.Kill: self.stopping.kill,
            c.Condemn: self.watchdog.condemn,
            c.Wait: self._wait,
            c.Describe: self._describe,
            c.Find: self._find,
            c.ListActors: self._list,
            c.LostMessage: self._lost,
            c.DecideOnChild: self.children.decided,
            c.ReportProgress: self._progressed,
            **BranchCommands(self).handlers,
            c.Watch: self.deathwatch.watch,
            c.Unwatch: self.deathwatch.unwatch,
            c.Link: self.deathwatch.link,
            c.Unlink: self.deathwatch.unlink,
        }
        #: Called once when a tree's root has given up; the system then ends.
        self.on_failure: Callable[[RestartIntensityExceeded], None] = lambda _error: None
        self.thread = threading.Thread(target=self._run, name="procactors-supervisor", daemon=True)

    def open(self) -> None:
        """Start the zygote and the thread."""
        self._launcher.open()
        self._epoll.register(self._mailbox.fileno(), select.EPOLLIN)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._watch_zygote()
        self._events.on_change(self._show_listeners)
        self.thread.start()

    # -- the loop -----------------------------------------------------------------------------

    def finish(self) -> None:
        """End the thread after the event at hand; from any thread."""
        with self._closing:
            self._done = True
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def at(self, when: float, action: Callable[[], None], tries: int = _TIMER_TRIES) -> None:
        """Run `action` in this thread at the monotonic instant `when`.

        What raises is tried again: so it must be such that it may be begun more than once.
        """
        heapq.heappush(self._timers, (when, next(self._timer_ids), action, tries))

    def _run(self) -> None:
        while not self._done:
            for fd, _ in self._epoll.poll(self._patience()):
                self._guarded(functools.partial(self._event, fd))
            while self._timers and self._timers[0][0] <= monotonic():
                self._ring()
        # The mark first, as for any mailbox that is closed for good: no command waits for nobody.
        self._mailbox.box.words[CLOSED] = GONE
        self._guarded(self._obey)
        self._guarded(self.lives.crashes.close)
        self.close()

    def close(self) -> None:
        """Close what this room owns. Called by the thread at its end, or if it never began."""
        with self._closing:
            if self._wake < 0:
                return
            os.close(self._wake)
            self._wake = -1
        self._epoll.close()
        self._timers.clear()
        self._mailbox.close()
        self._files.close()

    def _patience(self) -> float | None:
        return max(0.0, self._timers[0][0] - monotonic()) if self._timers else None

    def _guarded(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except Exception:  # noqa: BLE001 - see below
            # So wide because nobody else would go on: an error over one cell must not leave all
            # the others without their supervisor. Where somebody waits, it was caught before.
            _log.exception("the supervisor met an error of its own and goes on")
            self.at(monotonic() + _AGAIN_S, self.stopping.resume)
            return False
        return True

    def _ring(self) -> None:
        """Do what the next timer is for."""
        _, _, action, tries = heapq.heappop(self._timers)
        if not self._guarded(action) and tries > 1:
            self.at(monotonic() + _AGAIN_S, action, tries - 1)

    def _event(self, fd: int) -> None:
        if fd == self._mailbox.fileno():
            self._obey()
        elif fd == self._wake:
            os.eventfd_read(self._wake)
        elif fd == self._launcher.zygote_pidfd:
            self._zygote_died()
        elif fd in self._by_pidfd:
            self.lives.gone(self._by_pidfd[fd])
        else:
            self._zygote_answered()

    def _obey(self) -> None:
        while (taken := self._mailbox.take(0.0)) is not None:
            # A copy: whatever keeps this frame alive (a traceback, a log record) must not keep a
            # view of the box, and with it the map and its descriptor.
            body = memoryview(bytes(taken.body))
            taken.body.release()
            try:
                if taken.kind == Kind.CALL:
                    envelope = open_envelope(body)
                    who = ReplyTo(envelope.reply, envelope.call)
                    self.guarded_command(functools.partial(self._do, taken.flags, envelope), who)
                elif taken.kind == Kind.FENCE:
                    self.station.home.sweep(CALL_ID.unpack_from(body)[0], SUPERVISOR)
                elif taken.kind == Kind.READY:
                    actor, start, decides = READY.unpack(body)
                    try:
                        self.lives.ready(actor, start, decides)
                    except Exception as error:  # noqa: BLE001 - so wide: a start is waited for
                        if actor in self.cells:
                            self.mishaps.start_broke(self.cells[actor], error)
            finally:
                self._mailbox.done(place=False)

    def _do(self, flags: int, envelope: Envelope, who: ReplyTo) -> None:
        command = self.station.home.load(flags, envelope.payload)
        if self._done and not isinstance(command, c.LostMessage):  # a letter is still kept
            raise ActorStopped("the system was stopped")
        handler = functools.partial(self._handlers[type(command)], command)
        self.guarded_command(handler, who, isinstance(command, _STARTS))

    def guarded_command(
        self, handler: Callable[[ReplyTo], None], who: ReplyTo, starts: bool = False
    ) -> None:
        """Run a command's handler; an error of it is the answer, whatever it is.

        Args:
            handler: what is to be done.
            who: its caller.
            starts: whether he waits for a start.
        """
        try:
            handler(who)
        except Exception as error:  # noqa: BLE001 - so wide: who waits is to be told of each
            if not isinstance(error, (ProcActorsError, OSError)):
                _log.exception("the supervisor met an error of its own, and answers with it")
            self.reply(who, as_answer(error, starts))

    def fail(self, error: RestartIntensityExceeded) -> None:
        """End the system: a tree's root has given up."""
        _log.critical("the system ends: %s", error)
        self.on_failure(error)

    def reply(self, who: ReplyTo | None, value: object) -> bool:
        """Answer a command; whoever told gets nothing.

        Returns:
            False: an error had to be sent instead, or whoever gave it waits no more.
        """
        if who is None or not who.reply:
            return True
        kind = Kind.VERDICT if isinstance(value, BaseException) else Kind.RESULT
        return self.recovery.answer(who.reply, who.call, kind, value)

    # -- starting -----------------------------------------------------------------------------

    def _spawn(self, command: c.Spawn, who: ReplyTo) -> None:
        if self.stopping.intake_closed:
            os.unlink(command.blueprint)
            raise SpawnError(f"{command.class_name} was not started: the system is stopping")
        parent = self.cells.get(command.parent)
        if command.parent and (parent is None or parent.life is Life.DOWN):
            # Sent by a life that is over: its children have been told to stop already.
            os.unlink(command.blueprint)
            raise SpawnError(f"{command.class_name} was not started: its parent has ended")
        try:
            cell = self.new_cell(command.options, command.class_name, command.parent)
        except BaseException:
            os.unlink(command.blueprint)
            raise
        cell.spawner, cell.pooled = who, command.pooled
        try:
            cell.take_blueprint(command.blueprint)
            self.lives.start(cell)
        except Exception as error:  # noqa: BLE001 - so wide: its caller is told by its end
            self.mishaps.collapse(cell, error)

    def _open_inbox(self, command: c.OpenInbox, who: ReplyTo) -> None:
        options = Options(name=command.name)
        cell = self.new_cell(options, "inbox", 0)
        cell.life, cell.is_inbox = Life.UP, True
        self.reply(who, cell.info)

    def new_cell(
        self, options: Options, class_name: str, parent: int, prefix: str | None = None
    ) -> Cell:
        """Make the place of a new actor.

        Args:
            options: the actor's.
            class_name: names it, with its number, if its options do not.
            parent: id of the actor that spawns it; 0 is the main program.
            prefix: names it instead of the class.

        Raises:
            NameTaken: another live actor has its name. OSError: no room, or no descriptor.
        """
        actor, name = self.new_name(options.name, prefix or class_name.rpartition(".")[2].lower())
        try:
            cell = Cell(self.station.path, actor, name, class_name, options, parent)
        except BaseException:
            self.release_name(name)
            raise
        self.cells[actor] = cell
        if parent in self.cells:
            self.cells[parent].children.append(actor)
        return cell

    def check_name(self, name: str) -> None:
        """Raise NameTaken if a live actor or supervisor has that name."""
        if name and name in self._names:
            raise NameTaken(
                f"an actor named {name!r} is running (or restarting) already; stop it first, or "
                f"choose another name"
            )

    def new_name(self, wanted: str | None, prefix: str) -> tuple[int, str]:
        """Return (a new id, its name), and keep the name until `release_name`.

        Raises:
            NameTaken: another live actor or supervisor has the wanted name.
        """
        self.check_name(wanted or "")
        while True:
            number = next(self._ids)
            name = wanted or f"{prefix}-{number}"
            if name not in self._names:  # else a user has given it to another
                break
        self._names[name] = number
        return number, name

    def release_name(self, name: str) -> None:
        """Give a name back."""
        self._names.pop(name, None)

    def watch(self, pidfd: int, cell: Cell) -> None:
        """Have the end of a process be noticed as its actor's."""
        self._epoll.register(pidfd, select.EPOLLIN)
        self._by_pidfd[pidfd] = cell  # behind it: what is in here is watched

    def unwatch(self, pidfd: int) -> None:
        """Forget a process that has ended."""
        if self._by_pidfd.pop(pidfd, None) is not None:
            self._epoll.unregister(pidfd)

    def watches(self, pidfd: int) -> bool:
        """Return whether the end of a process will be noticed."""
        return pidfd in self._by_pidfd

    def end_without_process(self, cell: Cell, reason: ExitReason) -> None:
        """End an actor that has no process now: an inbox, or one between incarnations."""
        if cell.place is not None:
            self.branches.drop(cell.place, cell, reason)
        else:
            self.lives.end(cell, reason)

    def remember(self, cell: Cell) -> None:
        """Keep the facts of an actor that is over; drop the rest."""
        self.unburied.append(cell)
        self.mishaps.quietly(
            lambda: self._over.__setitem__(cell.actor, cell.status()),
            lambda: self.cells.pop(cell.actor, None),
            lambda: self.release_name(cell.name),
            lambda: self._bury(cell),
            lambda: self.station.forget(cell.actor),
        )
        while len(self._over) > _REMEMBERED:
            self._over.popitem(last=False)

    def _bury(self, cell: Cell) -> None:
        cell.bury()
        self.unburied.remove(cell)  # not before: what could not be closed is closed at the end

    # -- the zygote ---------------------------------------------------------------------------

    def _zygote_answered(self) -> None:
        try:
            answers = self._launcher.collect()
        except Exception:  # noqa: BLE001 - so wide: whoever waits for an answer gets none
            _log.exception("the zygote's answers could not be read: it is replaced")
            self._launcher.kill_zygote()  # with a new one, all starts that it had are made anew
            return
        for what, actor, start, outcome in answers:
            if what == REAP:
                self.lives.reaped(start, outcome)
                continue
            cell = self.cells.get(actor)
            if cell is None or cell.start != start or cell.child is not None:
                continue  # of a start that was given up; the incarnation sees that it is late
            try:
                self._forked(cell, outcome)
            except Exception as error:  # noqa: BLE001 - so wide: somebody waits for this start
                if cell.child is None and outcome > 0:
                    # No descriptor to watch it by: it must not go on unwatched.
                    self.mishaps.quietly(functools.partial(self._launcher.discard, outcome))
                self.mishaps.start_broke(cell, error)

    def _forked(self, cell: Cell, pid: int) -> None:
        """The zygote has forked a process for an actor; a negative number says why it could not."""
        if pid > 0 and cell.life is not Life.STARTING:  # given up, and no other one ordered yet
            self._launcher.discard(pid)
            return
        if pid < 0:
            self.lives.start_failed(cell, OSError(-pid, os.strerror(-pid)))
            return
        cell.child = self._launcher.adopt(pid)
        self.lives.adopt(cell)

    def _watch_zygote(self) -> None:
        self._epoll.register(self._launcher.fileno(), select.EPOLLIN)
        self._epoll.register(self._launcher.zygote_pidfd, select.EPOLLIN)

    def _zygote_died(self) -> None:
        """Make a new zygote. Running actors go on; their exit codes will be unknown."""
        fds = (self._launcher.fileno(), self._launcher.zygote_pidfd)
        self.mishaps.quietly(
            self._zygote_answered,
            *(functools.partial(self._epoll.unregister, fd) for fd in fds),
            self._launcher.close,
        )
        now = monotonic()
        at_once = now - self._renewed_at > _ZYGOTE_RENEWAL_S
        _log.error("the zygote died; starting another")
        if at_once:
            self._renew_zygote()
        else:  # it dies again and again: do not burn a core over it
            self.at(now + _ZYGOTE_RENEWAL_S, self._renew_zygote)

    def _renew_zygote(self) -> None:
        self._renewed_at = monotonic()
        try:
            self._launcher.renew()
            self._watch_zygote()
        except Exception as error:  # noqa: BLE001 - no descriptor or process left: later, perhaps
            _log.error("no zygote could be started: %s", error)
            self.at(monotonic() + _ZYGOTE_RENEWAL_S, self._renew_zygote)
            why = f"no zygote could be started: {error}"
        else:
            why = ""
        for cell in list(self.cells.values()):
            if cell.life is Life.STARTING and cell.child is None and not cell.is_inbox:
                self._start_anew(cell, why)

    def _start_anew(self, cell: Cell, why: str) -> None:
        """Start a life again whose order went with a zygote; or not yet, for `why`."""
        cell.lost_starts += 1
        if cell.lost_starts > _LOST_STARTS:
            cell.lost_starts = 0
            why = why or "the zygote died at each try: does a module of preload= end the process?"
            self.lives.start_failed(cell, OSError(why))
        elif not why:
            # A new number: should the old one have been forked after all, it is late.
            cell.incarnation -= 1
            self.lives.start(cell)

    # -- questions ----------------------------------------------------------------------------

    def _wait(self, command: c.Wait, who: ReplyTo) -> None:
        cell = self.cells.get(command.actor)
        if cell is not None:
            cell.waiters.append(who)
        else:
            self.reply(who, self.past(command.actor).reason)

    def _describe(self, command: c.Describe, who: ReplyTo) -> None:
        cell = self.cells.get(command.actor)
        self.reply(who, cell.status() if cell is not None else self.past(command.actor))

    def _find(self, command: c.Find, who: ReplyTo) -> None:
        cell = self.cells.get(self._names.get(command.name, 0))
        self.reply(who, cell.info if cell is not None else None)

    def _list(self, _: c.ListActors, who: ReplyTo) -> None:
        self.reply(who, [cell.info for cell in self.cells.values()])

    def _lost(self, command: c.LostMessage, _: ReplyTo) -> None:
        name, cell = self.name_of(command.actor), self.cells.get(command.actor)
        self.recovery.lost(name, command.record, command.why, cell, command.actor)

    def _progressed(self, command: c.ReportProgress, _: ReplyTo) -> None:
        self._events.publish(
            Progress(
                source=self.name_of(command.actor),
                at=command.at,
                done=command.done,
                total=command.total,
                what=command.what,
            )
        )

    def _show_listeners(self) -> None:
        """Show actors in our box whether anybody wants their progress. From any thread."""
        with self._closing:
            if self._wake >= 0:
                self._mailbox.box.words[LISTENED] = self._events.wants(Progress)

    def show_end(self) -> None:
        """Show actors in our box that the whole system is being stopped."""
        self._mailbox.box.words[SYSTEM_ENDS] = 1

    def name_of(self, actor: int) -> str:
        """Return an actor's name, also after its end. From any thread."""
        cell, over = self.cells.get(actor), self._over.get(actor)
        if cell is not None:
            return cell.name
        return over.name if over is not None else f"actor {actor}"

    def address_of(self, name: str) -> int | None:
        """Return the id of the live actor of that name, once it has been up. From any thread."""
        cell = self.cells.get(self._names.get(name, 0))
        if cell is None or cell.is_inbox or cell.stop_by is not None or self.stopping.is_ending:
            return None
        comes_up = cell.life is Life.STARTING and cell.incarnation <= 1
        return None if comes_up else cell.actor

    def past(self, actor: int) -> c.ActorStatus:
        """Return the last status of an actor that is over.

        Raises:
            ActorStopped: nothing is remembered of it.
        """
        if actor in self._over:
            return self._over[actor]
        raise ActorStopped(f"nothing is known of actor {actor}: it ended long ago")
