"""Which messages are measured: all that are slow or rare, some of those that come thick and fast.

Layer: wire. Runs in: parent and actor.
Owns: nothing.
Never: leaves the first ones out: of few, each counts.

A quick ask costs some 20 µs, and two looks at the clock with what follows are a thirtieth of that.
So where the last one was quick the next few are left out, and the one behind them stands for all of
these. Slow ones, and the first ones, are all measured. How long a tell takes its sender does not
know: of these the first, the third, the seventh are measured, and so on, then each 64th.
"""

from __future__ import annotations

__all__ = ["MOST_TELLS", "Sampler"]

#: Nanoseconds below which a call is quick, and the calls for which a measured one stands at most.
_QUICK_NS, _MOST_STANDING = 100_000, 128
#: Nanoseconds from one call to the next, above which calls are rare.
_RARE_NS = 10_000_000
#: Tells for which a measured one stands at most.
MOST_TELLS = 64


class Sampler:
    """Which calls of one method are measured; threads that call it at once share it.

    Attributes:
        rests: calls to be left out before the next that is measured.
        standing: calls for which that one stands.
    """

    __slots__ = ("_sent", "rests", "standing")

    def __init__(self) -> None:
        self.rests, self.standing = 0, 1
        self._sent = 0

    def begin(self) -> int:
        """Note that one is measured; return for how many it stands."""
        self.rests = self.standing - 1
        return self.standing

    def end(self, sent: int, took_ns: int, standing: int) -> None:
        """Choose the next ones, behind one that stood for so many, was sent then and took so long.

        Both in nanoseconds.
        """
        since, self._sent = sent - self._sent, sent
        if took_ns >= _QUICK_NS or since > standing * _RARE_NS:
            # Not back to all at once: on a busy machine now and then one is slow by chance.
            self.standing = max(1, standing >> 2)
            self.rests = min(self.rests, self.standing - 1)
        elif self.standing == standing < _MOST_STANDING:
            # Not if an earlier answer has done so already: of many under way at once.
            self.standing, self.rests = 2 * standing, self.rests + standing
