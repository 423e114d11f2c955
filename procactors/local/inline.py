"""The deterministic engine: one thing at a time, in an order drawn from a seed, by its own clock.

Layer: local. Runs in: one process; the program's thread and carriers, of which one runs at a time.
Owns: the carriers: threads (`close`).
Never: lets two threads run at once; looks at the machine's clock.

    program ── waits ──► a carrier: draw what is ready, take its step ──► ... ──► program goes on
                             │ the step waits (an ask in a handler)
                             ▼
                         it keeps its thread, another carrier goes on; it does when it is drawn

A handler that waits must keep its stack while others run, in any order. So a step that waits has
its thread to itself, as long as it waits; the steps of what does not wait all run in one. Only who
has the baton runs: it is handed on by a lock that the other waits for.

When nothing is ready, time goes on to the next instant at which something is to be done. When there
is none either, what waits would wait for ever: the one that began to wait last is told so.
"""

from __future__ import annotations

import collections
import math
import random
import threading
from collections.abc import Callable
from typing import Any

from procactors.errors import AskTimeout
from procactors.local.alarms import Alarm, Alarms
from procactors.local.driver import TaskDriver
from procactors.local.driving import DRIVERS
from procactors.local.engine import Task, Waiter
from procactors.local.here import Killed, here
from procactors.model.backends import unsupported
from procactors.wire.copies import in_copies

__all__ = ["Inline"]

#: The first instant: not 0, which stands for "no deadline" in messages.
_BEGIN_S = 1000.0
#: Entries of the history that are kept.
_KEPT = 1_000_000
#: Seconds for which a thread is waited for that somebody else holds up.
_PATIENCE_S = 5.0


class _Strand:
    """A thread that takes part: the program's, or a carrier.

    Attributes:
        go: held, but for the moment in which the strand is handed the baton.
        is_queued: it is ready to go on.
    """

    def __init__(self) -> None:
        self.go = threading.Lock()
        self.go.acquire()
        self.is_queued = False
        self.is_lost = False


class _Waiter:
    """Something that one strand waits for."""

    def __init__(self, engine: Inline) -> None:
        self._engine = engine
        self.is_set = False
        self.is_killed = self.is_late = False
        #: That nothing can come any more.
        self.is_hopeless = self.is_patient = False
        #: It is told only when no other waits that could be.
        self.is_last = False
        self.strand: _Strand | None = None

    def set(self) -> None:
        """Say that it has come."""
        self.is_set = True
        self._engine.resume(self)

    def kill(self) -> None:
        """Have who waits raise `Killed`."""
        self.is_killed = True
        self._engine.resume(self)

    def expire(self) -> None:
        """Say that the time is over."""
        self.is_late = True
        self._engine.resume(self)


class Inline:
    """The engine of `backend="inline"`.

    Args:
        seed: of all that is drawn.
        yields: how often, from 0 to 1, who sends something lets others run first. With 0 the
            program and each handler go on until they wait.

    Attributes:
        history: the messages that were begun, in order: (instant, actor, method, sender).
        others: what is ready to run.
        on_ready: called when something becomes ready that may be the program's doing; None: nobody
            is to be told.
        is_closed: it has ended.
    """

    name = "inline"
    is_virtual = True

    def __init__(self, seed: int, yields: float = 0.0) -> None:
        self._draw = random.Random(seed).random  # noqa: S311 - chance, not secrets
        self.yields = yields
        self._now = _BEGIN_S
        self._ns = int(_BEGIN_S * 1e9)
        self.others: list[Any] = []
        self._alarms = Alarms()
        self._wakes: dict[int, Alarm] = {}
        #: Who waits, the latest last.
        self._waiting: list[_Waiter] = []
        self._main = _Strand()
        self._owner = threading.get_ident()
        self._carriers: list[_Strand] = []
        self._threads: list[threading.Thread] = []
        self._mine = threading.local()
        #: How far time may go on by itself.
        self._until = math.inf
        #: What the program waits for is that nothing is ready.
        self._rest: _Waiter | None = None
        self._callbacks: collections.deque[Callable[[], None]] = collections.deque()
        self._caller = _Callbacks(self._callbacks)
        self.is_closed = False
        self.on_ready: Callable[[], None] | None = None
        self._driver = TaskDriver(self)
        self._attend()
        in_copies(DRIVERS.clear)
        self.history: collections.deque[tuple[float, str, bytes, int]] = collections.deque(
            maxlen=_KEPT
        )

    # -- time -------------------------------------------------------------------------------------

    def now(self) -> float:
        """Return the instant, in seconds."""
        return self._now

    def now_ns(self) -> int:
        """Return the instant, in nanoseconds; even, as timers note it."""
        return self._ns

    def _pass_to(self, when: float) -> None:
        self._now = when
        self._ns = int(when * 1e9) & ~1

    def at(self, when: float, action: Callable[[], None]) -> Alarm:
        """Have something done at an instant."""
        return self._alarms.set(when, action)

    # -- tasks ------------------------------------------------------------------------------------

    def start(self, task: Task, name: str) -> None:
        """Have a task's steps taken from now on."""
        task.is_running = False
        task.is_queued = True
        self.others.append(task)

    def wake(self, task: Task) -> None:
        """Have the next step of a task taken."""
        if not task.is_queued:
            task.is_queued = True
            if not task.is_running:
                self.others.append(task)
                if self.on_ready is not None:
                    self.on_ready()

    def later(self, callback: Callable[[], None]) -> None:
        """Have a user's callback called in its turn."""
        self._callbacks.append(callback)
        self.wake(self._caller)

    # -- waiting ----------------------------------------------------------------------------------

    def waiter(self) -> Waiter:
        """Return something that can be waited for."""
        return _Waiter(self)

    def wait(self, waiter: Any, deadline: float | None, what: str) -> bool:
        """Wait until it has come, or the deadline has passed; return whether it has come.

        Raises:
            AskTimeout: there is no deadline, and nothing is left that could bring it. Killed: the
                actor that waits was killed.
        """
        if not waiter.is_set and not waiter.is_killed:
            self._wait(waiter, deadline)
        if waiter.is_killed:
            raise Killed
        if waiter.is_hopeless and not waiter.is_set:
            raise AskTimeout(
                f"{what} will never come: nothing is left to run, and no timer is pending"
            )
        return bool(waiter.is_set)

    def _wait(self, waiter: Any, deadline: float | None) -> None:
        strand, life = self._strand(), here.life
        if life is not None and life.is_dead:
            raise Killed
        waiter.strand = strand
        alarm = None if deadline is None else self.at(deadline, waiter.expire)
        self._waiting.append(waiter)
        if life is not None:
            life.waits_for = waiter
        try:
            self._hand_over(strand)
        finally:
            waiter.strand = None
            if life is not None:
                life.waits_for = None
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            if alarm is not None:
                alarm.cancel()

    def resume(self, waiter: _Waiter) -> None:
        """Have the strand that waits go on, when it is drawn."""
        strand = waiter.strand
        if strand is not None and not strand.is_queued:
            strand.is_queued = True
            self.others.append(strand)

    def yield_(self) -> None:
        """Let others run, now and then."""
        if self.yields and self._draw() < self.yields and not self.is_closed:
            strand = self._strand_or_none()
            if strand is not None:
                self._give_way(strand)

    def give_way(self) -> None:
        """Let others run that are ready."""
        self._give_way(self._strand())

    def _give_way(self, strand: _Strand) -> None:
        if self.others:
            strand.is_queued = True
            self.others.append(strand)
            self._hand_over(strand)

    def drive(self, waiter: Any, until: float | None) -> bool:
        """Let others run until something has come, or an instant; return whether it has come.

        Args:
            waiter: for what: for a task of an event loop that runs in this thread.
            until: the instant; None: for ever.

        Raises:
            AskTimeout: it is for ever, and nothing is left that could bring it.
        """
        strand = self._strand()
        if until is None or strand is not self._main:
            waiter.is_last = True
            deadline = None if until is None or until == math.inf else until
            return self.wait(waiter, deadline, "what a task of the program waits for")
        self._run(until, waiter)
        return bool(waiter.is_set)

    def new_event_loop(self, task: Task) -> Any:
        """Return an asyncio event loop that runs in the steps of a task."""
        from procactors.local.event_loop import EngineLoop  # `asyncio` is large

        return EngineLoop(self, task)

    def look(self) -> None:
        """Let come what can, without time passing."""
        if self._strand_or_none() is self._main:
            self.run_until_idle()

    def bring(self, has_come: Callable[[], bool]) -> None:
        """Let something come, whatever time that takes, if it can."""
        if self._strand_or_none() is not self._main:
            return
        self.run_until_idle()
        while not has_come() and (when := self.next_at()) < math.inf:
            self._run(when)

    def next_at(self) -> float:
        """Return the instant of the next alarm; infinity if there is none."""
        return self._alarms.next_at()

    def run_until_idle(self) -> None:
        """Take all steps that can be taken without time going on. In the program's thread."""
        self._run(self._now)

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass, with all that is to be done meanwhile."""
        target = self._now + seconds
        self._run(target)
        self._pass_to(target)

    def _run(self, until: float, waiter: _Waiter | None = None) -> None:
        strand = self._strand()
        if waiter is None:
            waiter = _Waiter(self)
        waiter.strand = strand
        before = self._until, self._rest
        self._until, self._rest = until, waiter
        try:
            self._hand_over(strand)
        finally:
            self._until, self._rest = before
            waiter.strand = None

    # -- the baton --------------------------------------------------------------------------------

    def _strand_or_none(self) -> _Strand | None:
        strand: _Strand | None = getattr(self._mine, "strand", None)
        if strand is None and threading.get_ident() == self._owner:
            strand = self._main
        return strand

    def _strand(self) -> _Strand:
        """Return the strand that the calling thread is.

        Raises:
            UnsupportedOnBackend: it is none.
        """
        strand = self._strand_or_none()
        if strand is None:
            raise unsupported("threads", self.name)
        return strand

    def _hand_over(self, strand: _Strand) -> None:
        """Let a carrier go on, and wait until this strand is drawn."""
        if self._carriers:
            self._carriers.pop().go.release()
        else:
            self._new_carrier()
        try:
            strand.go.acquire()
        except BaseException:  # a signal handler's, in the program's thread
            self._take_back(strand)
            raise
        strand.is_queued = False

    def _take_back(self, strand: _Strand) -> None:
        """Take the baton out of turn: as soon as the step that runs just now has ended."""
        self.others.insert(0, _NEXT)
        strand.is_queued = True
        if not strand.go.acquire(timeout=_PATIENCE_S):
            # A handler holds it, perhaps for ever: the carrier that it has is given up.
            for carrier in self._threads:
                carrier_strand = getattr(carrier, "strand", None)
                if carrier_strand is not None:
                    carrier_strand.is_lost = True
            self._carriers.clear()
        while _NEXT in self.others:
            self.others.remove(_NEXT)
        strand.is_queued = False

    def _new_carrier(self) -> None:
        strand = _Strand()
        name = f"procactors-inline-{len(self._threads) + 1}"
        thread = threading.Thread(target=self._carry, args=(strand,), name=name, daemon=True)
        thread.strand = strand  # type: ignore[attr-defined]
        self._threads.append(thread)
        thread.start()

    def _carry(self, strand: _Strand) -> None:
        """Take steps, as long as this carrier has the baton; then wait for it."""
        self._mine.strand = strand
        self._attend()
        try:
            while (following := self._go_on(strand)) is not None and not strand.is_lost:
                self._carriers.append(strand)
                following.go.release()
                strand.go.acquire()
                if self.is_closed:
                    return
        finally:
            self._leave(threading.get_ident())

    def _go_on(self, strand: _Strand) -> _Strand | None:
        """Take steps until it is another strand's turn; return that."""
        ready, draw = self.others, self._draw
        while not strand.is_lost:
            if not ready:
                following = self._let_time_pass()
                if following is not None:
                    return following
                continue
            if _NEXT in ready[:1]:
                ready.pop(0)
                return self._main
            count = len(ready)
            # The last one takes the place of the one that is drawn: no list is moved.
            if count == 1:
                item = ready.pop()
            else:
                at = int(draw() * count)
                item = ready[at]
                last = ready.pop()
                if at < count - 1:
                    ready[at] = last
            if type(item) is _Strand:
                return item
            self._step(item)
        return None

    def _step(self, task: Task) -> None:
        """Take steps of a task, as long as nothing else is ready."""
        ready = self.others
        task.is_running = True
        task.is_queued = False
        wait: float | None = 0.0
        while wait == 0.0:
            wait = task.run()
            if ready:
                break
        task.is_running = False
        if wait is None:
            self._forget(task)
        elif wait == 0.0 or task.is_queued:
            task.is_queued = True
            ready.append(task)
        elif wait != math.inf:
            self._wake_at(task, self._now + wait)

    def _wake_at(self, task: Task, when: float) -> None:
        before = self._wakes.get(id(task))
        if before is not None:
            before.cancel()

        def wake() -> None:
            self._wakes.pop(id(task), None)
            self.wake(task)

        # Further by a bit at least: what is due by then may be due a bit later, by the rounding.
        self._wakes[id(task)] = self.at(max(when, math.nextafter(self._now, math.inf)), wake)

    def _forget(self, task: Task) -> None:
        alarm = self._wakes.pop(id(task), None)
        if alarm is not None:
            alarm.cancel()

    def _let_time_pass(self) -> _Strand | None:
        """Nothing is ready: do what is due next; return the strand that is to go on instead."""
        when = self.next_at()
        if when < math.inf and when <= self._until:
            action = self._alarms.pop()
            if when > self._now:
                self._pass_to(when)
            action()
            return None
        if self._rest is not None:
            return self._rest.strand
        waiter = self._hopeless()
        if waiter is not None:
            self._waiting.remove(waiter)
            waiter.is_hopeless = True
            self.resume(waiter)
            return None
        return self._main  # nobody waits: it cannot be, but a program must not hang for it

    def _hopeless(self) -> _Waiter | None:
        """Return what is to be told that it waits in vain: what began to wait last."""
        found = [waiter for waiter in reversed(self._waiting) if not waiter.is_patient]
        found.sort(key=lambda waiter: waiter.is_last)
        return found[0] if found else None

    def _attend(self) -> None:
        """Have actors run while a task waits in an event loop of this thread."""
        DRIVERS.setdefault(threading.get_ident(), []).append(self._driver)

    def _leave(self, thread: int) -> None:
        drivers = DRIVERS.get(thread)
        if drivers is not None and self._driver in drivers:
            drivers.remove(self._driver)
            if not drivers:
                DRIVERS.pop(thread, None)

    def close(self) -> None:
        """End the carriers."""
        self.is_closed = True
        self._leave(self._owner)
        self._driver.close()
        while self._carriers:
            self._carriers.pop().go.release()
        for thread in self._threads:
            if not thread.strand.is_lost:  # type: ignore[attr-defined]
                thread.join(_PATIENCE_S)


#: In the first place of what is ready: the program's thread is to have the baton next.
_NEXT = object()


class _Callbacks:
    """Calls users' callbacks, one at a time."""

    is_queued = is_running = False
    bell: object = None

    def __init__(self, waiting: collections.deque[Callable[[], None]]) -> None:
        self._waiting = waiting

    def run(self) -> float | None:
        """Call the next one."""
        if self._waiting:
            self._waiting.popleft()()
        return 0.0 if self._waiting else math.inf
