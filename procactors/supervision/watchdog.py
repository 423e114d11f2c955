"""The watchdog: finds actors that hang or hold too much memory, and ends them.

Layer: supervision. Runs in: parent, in the supervisor's thread, by its timers.
Owns: which processes are looked after.
Never: wakes up while no live actor has `handle_timeout` or `Limits.memory`; waits; needs the
actor's help: it looks at the black box and at /proc.

    look (some times a second) ─► over its memory limit? ───────────────► kill
                               └► hung? ─► DUMP signal ─► stacks are there,
                                           or 0.5 s ─► still hung? ─────► kill
"""

from __future__ import annotations

import functools
import logging
import signal

from procactors.crash import ExitKind, ExitReason
from procactors.light_tuple import NamedTuple
from procactors.model import commands as c
from procactors.process.shield import DUMP
from procactors.supervision.actor_record import ActorRecord
from procactors.supervision.backend import ReplyTo
from procactors.supervision.core import Core
from procactors.supervision.health import (
    Standstill,
    interval_s,
    is_hung,
    is_late,
    is_over,
    standstill,
)
from procactors.wire.mailbox.black_box import DEBUGGED

__all__ = ["Watchdog"]

_log = logging.getLogger("procactors")

#: Most seconds that an actor has for writing its stacks, and between looks at the file.
_DUMP_S, _DUMP_EVERY_S = 0.5, 0.02


class _Plan(NamedTuple):
    """The next look: when it is due, and how long after the one before."""

    due: float
    interval: float


class Watchdog:
    """Looks after hangs and memory."""

    def __init__(self, core: Core) -> None:
        self._core = core
        #: The actors to look at, by id, and what the last look found. A process that is being
        #: ended is none of them any more.
        self._watched: dict[int, tuple[ActorRecord, Standstill | None]] = {}
        self._plan: _Plan | None = None
        #: By start: the pools that wait to hear what has come of a worker.
        self._condemned: dict[int, ReplyTo] = {}
        self._awake_since = 0.0

    def watch(self, actor: ActorRecord) -> None:
        """Look after an actor's new process, if its options ask for it."""
        if interval_s(actor.options) is not None:
            now = self._core.clock()
            self._watched[actor.id] = (actor, None)
            self._plan_look(now)

    def unwatch(self, actor: ActorRecord) -> None:
        """Forget a process that has ended; a pool that waits for that is answered."""
        self._watched.pop(actor.id, None)
        self._answer(actor, killed=True)

    def _plan_look(self, now: float) -> None:
        """See that the next look comes as early as the most impatient actor wants it.

        `now` was read before all that was looked at since: should this process be stopped after
        it, at whatever line, the next look comes late.
        """
        waits = [interval_s(actor.options) for actor, _ in self._watched.values()]
        interval = min((wait for wait in waits if wait is not None), default=None)
        if interval is None:
            return
        due = now + interval
        if self._plan is None or due < self._plan.due:
            self._plan = plan = _Plan(due, interval)
            self._core.at(due, functools.partial(self._look_around, plan))

    def _look_around(self, plan: _Plan) -> None:
        if plan is not self._plan:
            return  # an earlier one was planned after it
        now = self._core.clock()
        self._plan = None
        if is_late(plan.due, now, plan.interval):
            self._awake_since = now
        try:
            for actor, last in list(self._watched.values()):
                self._look_at(actor, last, now)
        finally:
            self._plan_look(now)

    def _look_at(self, actor: ActorRecord, last: Standstill | None, now: float) -> None:
        if actor.host.pid is None or actor.final or actor.ended_with:
            return  # it is being ended already
        limits = actor.options.limits
        if limits is not None and limits.memory is not None:
            used = actor.host.resident()
            if is_over(used, limits):
                text = f"{used} bytes resident, allowed are {limits.memory}"
                self._end(actor, ExitReason(ExitKind.MEMORY, signal.SIGKILL, text))
                return
        if actor.options.handle_timeout is None:
            return
        if actor.words[DEBUGGED]:
            # Its time counts from here, should the debugger leave before the next look.
            actor.resumed_at = now
        if actor.is_suspended or actor.words[DEBUGGED]:
            self._watched[actor.id] = (actor, None)
            return
        look = actor.host.look(now)
        if look.busy_since is not None and look.busy_since > now and actor.host.is_suspended():
            # It waits for a stream's reader, which is no hang; but stopped it waits for nothing.
            look = look._replace(busy_since=None, waits=True)
        still = standstill(last, look, max(self._awake_since, actor.resumed_at))
        self._watched[actor.id] = (actor, still)
        if still is not None and is_hung(still, actor.options.handle_timeout, now):
            text = f"handle_timeout={actor.options.handle_timeout} s is over"
            if not still.in_handler:
                text += " and messages wait that it does not take"
            self._accuse(actor, still, text)

    def condemn(self, command: c.Condemn, who: ReplyTo) -> None:
        """End a pool's worker at an item that takes too long."""
        actor = self._core.actors.get(command.actor)
        is_there = actor is not None and actor.host.pid is not None and not actor.is_suspended
        if actor is None or not is_there or actor.host.pid != command.pid:
            self._core.reply(who, False)
            return
        if actor.words[DEBUGGED]:
            self._core.reply(who, False)
            return
        still = standstill(None, actor.host.look(self._core.clock()), 0.0)
        is_at_it = still is not None and still.in_handler and still.handled == command.handled
        if still is None or not is_at_it or actor.accused_of is not None:
            self._core.reply(who, False)
            return
        self._condemned[actor.start] = who
        self._accuse(actor, still, command.text)

    def _answer(self, actor: ActorRecord, killed: bool) -> None:
        """Answer the pool that had a worker condemned."""
        who = self._condemned.pop(actor.start, None)
        if who is not None:
            self._core.reply(who, killed)

    def _accuse(self, actor: ActorRecord, still: Standstill, text: str) -> None:
        """Have a hung actor write its stacks; what follows, follows by timer."""
        self._watched.pop(actor.id, None)
        if actor.host.is_suspended():
            text += "; its process is stopped, as by SIGSTOP or a debugger: there are no stacks"
            self._end(actor, ExitReason(ExitKind.HANG, signal.SIGKILL, text))
            return
        actor.accused_of = ExitReason(ExitKind.HANG, signal.SIGKILL, text)
        actor.host.expect_dump()
        actor.host.send(DUMP)
        self._await_dump(actor, actor.start, still, self._core.clock() + _DUMP_S, 0)

    def _await_dump(
        self, actor: ActorRecord, start: int, still: Standstill, until: float, size: int
    ) -> None:
        if actor.start != start or actor.host.pid is None:
            return  # it has ended meanwhile
        assert actor.accused_of is not None
        now = self._core.clock()
        before, size = size, actor.host.dumped()
        if now < until and (size == 0 or size != before):
            again = functools.partial(self._await_dump, actor, start, still, until, size)
            self._core.at(now + _DUMP_EVERY_S, again)
        elif not actor.words[DEBUGGED] and _is_same(
            still, standstill(still, actor.host.look(now), 0.0)
        ):
            self._end(actor, actor.accused_of)
        else:
            # It came to an end at the last moment: to kill it now would blame the next message.
            self._acquit(actor)

    def _acquit(self, actor: ActorRecord) -> None:
        assert actor.accused_of is not None
        text = "%s: %s, but it went on while it was looked at, and lives"
        _log.warning(text, actor.name, actor.accused_of.text)
        actor.accused_of = None
        actor.host.forget_dump()
        self.watch(actor)
        self._answer(actor, killed=False)

    def _end(self, actor: ActorRecord, reason: ExitReason) -> None:
        self._watched.pop(actor.id, None)
        actor.accused_of = reason
        actor.peak_memory = actor.host.peak()
        actor.host.kill()
        self._answer(actor, killed=True)


def _is_same(before: Standstill, now: Standstill | None) -> bool:
    if now is None or (before.in_handler, before.began) != (now.in_handler, now.began):
        return False
    # While one handler hangs, others of the same actor may come to their ends.
    return before.in_handler or before.handled == now.handled
