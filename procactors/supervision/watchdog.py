"""The watchdog: finds actors that hang or hold too much memory, and ends them.

Layer: supervision. Runs in: parent, in the supervisor's thread, by its timers.
Owns: nothing; it works on the supervisor's cells.
Never: wakes up while no live actor has `handle_timeout` or `Limits.memory`; waits; needs the
actor's good will: it looks at the black box and at /proc.

    look (some times a second) ─► over its memory limit? ───────────────► kill
                               └► hung? ─► DUMP signal ─► stacks are there,
                                           or 0.5 s ─► still hung? ─────► kill
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from procactors.process.shield import DUMP
from procactors.supervision import commands as c
from procactors.supervision.cell import Cell, ReplyTo
from procactors.supervision.crash import ExitKind, ExitReason
from procactors.supervision.health import (
    Look,
    Standstill,
    interval_s,
    is_hung,
    is_late,
    is_over,
    standstill,
)
from procactors.wire.blackbox import BUSY_SINCE, HANDLED, IN_HAND, PHASE, RUNNING, STATE, STOPPING
from procactors.wire.places import bytes_in
from procactors.wire.procstat import stat_of

if TYPE_CHECKING:
    from procactors.supervision.supervisor import Supervisor

__all__ = ["Watchdog"]

_log = logging.getLogger("procactors")

#: Most seconds that an actor has for writing its stacks, and between looks at the file.
_DUMP_S, _DUMP_EVERY_S = 0.5, 0.02

_PAGE = os.sysconf("SC_PAGESIZE")


class _Plan(NamedTuple):
    """The next look: when it is due, and how long after the one before."""

    due: float
    interval: float


class Watchdog:
    """The supervisor's side that looks after hangs and memory."""

    def __init__(self, owner: Supervisor) -> None:
        self._owner = owner
        #: The actors to look at, by id, and what the last look found. A process that is being
        #: ended is none of them any more.
        self._watched: dict[int, tuple[Cell, Standstill | None]] = {}
        self._plan: _Plan | None = None
        #: By start: the pools that wait to hear what has come of a worker.
        self._condemned: dict[int, ReplyTo] = {}
        self._awake_since = 0.0

    def watch(self, cell: Cell) -> None:
        """Look after an actor's new process, if its options ask for it."""
        if interval_s(cell.options) is not None:
            now = monotonic()
            self._watched[cell.actor] = (cell, None)
            self._plan_look(now)

    def unwatch(self, cell: Cell) -> None:
        """Forget a process that has ended."""
        self._watched.pop(cell.actor, None)

    def _plan_look(self, now: float) -> None:
        """See that the next look comes as early as the most impatient actor wants it.

        `now` was read before all that was looked at since: should this process be stopped after
        it, at whatever line, the next look comes late.
        """
        waits = [interval_s(cell.options) for cell, _ in self._watched.values()]
        interval = min((wait for wait in waits if wait is not None), default=None)
        if interval is None:
            return
        due = now + interval
        if self._plan is None or due < self._plan.due:
            self._plan = plan = _Plan(due, interval)
            self._owner.at(due, functools.partial(self._look_around, plan))

    def _look_around(self, plan: _Plan) -> None:
        if plan is not self._plan:
            return  # an earlier one was planned after it
        now = monotonic()
        self._plan = None
        if is_late(plan.due, now, plan.interval):
            self._awake_since = now
        try:
            for cell, last in list(self._watched.values()):
                self._look_at(cell, last, now)
        finally:
            self._plan_look(now)

    def _look_at(self, cell: Cell, last: Standstill | None, now: float) -> None:
        if cell.child is None or cell.final or cell.ended_with:
            return  # it is being ended already
        limits = cell.options.limits
        if limits is not None and limits.memory is not None:
            used = _resident(cell.child.pid)
            if is_over(used, limits):
                text = f"{used} bytes resident, allowed are {limits.memory}"
                self._end(cell, ExitReason(ExitKind.MEMORY, signal.SIGKILL, text))
                return
        if cell.options.handle_timeout is None:
            return
        still = standstill(last, _look(cell, now), self._awake_since)
        self._watched[cell.actor] = (cell, still)
        if still is not None and is_hung(still, cell.options.handle_timeout, now):
            self._suspect(cell, still)

    def condemn(self, command: c.Condemn, who: ReplyTo) -> None:
        """End a pool's worker at an item that takes too long."""
        cell = self._owner.cells.get(command.actor)
        child = cell.child if cell is not None else None
        if cell is None or child is None or child.is_reaped or child.pid != command.pid:
            self._owner.reply(who, False)
            return
        still = standstill(None, _look(cell, monotonic()), 0.0)
        is_at_it = still is not None and still.in_handler and still.handled == command.handled
        if still is None or not is_at_it or cell.verdict is not None:
            self._owner.reply(who, False)
            return
        self._condemned[cell.start] = who
        self._accuse(cell, still, command.text)

    def _sentence(self, cell: Cell, killed: bool) -> None:
        """Tell the pool that had a worker condemned what came of it."""
        who = self._condemned.pop(cell.start, None)
        if who is not None:
            self._owner.reply(who, killed)

    def _suspect(self, cell: Cell, still: Standstill) -> None:
        text = f"handle_timeout={cell.options.handle_timeout} s is over"
        if not still.in_handler:
            text += " and messages wait that it does not take"
        self._accuse(cell, still, text)

    def _accuse(self, cell: Cell, still: Standstill, text: str) -> None:
        """Have a hung actor write its stacks; what follows, follows by timer."""
        assert cell.child is not None
        self._watched.pop(cell.actor, None)
        if stat_of(cell.child.pid)[:1] in ([b"T"], [b"t"]):
            text += "; its process is stopped, as by SIGSTOP or a debugger: there are no stacks"
            self._end(cell, ExitReason(ExitKind.HANG, signal.SIGKILL, text))
            return
        cell.verdict = ExitReason(ExitKind.HANG, signal.SIGKILL, text)
        cell.child.send(DUMP)
        self._await_dump(cell, cell.start, still, monotonic() + _DUMP_S, 0)

    def _await_dump(
        self, cell: Cell, start: int, still: Standstill, until: float, size: int
    ) -> None:
        if cell.start != start or cell.child is None or cell.child.is_reaped:
            # It has ended meanwhile.
            if (who := self._condemned.pop(start, None)) is not None:
                self._owner.reply(who, True)
            return
        assert cell.verdict is not None
        now = monotonic()
        before, size = size, _size(cell.fault_path)
        if now < until and (size == 0 or size != before):
            again = functools.partial(self._await_dump, cell, start, still, until, size)
            self._owner.at(now + _DUMP_EVERY_S, again)
        elif _is_same(still, standstill(still, _look(cell, now), 0.0)):
            self._end(cell, cell.verdict)
        else:
            # It came to an end at the last moment: to kill it now would blame the next message.
            self._acquit(cell)

    def _acquit(self, cell: Cell) -> None:
        assert cell.verdict is not None
        text = "%s: %s, but it went on while it was looked at, and lives"
        _log.warning(text, cell.name, cell.verdict.text)
        cell.verdict = None
        with contextlib.suppress(OSError):
            os.truncate(cell.fault_path, 0)
        self.watch(cell)
        self._sentence(cell, killed=False)

    def _end(self, cell: Cell, verdict: ExitReason) -> None:
        assert cell.child is not None
        self.unwatch(cell)
        cell.verdict = verdict
        cell.peak_memory = _peak(cell.child.pid)
        cell.child.kill_group()
        self._sentence(cell, killed=True)


def _look(cell: Cell, now: float) -> Look:
    """Look at an actor's box. One that starts or ends has nothing to do."""
    words = cell.words
    if words[PHASE] not in (RUNNING, STOPPING):
        return Look(now, words[HANDLED], None, False)
    # In this order: should the next message begin in between, it comes out too young.
    word = words[STATE]
    handled = words[HANDLED]
    if word & IN_HAND:
        return Look(now, handled, words[BUSY_SINCE] / 1e9, True)
    fill, offset = word >> 40, (word >> 16) & 0xFFFFFF
    # Stopped right behind its read, it has not yet noted how much it got: then the first length
    # in the batch tells (`BlackBox.recover`, which must not be called while the reader lives).
    in_box = offset < fill or (word == 0 and cell.box.lengths[0] > 0)
    return Look(now, handled, None, in_box or bytes_in(cell.files.read_end) > 0)


def _is_same(before: Standstill, now: Standstill | None) -> bool:
    return now is not None and (before.handled, before.began) == (now.handled, now.began)


def _resident(pid: int) -> int:
    """Return the resident bytes of a process that is not reaped."""
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE
    return 0


def _peak(pid: int) -> int:
    """Return the most resident bytes that a live process ever had."""
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
