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
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from procactors.runner.schedule import Schedule
from procactors.runner.source import ENDS, NOTHING, Source
from procactors.wire.mailbox.black_box import PHASE, STOPPING, BlackBox
from procactors.wire.record import Kind

__all__ = ["Timers"]

#: Longest wait in one piece, in seconds: `poll` takes its time as 32-bit milliseconds.
_LONGEST_WAIT_S = 86_400.0

#: Offset of the kind in a record: behind its length.
_KIND_AT = 4
#: Records that end an idle stretch: not the runtime's own.
_MESSAGES = frozenset((int(Kind.CALL), int(Kind.EVENT)))


class Timers:
    """Stands between the loop and where its messages come from.

    Args:
        inner: the source behind it.
        schedule: what is due when.
        box: where it is noted which timer runs.
        call: calls a method of the actor's by its name, with arguments; raising ends the actor.
        is_ending: tells whether no other message, and no timer, is to be begun.
    """

    def __init__(
        self,
        inner: Source,
        schedule: Schedule,
        box: BlackBox,
        call: Callable[[str, tuple[Any, ...]], None],
        is_ending: Callable[[], bool],
    ) -> None:
        self._inner = inner
        self._schedule = schedule
        self._box = box
        self._words = box.words
        self._call = call
        self._is_ending = is_ending
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
            at = self._inner.advance(self._patience(self._clock(), until))
            if at != NOTHING:
                return self._taken(at)
            now = self._clock()
            # Here alone: no message waits.
            if self._schedule.is_idle(now):
                self._run(b"on_idle", "on_idle", ())
                self._schedule.touch(self._clock())
                if self._is_ending():
                    return ENDS
            if now >= until:
                return NOTHING

    def _run_due(self, now: float) -> bool:
        """Run what is due by `now`; return whether the actor goes on."""
        for timer in self._schedule.due(now):
            self._run(timer.label, timer.method, timer.args)
            if self._is_ending():
                return False
        return True

    def _run(self, label: bytes, method: str, args: tuple[Any, ...]) -> None:
        self._box.begin_timer(label, monotonic_ns())
        self._call(method, args)
        # Not in a `finally`: what an exception leaves here says which timer has ended the actor.
        self._box.end_timer()

    def _taken(self, at: int) -> int:
        self._had_message = at >= 0 and self._box.raw[at + _KIND_AT] in _MESSAGES
        return at

    def _end_stretch(self, now: float) -> None:
        self._had_message = False
        self._schedule.touch(now)

    def _patience(self, now: float, until: float) -> float | None:
        """Return the seconds to wait for a message; None: there is nothing else to come."""
        at = min(self._schedule.next_at, until)
        return None if at == math.inf else min(max(0.0, at - now), _LONGEST_WAIT_S)
