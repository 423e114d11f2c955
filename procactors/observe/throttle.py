"""A throttle: how often progress is passed on, however often it is reported.

Layer: observe. Runs in: actor.
Owns: nothing.
Never: blocks; keeps the last step of a known total back.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from time import monotonic

__all__ = ["Throttle"]

#: Seconds between two reports: a display redraws as often, and a thousand actors that report are
#: still no load for the one thread that receives them.
EVERY_S = 0.1


class Throttle:
    """Takes a count of steps as often as one likes, and passes it on at most ten times a second.

    The first one at once, and always the one that completes the total.

    Args:
        send: passes (done, total) on.
        clock: a monotonic clock in seconds.
    """

    def __init__(
        self, send: Callable[[int, int | None], None], clock: Callable[[], float] = monotonic
    ) -> None:
        self._send = send
        self._clock = clock
        self._due = clock()

    def report(self, done: int, total: int | None = None) -> None:
        """Take a count; pass it on if it is time.

        Raises:
            ValueError: not whole numbers from 0 on, or more done than there is.
        """
        # The way of a million calls, in one condition: good values, and not yet time.
        if (
            type(done) is int
            and done >= 0
            and (total is None or (type(total) is int and done < total))
            and self._clock() < self._due
        ):
            return
        done = _whole("done", done)
        if total is not None:
            total = _whole("total", total)
            if done > total:
                raise ValueError(f"progress: done is at most the total, {total}, not {done}")
        now = self._clock()
        if now >= self._due or done == total:
            self._due = now + EVERY_S
            self._send(done, total)

    def hurry(self) -> None:
        """Pass the next one on, whenever it comes."""
        self._due = 0.0


def _whole(name: str, value: int) -> int:
    """Return what may be a number of numpy's as an int."""
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0 or isinstance(value, bool):
        raise ValueError(f"progress: {name} is a whole number from 0 on, not {value!r}")
    return number
