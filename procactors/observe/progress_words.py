"""How far a job is, in words: how many, which share, how fast, how much longer.

Layer: observe. Runs in: parent, in whichever thread counts.
Owns: nothing.
Never: writes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

__all__ = ["Words", "share"]


class Words:
    """What a state is in words.

    Args:
        label: what is being done.
        unit: what the items are.
        clock: a monotonic clock in seconds; the time of the job begins now.
    """

    def __init__(self, label: str, unit: str = "", clock: Callable[[], float] = monotonic) -> None:
        self._label = f"{label}: " if label else ""
        self._unit = f" {unit}" if unit else ""
        self.clock = clock
        self._started = clock()

    def state(self, done: int, total: int | None, failed: int, note: str) -> str:
        """Return a line: how many, which share, how fast, how much longer."""
        seconds = self.clock() - self._started
        parts = [f"{done}{self._unit}"]
        if total is not None:
            parts = [f"{done} of {total}{self._unit}", f"{share(done, total, 100)} %"]
        if failed:
            parts.append(f"{failed} failed")
        if done > 0 and seconds > 0:
            parts.append(_rate(done / seconds))
        if total is not None and 0 < done < total:
            parts.append(f"{_duration(seconds / done * (total - done))} left")
        else:
            parts.append(f"{seconds:.1f} s" if seconds < 100 else _duration(seconds))
        if note:
            parts.append(note)
        return self._label + ", ".join(parts)


def share(done: int, total: int, parts: int) -> int:
    """Return how many of so many parts are done; of nothing, all."""
    return max(0, min(parts, parts * done // total)) if total else parts


def _rate(per_second: float) -> str:
    for rate, unit in ((per_second, "s"), (60 * per_second, "min")):
        if rate >= 0.1:
            return f"{rate:,.1f}/{unit}" if rate < 100 else f"{rate:,.0f}/{unit}"
    return f"{3600 * per_second:,.1f}/h"


def _duration(seconds: float) -> str:
    for size, unit, most in ((1, "s", 120), (60, "min", 120), (3600, "h", 48)):
        if seconds < size * most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"
