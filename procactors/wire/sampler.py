"""Which messages are measured: all that are slow or rare, some of those that come thick and fast.

Layer: wire. Runs in: parent and actor.
Owns: nothing.
Never: leaves the first ones out: of few, each counts.

A quick ask costs some 20 µs, and two looks at the clock with what follows are a thirtieth of that.
So where the last one was quick the next few are left out, and the one behind them stands for all of
these. Slow ones, and the first ones, are all measured. How long a tell takes its sender does not
know: of these the first, the second, the fourth are measured, and so on, then each sixteenth.
"""

from __future__ import annotations

__all__ = ["MOST_TELLS", "Sampler"]

#: Nanoseconds below which a call is quick, and the most that are left out behind one.
_QUICK_NS, _MOST_RESTS = 100_000, 7
#: Tells for which a measured one stands at most.
MOST_TELLS = 16


class Sampler:
    """Which calls are measured, of those that go one behind the other.

    Attributes:
        rests: calls to be left out before the next that is measured.
        standing: calls for which that one stands.
    """

    __slots__ = ("rests", "standing")

    def __init__(self) -> None:
        self.rests, self.standing = 0, 1

    def measured(self, took_ns: int) -> None:
        """Choose the next one, behind one that took so long."""
        self.rests = min(_MOST_RESTS, 2 * self.standing - 1) if took_ns < _QUICK_NS else 0
        self.standing = self.rests + 1
