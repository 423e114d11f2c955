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
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any

__all__ = ["Spin", "try_read"]

#: Nanoseconds of an ordinary try: two to three times a round trip on awake cores.
_SHORT_NS = 20_000
#: Nanoseconds of a try after many misses: longer than a sleeping peer's wake-up.
_LONG_NS = 150_000
#: From this many skipped waits on, a try is a long one.
_LONG_FROM = 8
#: Most waits in a row that go straight to blocking: then a try that never pays costs 1 µs a wait,
#: and a pair that has come to run on two awake cores is found out within a millisecond or two.
_MOST = 127


class Spin:
    """What one kind of wait remembers: whether trying has paid lately."""

    __slots__ = ("_misses", "_skip")

    def __init__(self) -> None:
        self._misses = 0
        self._skip = 0

    def window(self) -> int:
        """Return for how many nanoseconds to try now; 0: block at once."""
        if self._skip:
            self._skip -= 1
            return 0
        return _LONG_NS if self._misses >= _LONG_FROM else _SHORT_NS

    def hit(self) -> None:
        """Note that the try paid: something came before the window closed."""
        self._misses >>= 2

    def miss(self) -> None:
        """Note that the try did not pay."""
        self._misses = self._skip = min(_MOST, self._misses * 2 or 1)


def try_read(
    fd: int,
    into: Sequence[memoryview],
    window_ns: int,
    readv: Callable[[int, Any], int] = os.readv,
    clock: Callable[[], int] = perf_counter_ns,
) -> int:
    """Read from the non-blocking `fd` until something comes or the window is over.

    Returns the bytes read; 0 if nothing came in time.
    """
    end = clock() + window_ns
    while True:
        try:
            return readv(fd, into)
        except BlockingIOError:
            if clock() >= end:
                return 0
