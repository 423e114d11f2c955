"""How long to try before blocking: waking a sleeping process is most of the cost of an ask.

Layer: wire. Runs in: parent and actor.
Owns: nothing.
Never: yields the processor while trying (`sched_yield` costs a whole time slice when all cores
are busy); tries on and on in an idle system.

Both sides of a pipe first try without blocking, for a short while, then block. A try that did
not pay doubles the number of waits that go straight to blocking; one that paid quarters it.
Measured on two cores: 6.4 µs a round trip idle, 15 to 18 with one busy process, 29 with four,
never worse than blocking by more than 6; a rule that only looks at how long waits were gets
stuck in the slow state, so after many misses a single long try outlasts the peer's wake-up.
Where this process may run on one core alone, and its peer perhaps on the same, tries are rarer.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

__all__ = ["Spin", "pause"]

#: Nanoseconds of an ordinary try: two to three times a round trip on awake cores.
_SHORT_NS = 20_000
#: Nanoseconds of a try after many misses: longer than a sleeping peer's wake-up.
_LONG_NS = 150_000
#: From this many skipped waits on, a try is a long one.
_LONG_FROM = 8
#: Most waits in a row that go straight to blocking: then a try that never pays costs 1 µs a wait,
#: and a pair that has come to run on two awake cores is found out within a millisecond or two.
_MOST = 127
#: The same where this process may run on one core alone. There the peer may be on another one, but
#: most likely is on the same, and cannot run while we try.
_MOST_ALONE = 1023


class Spin:
    """What one kind of wait remembers: whether trying has paid lately."""

    __slots__ = ("_misses", "_skip")

    def __init__(self) -> None:
        self._misses = 0
        self._skip = 0

    def comes(self, poll: Callable[[int], Any], clock: Callable[[], int] = perf_counter_ns) -> bool:
        """Try whether something comes within a short while; False: it has not, or do not try.

        Args:
            poll: `poll` of a poll object: asked for 0 milliseconds, over and over.
            clock: nanoseconds.
        """
        if self._skip:
            self._skip -= 1
            return False
        misses = self._misses
        end = clock() + (_LONG_NS if misses >= _LONG_FROM else _SHORT_NS)
        # Not by reading: a read in vain raises, and an exception costs three polls.
        while not poll(0):
            if clock() >= end:
                most = _MOST if len(os.sched_getaffinity(0)) > 1 else _MOST_ALONE
                self._misses = self._skip = min(most, misses * 2 or 1)
                return False
        self._misses = misses >> 2
        return True


def pause(seconds: float) -> None:
    """Let time pass in which something takes effect by itself, as a store on its way to all cores.

    For nothing that could be waited for, and for milliseconds at most.
    """
    turn = threading.Lock()
    turn.acquire()
    turn.acquire(timeout=seconds)  # nobody releases it
