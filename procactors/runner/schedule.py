"""What an actor is to do at which instants: its timers, and its notice of being idle.

Layer: runner. Runs in: actor, main thread; only where timers are used.
Owns: nothing: it lives as long as the incarnation.
Never: waits, runs a handler, or reads another clock than the one it is given.

    after, every ──► heap of (instant, number) ──► begin(now) ──► ran: `every` again, on its grid
                     names: one timer each         in that order
"""

from __future__ import annotations

import heapq
import math
from _thread import get_ident
from collections.abc import Callable
from time import monotonic
from types import MethodType
from typing import Any, NoReturn

from procactors.errors import InvalidSpec
from procactors.model.checks import flag, number, text
from procactors.model.handlers import kind_of
from procactors.runner.method_table import MethodTable, is_method_reference, table_of

__all__ = ["Schedule", "Timer"]

#: Least seconds of a period, and of an idle stretch: waits are in whole milliseconds.
_SHORTEST_S = 0.001
#: Most seconds of either, and of a delay: 68 years. What is longer is a mistake in the unit.
_LONGEST_S = 1 << 31

#: Timers given up that the heap may hold, and as a share of it, before it is made anew: one that
#: is put off with each message must not fill the memory.
_DEAD, _DEAD_SHARE = 64, 0.5

#: In the place of a timer's number: it is over; or its handler runs, and it is to come again.
_OVER, _RUNS = 0, -1


class Timer:
    """A call that an actor makes to itself later, once or again and again.

    It belongs to the incarnation that has set it, and is not to be sent to others.

    Attributes:
        name: the name that it was given; None if it has none.
        method: name of the method that it calls.
        args: the arguments of the call.
    """

    __slots__ = (
        "_begin",
        "_count",
        "_number",
        "_period",
        "_schedule",
        "args",
        "label",
        "method",
        "name",
    )

    def __init__(
        self,
        schedule: Schedule,
        method: str,
        args: tuple[Any, ...],
        name: str | None,
        begin: float,
        period: float | None,
    ) -> None:
        self.method = method
        self.args = args
        self.name = name
        #: What reports call it, as bytes.
        self.label = f"timer {method}{'' if name is None else f' ({name})'}".encode()
        self._schedule = schedule
        # Its grid: begin + count * period, and the count of its next instant.
        self._begin = begin
        self._count = 0
        self._period = period
        self._number = _OVER

    @property
    def active(self) -> bool:
        """Whether it will run, or run again."""
        return self._number != _OVER

    def cancel(self) -> bool:
        """Give it up: it does not run any more.

        Returns:
            whether it would have run, or run again; False: it was over already.

        Raises:
            RuntimeError: in another thread than the one that serves the actor.
        """
        return self._schedule.cancel(self)

    def __repr__(self) -> str:
        how = "once" if self._period is None else f"every {self._period:g} s"
        state = "" if self.active else ", over"
        return f"<Timer {self.label.decode().removeprefix('timer ')} {how}{state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} belongs to the incarnation that has set it, and cannot be pickled: give it "
            f"a name, and set or cancel it in a method of the actor"
        )


class Schedule:
    """The timers of one incarnation.

    Args:
        cls: the actor's class.
        clock: seconds of a monotonic clock.

    Attributes:
        next_at: instant at which there is something to do; infinity if never.
        on_sooner: called when that comes to be earlier than it was.
    """

    def __init__(self, cls: type, clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self.next_at = math.inf
        self.on_sooner: Callable[[], None] = _nothing
        self._table: MethodTable = table_of(cls)
        self._thread = get_ident()
        #: (instant, number, timer): those of one instant in the order in which they were set. A
        #: timer whose number is another one by now was given up, or set anew.
        self._heap: list[tuple[float, int, Timer]] = []
        self._number = 0
        self._dead = 0
        self._names: dict[str, Timer] = {}
        #: The call of `on_idle`, which is set like no other timer.
        self.idle = Timer(self, "on_idle", (), None, 0.0, None)
        self.idle.label = b"on_idle"
        self._idle_s: float | None = None
        self._idle_at = math.inf

    # -- setting

    def after(self, seconds: Any, method: Any, args: tuple[Any, ...], name: Any) -> Timer:
        """Set a timer that runs once (see `Context.after`)."""
        wait = number("seconds of after", seconds, 0, _LONGEST_S)
        at = self.clock() + wait
        timer = self._timer("after", method, args, name, at, None)
        self._push(at, timer)
        return timer

    def every(self, seconds: Any, method: Any, args: tuple[Any, ...], name: Any, now: Any) -> Timer:
        """Set a timer that runs again and again (see `Context.every`)."""
        period = number("seconds of every", seconds, _SHORTEST_S, _LONGEST_S)
        begin = self.clock()
        at = begin if flag("now", now) else begin + period
        timer = self._timer("every", method, args, name, begin, period)
        timer._count = 0 if now else 1
        self._push(at, timer)
        return timer

    def idle_after(self, seconds: Any) -> None:
        """Have `on_idle` called after so many seconds without a message; None: no more."""
        self._check_thread("idle_after")
        if seconds is not None:
            seconds = number("seconds of idle_after", seconds, _SHORTEST_S, _LONGEST_S)
        self._idle_s = seconds
        self._idle_at = math.inf
        self.touch(self.clock())
        self._settle()

    def cancel(self, timer: Timer) -> bool:
        """Give a timer up; return whether it would have run."""
        self._check_thread("cancel")
        was = timer._number
        if was == _OVER:
            return False
        self._forget(timer)
        if was != _RUNS:
            self._dead += 1
            if self._dead > _DEAD and self._dead > _DEAD_SHARE * len(self._heap):
                self._heap = [entry for entry in self._heap if entry[1] == entry[2]._number]
                heapq.heapify(self._heap)
                self._dead = 0
            self._settle()
        return True

    # -- running

    @property
    def newest(self) -> int:
        """Number of what was set last."""
        return self._number

    def begin(self, now: float, newest: int) -> Timer | None:
        """Return the next timer that is due by `now`, to be run now; None: there is none.

        Args:
            now: the instant.
            newest: `newest` when the round began. What a timer sets comes in the next round,
                however short it waits: messages have their turn in between.
        """
        while self._heap and self._heap[0][0] <= now and self._heap[0][1] <= newest:
            _, serial, timer = heapq.heappop(self._heap)
            if timer._number != serial:
                self._dead -= 1
                continue
            if timer._period is None:
                self._forget(timer)
            else:
                timer._number = _RUNS
            return timer
        self._settle()
        return None

    def ran(self, timer: Timer) -> None:
        """Note that the run of a timer has ended."""
        if timer._number == _RUNS:  # neither given up by its own handler nor set anew
            self._push(self._next(timer), timer)
        else:
            self._settle()

    def touch(self, now: float) -> None:
        """Note that a message was handled until `now`, or that `on_idle` was called."""
        if self._idle_s is not None:
            self._idle_at = now + self._idle_s
            self._settle()

    def is_idle(self, now: float) -> bool:
        """Return whether `on_idle` is to be called, if no message waits."""
        return self._idle_at <= now

    def _next(self, timer: Timer) -> float:
        """Return the next instant of a timer's grid: what has passed of it meanwhile is left out.

        Counted from its beginning, so that no error adds up.
        """
        assert timer._period is not None
        now = self.clock()
        # At least one further: where `now` is the instant of the last run, the quotient may be
        # rounded to a bit below it, and the timer would run twice for one instant.
        passed = math.floor((now - timer._begin) / timer._period)
        timer._count = max(timer._count, passed) + 1
        at = timer._begin + timer._count * timer._period
        if at <= now:  # the same, in the other direction
            timer._count += 1
            at = timer._begin + timer._count * timer._period
        return at

    def _push(self, at: float, timer: Timer) -> None:
        self._number += 1
        timer._number = self._number
        heapq.heappush(self._heap, (at, self._number, timer))
        self._settle()

    def _settle(self) -> None:
        heap = self._heap
        while heap and heap[0][1] != heap[0][2]._number:
            heapq.heappop(heap)
            self._dead -= 1
        before, self.next_at = self.next_at, self._idle_at
        if heap and heap[0][0] < self.next_at:
            self.next_at = heap[0][0]
        if self.next_at < before:
            self.on_sooner()

    def _forget(self, timer: Timer) -> None:
        timer._number = _OVER
        if timer.name is not None and self._names.get(timer.name) is timer:
            del self._names[timer.name]

    # -- checking

    def _timer(
        self,
        verb: str,
        method: Any,
        args: tuple[Any, ...],
        name: Any,
        begin: float,
        period: float | None,
    ) -> Timer:
        """Return a timer of what a user has given; one of the same name is given up."""
        self._check_thread(verb)
        attribute = self._method(verb, method, args)
        if name is not None:
            name = text(f"name of {verb}", name)
        timer = Timer(self, attribute, args, name, begin, period)
        if name is not None:
            if (before := self._names.get(name)) is not None:
                self.cancel(before)
            self._names[name] = timer
        return timer

    def _method(self, verb: str, method: Any, args: tuple[Any, ...]) -> str:
        """Return the name of the method that is meant; refuse what cannot be called so."""
        cls = self._table.cls.__qualname__
        if not is_method_reference(method):
            bound = isinstance(method, MethodType)
            name = method.__name__ if bound else method if isinstance(method, str) else "method"
            raise TypeError(
                f"{verb} takes a method of the actor's class behind the seconds: say "
                f"{verb}(seconds, {cls}.{name}, ...), not {method!r}"
            )
        found = self._table.method(method)
        found.check(args, {})
        kind = kind_of(getattr(self._table.cls, found.name))
        if kind == "async def" and not self._table.is_async:
            raise InvalidSpec(
                f"{cls}.{found.name} is async def, and {cls} has no other async method by a public "
                f"name: it runs no event loop; give this one such a name"
            )
        if kind and kind != "async def":
            raise InvalidSpec(f"{cls}.{found.name} is {kind}: nobody would take what it yields")
        return found.name

    def _check_thread(self, verb: str) -> None:
        # The thread that serves the actor waits for the mailbox meanwhile, by the old schedule.
        if get_ident() != self._thread:
            raise RuntimeError(
                f"{verb} was called in a thread of the actor's own: timers are set and given up "
                f"by its handlers; from a thread, tell the actor (context.ref.tell) to do it"
            )


def _nothing() -> None:
    """Tell nobody: who looks at the schedule is the one that changes it."""
