"""The timers of an actor, between its messages.

Layer: runner. Runs in: actor, main thread; only where timers are used.
Owns: nothing.
Never: begins a timer while a message is in hand, or once the actor has come to its stop.

    message done ─► what is due by now, in order ─► next message, or wait until something is due
          ▲                                                │
          └────────────────────────────────────────────────┘

Each pass takes what was due when it began, and then one message, if any waits: timers that take
longer than their period hold up no mailbox, and a full mailbox no timer.
"""

from __future__ import annotations

import math
from typing import Protocol

from procactors.runner.schedule import Schedule, Timer
from procactors.runner.source import ENDS, LONGEST_WAIT_S, MESSAGES, NOTHING, Source
from procactors.wire.mailbox.black_box import PHASE, STOPPING, BlackBox
from procactors.wire.mailbox.reader import WouldWait
from procactors.wire.record import KIND_AT

__all__ = ["Timers"]


class Host(Protocol):
    """What runs an actor's timers: its loop."""

    def run_timer(self, timer: Timer) -> bool:
        """Run a timer; return whether another may be begun now. Raising ends the actor."""

    @property
    def is_ending(self) -> bool:
        """Whether no other message, and no timer, is to be begun."""

    @property
    def is_at_work(self) -> bool:
        """Whether handlers are under way, in an event loop: the actor is not idle then."""

    @property
    def is_full(self) -> bool:
        """Whether no message may be begun now."""


class Timers:
    """Stands between the loop and where its messages come from.

    Args:
        inner: the source behind it.
        schedule: what is due when.
        box: of the mailbox.
        host: runs them.
    """

    def __init__(
        self,
        inner: Source,
        schedule: Schedule,
        box: BlackBox,
        host: Host,
    ) -> None:
        self._inner = inner
        self._schedule = schedule
        self._raw = box.raw
        self._words = box.words
        self._host = host
        self._clock = schedule.clock
        #: What was in hand last ends an idle stretch.
        self._had_message = False

    def advance(self, timeout: float | None) -> int:
        """Run what is due, then mark the next record as in hand, as every source does."""
        if self._words[PHASE] == STOPPING:
            return self._inner.advance(timeout)
        now = self._clock()
        if self._had_message:
            self._end_stretch(now)
        return self._advance(now, math.inf if timeout is None else now + timeout)

    def step(self, timeout: float | None) -> int:
        """Step behind the message in hand, and then `advance`."""
        if self._words[PHASE] == STOPPING:
            return self._inner.step(timeout)
        now = self._clock()
        self._end_stretch(now)
        until = math.inf if timeout is None else now + timeout
        if self._schedule.next_at <= now:
            self._inner.done(place=True)
        else:
            at = self._inner.step(self._patience(now, until))
            if at != NOTHING:
                return self._taken(at)
        return self._advance(now, until)

    def done(self, *, place: bool) -> None:
        """Step behind the record in hand."""
        self._inner.done(place=place)

    def _advance(self, now: float, until: float) -> int:
        while True:
            if self._schedule.next_at <= now and not self._run_due(now):
                return ENDS
            if self._host.is_full:
                raise WouldWait(None)  # a timer's coroutine goes on, and calls when it has ended
            at = self._inner.advance(self._patience(self._clock(), until))
            if at != NOTHING:
                return self._taken(at)
            now = self._clock()
            # Here alone: no message waits.
            if self._schedule.is_idle(now) and not self._has_waited(now):
                return ENDS
            if now >= until:
                return NOTHING

    def run_due(self) -> bool:
        """Run what is due by now; return whether the actor goes on."""
        return self._run_due(self._clock())

    def _run_due(self, now: float) -> bool:
        schedule, host = self._schedule, self._host
        newest = schedule.newest
        while (timer := schedule.begin(now, newest)) is not None:
            may_go_on = host.run_timer(timer)
            schedule.ran(timer)
            if host.is_ending:
                return False
            if not may_go_on:
                break
        return True

    def next_in(self) -> float | None:
        """Return the seconds until something is due; None: nothing is."""
        return self._patience(self._clock(), math.inf)

    def end_stretch(self) -> None:
        """Note that a handler has ended that was under way beside others: it was not idle."""
        self._end_stretch(self._clock())

    def _has_waited(self, now: float) -> bool:
        """Tell the actor that it is idle, if it is; return whether it goes on."""
        if self._host.is_at_work:
            self._end_stretch(now)
            return True
        self._host.run_timer(self._schedule.idle)
        self._schedule.touch(self._clock())
        return not self._host.is_ending

    def _taken(self, at: int) -> int:
        self._had_message = at >= 0 and self._raw[at + KIND_AT] in MESSAGES
        return at

    def _end_stretch(self, now: float) -> None:
        self._had_message = False
        self._schedule.touch(now)

    def _patience(self, now: float, until: float) -> float | None:
        """Return the seconds to wait for a message; None: there is nothing else to come."""
        at = min(self._schedule.next_at, until)
        return None if at == math.inf else min(max(0.0, at - now), LONGEST_WAIT_S)
