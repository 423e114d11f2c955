"""All parts of the supervisor put together: commands and events go in, orders are carried out.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: nothing itself; each part names what it opens.
Never: waits; knows where actors run: that is the backend's affair, and the clock is given too.
"""

from __future__ import annotations

import functools
import heapq
import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

from procactors.errors import ProcActorsError, RestartIntensityExceeded, SpawnError
from procactors.model import commands as c
from procactors.supervision.actor_record import Life
from procactors.supervision.backend import Backend, ReplyTo
from procactors.supervision.child_failures import ChildFailures
from procactors.supervision.core import Core
from procactors.supervision.death_watch import DeathWatch
from procactors.supervision.lifecycle import Lifecycle
from procactors.supervision.mishaps import as_answer
from procactors.supervision.stopping import Stopping
from procactors.supervision.supervisor_record import unlink
from procactors.supervision.system_stop import SystemStop
from procactors.supervision.tree_commands import TreeCommands
from procactors.supervision.trees import Trees
from procactors.supervision.watchdog import Watchdog

__all__ = ["Supervision"]

_log = logging.getLogger("procactors")

#: Seconds until what has raised is tried again.
_AGAIN_S = 0.1
#: Commands whose callers wait for a start.
_STARTS = (c.Spawn, c.OpenInbox, c.Supervise, c.StartChild, c.RestartChild)


class Supervision:
    """Decides on the actors of one system.

    Args:
        backend: where they run.
        stop_timeout: seconds of a stop for which neither caller nor options name any.
        begin_end: called when the system begins to stop, with whether mailboxes are finished.
        finish: called when nothing is left.
        fail: called when the root of a tree has given up.
        clock: the monotonic clock, in seconds.
    """

    def __init__(
        self,
        backend: Backend,
        stop_timeout: float,
        *,
        begin_end: Callable[[bool], None],
        finish: Callable[[], None],
        fail: Callable[[RestartIntensityExceeded], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.core = Core(backend, stop_timeout, clock)
        self.stopping = Stopping(self.core)
        self.death_watch = DeathWatch(self.core, self.stopping)
        self.child_failures = ChildFailures(self.core, self.death_watch)
        self.watchdog = Watchdog(self.core)
        self.lifecycle = Lifecycle(
            self.core, self.stopping, self.death_watch, self.child_failures, self.watchdog
        )
        self.trees = Trees(self.core, self.stopping, self.lifecycle, fail)
        self.system_stop = SystemStop(self.core, self.stopping, self.trees, begin_end, finish)
        answered = functools.partial(self.answered, starts=True)
        commands = TreeCommands(self.core, self.stopping, self.trees, answered)
        #: What deals with each command; `supervisor` adds those that are its own.
        self.handlers: dict[type, Callable[[Any, ReplyTo], None]] = {
            c.Spawn: self._spawn,
            c.GivenUp: self._given_up,
            c.OpenInbox: self._open_inbox,
            c.Stop: self.stopping.stop,
            c.StopChildren: self.stopping.stop_children,
            c.StopAll: self.system_stop.stop_all,
            c.Leave: self.stopping.leave,
            c.Kill: self.stopping.kill,
            c.Condemn: self.watchdog.condemn,
            c.KillCall: self._kill_call,
            c.Suspend: self._suspend,
            c.Resume: self._resume,
            c.Tap: self._tap,
            c.Wait: self._wait,
            c.Describe: self._describe,
            c.Find: self._find,
            c.ListActors: self._list,
            c.DecideOnChild: self.child_failures.decided,
            **commands.handlers,
            c.Watch: self.death_watch.watch,
            c.Unwatch: self.death_watch.unwatch,
            c.Link: self.death_watch.link,
            c.Unlink: self.death_watch.unlink,
        }

    # -- what happens ---------------------------------------------------------------------------

    def event(self, action: Callable[[], None]) -> bool:
        """Deal with one thing that has happened, and carry out what follows.

        Returns:
            False: it has raised.
        """
        worked = self._guarded(action)
        return self._guarded(self._carry_out) and worked

    def _guarded(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except Exception:  # noqa: BLE001 - see below
            # So wide because nothing else would go on: an error over one actor must not leave all
            # the others without their supervisor. Where a caller waits, it was caught before.
            _log.exception("the supervisor met an error of its own and goes on")
            self.core.after(_AGAIN_S, _nothing)
            return False
        return True

    def _carry_out(self) -> None:
        """Carry out all orders, and go on with the system's stop, until nothing is left to do."""
        while True:
            self.trees.carry_out()
            self.system_stop.go_on()
            if not self.core.orders:
                break

    def do(self, command: Any, who: ReplyTo) -> None:
        """Carry out a command, whatever comes of it; its caller is answered."""
        handler = functools.partial(self.handlers[type(command)], command)
        self.event(lambda: self.answered(handler, who, isinstance(command, _STARTS)))

    def answered(
        self, handler: Callable[[ReplyTo], None], who: ReplyTo, starts: bool = False
    ) -> None:
        """Run a command's handler; an error of it is the answer, whatever it is.

        Args:
            handler: what is to be done.
            who: its caller.
            starts: whether the caller waits for a start.
        """
        try:
            handler(who)
        except Exception as error:  # noqa: BLE001 - so wide: the caller is to get each
            if not isinstance(error, (ProcActorsError, OSError)):
                _log.exception("the supervisor met an error of its own, and answers with it")
            self.core.reply(who, as_answer(error, starts))

    def patience(self) -> float | None:
        """Return the seconds until the next timer; None if there is none."""
        timers = self.core.timers
        return max(0.0, timers[0].when - self.core.clock()) if timers else None

    def run_timers(self) -> None:
        """Run the actions of the timers that are due."""
        core = self.core
        while core.timers and core.timers[0].when <= core.clock():
            timer = heapq.heappop(core.timers)
            if not self.event(timer.action) and timer.tries > 1:
                core.at(core.clock() + _AGAIN_S, timer.action, timer.tries - 1)

    # -- commands -------------------------------------------------------------------------------

    def _spawn(self, command: c.Spawn, who: ReplyTo) -> None:
        try:
            self._check_spawn(command)
        except SpawnError:
            unlink(command.blueprint)
            raise
        plan = c.ActorPlan(command.blueprint, command.class_name, command.options)
        self.trees.spawn(plan, who, command.parent, command.pooled)

    def _check_spawn(self, command: c.Spawn) -> None:
        if self.core.intake_closed:
            raise SpawnError(f"{command.class_name} was not started: the system is stopping")
        parent = self.core.actors.get(command.parent)
        if command.parent and (parent is None or parent.life is Life.DOWN):
            # Sent by a life that is over: its children have been stopped already.
            raise SpawnError(f"{command.class_name} was not started: its parent has ended")

    def _given_up(self, command: c.GivenUp, _: ReplyTo) -> None:
        self.trees.stop_unknown(ReplyTo(command.reply, command.call))

    def _kill_call(self, command: c.KillCall, who: ReplyTo) -> None:
        from procactors.supervision.call_kill import kill_call  # only where it is used

        kill_call(self.core, command, who)

    def _suspend(self, command: c.Suspend, who: ReplyTo) -> None:
        from procactors.supervision.suspension import suspend  # only where it is used

        suspend(self.core, command, who)

    def _resume(self, command: c.Resume, who: ReplyTo) -> None:
        from procactors.supervision.suspension import resume  # only where it is used

        resume(self.core, command, who)

    def _tap(self, command: c.Tap, who: ReplyTo) -> None:
        from procactors.supervision.tapping import tap  # only in tests of programs

        tap(self.core, command, who)

    def _open_inbox(self, command: c.OpenInbox, who: ReplyTo) -> None:
        self.core.reply(who, self.trees.new_inbox(command.name).info)

    def _wait(self, command: c.Wait, who: ReplyTo) -> None:
        actor = self.core.actors.get(command.actor)
        if actor is not None:
            actor.waiters.append(who)
        else:
            self.core.reply(who, self.core.past(command.actor).reason)

    def _describe(self, command: c.Describe, who: ReplyTo) -> None:
        actor = self.core.actors.get(command.actor)
        status = actor.status() if actor is not None else self.core.past(command.actor)
        self.core.reply(who, status)

    def _find(self, command: c.Find, who: ReplyTo) -> None:
        actor = self.core.find(command.name)
        self.core.reply(who, actor.info if actor is not None else None)

    def _list(self, _: c.ListActors, who: ReplyTo) -> None:
        self.core.reply(who, [actor.info for actor in self.core.actors.values()])


def _nothing() -> None:
    """Do nothing: behind each event, what was broken off is carried out."""
