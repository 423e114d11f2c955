"""The wish to stop: noted when a signal comes, and looked at between two outcomes.

Layer: batch. Runs in: parent, main thread.
Owns: nothing; `process.signals` installs it.
Never: raises but where nothing else could end the waiting: while workers start.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from time import monotonic

__all__ = ["StopRequest"]


class StopRequest:
    """A signal handler. The first signal begins the end, a second one ends the patience.

    Args:
        grace: seconds from the first signal to the end.

    Attributes:
        signum: the first signal; None while there was none.
        raises: the main thread waits for something that hears of no signal: `KeyboardInterrupt`.
        wake: called at each signal.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._deadline = math.inf
        self.signum: signal.Signals | None = None
        self.raises = False
        self.wake: Callable[[], None] | None = None

    def __call__(self, signum: int, frame: object) -> None:
        """Note a signal.

        Raises:
            KeyboardInterrupt: if it `raises`.
        """
        if self.signum is None:
            self.signum = signal.Signals(signum)
            self._deadline = monotonic() + self._grace
        else:
            self._deadline = -math.inf
        if self.wake is not None:
            self.wake()
        if self.raises:
            raise KeyboardInterrupt

    @property
    def left_s(self) -> float:
        """Seconds until the end; infinite while nobody has asked for it."""
        return max(0.0, self._deadline - monotonic())

    def is_over(self) -> bool:
        """Whether the time for the end is over."""
        return monotonic() >= self._deadline
