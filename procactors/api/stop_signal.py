"""The wish to stop, as signals bring it: which one came first, and how much time is left.

Layer: api. Runs in: parent, main thread.
Owns: nothing; `process.signals` installs it as the handler.
Never: raises anywhere but in what is called by `interruptible`: elsewhere a signal is noted.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from time import monotonic
from types import FrameType
from typing import Any, TypeVar

from procactors.process.signals import SIGNAL_BASE

__all__ = ["Interrupted", "StopSignal"]

R = TypeVar("R")


class Interrupted(KeyboardInterrupt):
    """A signal asks the program to end; raised in the function that `procactors.run` runs.

    A `KeyboardInterrupt`, for SIGTERM too: what a function does for the one, it does for the
    other.

    Attributes:
        signum: the signal, as a member of ``signal.Signals``.
    """

    def __init__(self, signum: int) -> None:
        self.signum = signal.Signals(signum)
        super().__init__(f"stopped by {self.signum.name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (int(self.signum),))


class StopSignal:
    """A signal handler: the first signal begins the end, a second one ends the patience.

    Args:
        grace: seconds from the first signal to the end.

    Attributes:
        signum: the first signal; None while there was none.
        on_signal: called in the handler at each signal, when it is noted.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._deadline = math.inf
        self.signum: signal.Signals | None = None
        self.on_signal: Callable[[], object] = lambda: None

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Note a signal.

        Raises:
            Interrupted: if it comes while `interruptible` is on the stack.
        """
        if self.signum is None:
            self.signum = signal.Signals(signum)
            self._deadline = monotonic() + self._grace
        else:
            self._deadline = -math.inf
        self.on_signal()
        while frame is not None:
            # Nowhere else: an exception inside a system's own start or stop would only tear it.
            if frame.f_code is _INTERRUPTIBLE and frame.f_locals["self"] is self:
                raise Interrupted(signum)
            frame = frame.f_back

    def interruptible(self, action: Callable[..., R], *args: Any) -> R:
        """Call `action`; a signal that comes meanwhile, or has come, raises `Interrupted`."""
        if self.signum is not None:
            raise Interrupted(self.signum)
        return action(*args)

    @property
    def left_s(self) -> float:
        """Seconds until the end; infinite while no signal has come."""
        return max(0.0, self._deadline - monotonic())

    @property
    def why(self) -> str:
        """The first signal in words; empty while no signal has come."""
        return "" if self.signum is None else f"stopped by {self.signum.name}"

    @property
    def exit_code(self) -> int:
        """What a shell reports for a process that the first signal ended; 0 if none came."""
        return 0 if self.signum is None else SIGNAL_BASE + self.signum

    def is_over(self) -> bool:
        """Whether the time for the end is over."""
        return monotonic() >= self._deadline


_INTERRUPTIBLE = StopSignal.interruptible.__code__
