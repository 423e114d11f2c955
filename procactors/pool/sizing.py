"""How many items go into one message: measured, never guessed by the user. Pure.

Layer: api. Runs in: the pool's process.
Owns: nothing; durations are given, in seconds.
Never: reads a clock, touches a process.
"""

from __future__ import annotations

from procactors.wire.sheet import MOST_ITEMS

__all__ = ["PREFETCH_S", "TARGET_S", "Pace"]

#: Seconds that a batch is meant to take. A message and its reply cost some 100 microseconds of
#: both sides, so 1 %; and nobody waits longer than this for what is done already.
TARGET_S = 0.01
#: Seconds of work that are worth a message: near the end of the input batches get smaller, but not
#: smaller than this.
_LEAST_S = 0.001
#: A batch goes behind another in a worker's mailbox if that one is expected to take no longer.
#: Above it, the gap between two messages is no loss worth mentioning, and a worker that pulls its
#: next item when it is free takes none from another.
PREFETCH_S = 0.05
#: The size of a batch grows by this factor at most: one fast item says little about the next. If
#: slower ones follow, what waits behind them is taken back (`keeper`).
_GROWTH = 256
#: Weight of the newest batch in the running cost of an item.
_NEWEST = 0.5


class Pace:
    """What one item costs, as seen so far.

    Attributes:
        cost_s: seconds an item; None before the first has ended.
    """

    __slots__ = ("_largest", "cost_s")

    def __init__(self) -> None:
        self.cost_s: float | None = None
        self._largest = 1

    def seen(self, items: int, seconds: float) -> None:
        """Take note of a batch that has ended."""
        if items <= 0:
            return
        cost = max(seconds / items, 1e-9)
        if self.cost_s is None:
            self.cost_s = cost
        else:
            self.cost_s = _NEWEST * cost + (1 - _NEWEST) * self.cost_s
        self._largest = max(self._largest, items)

    def size(self, waiting: int | None, workers: int) -> int:
        """Return how many items the next batch is to have, 1 at least.

        Args:
            waiting: items that are left; None if nobody knows. Near the end batches get smaller,
                so that all workers end together.
            workers: among how many they are shared.
        """
        if self.cost_s is None:
            return 1
        size = min(int(TARGET_S / self.cost_s), self._largest * _GROWTH, MOST_ITEMS)
        if waiting is not None:
            fair = -(-waiting // (2 * workers))
            size = min(size, max(fair, int(_LEAST_S / self.cost_s)))
        return max(1, size)

    def takes_s(self, items: int) -> float | None:
        """Return the seconds that so many items will take; None if nobody knows."""
        return None if self.cost_s is None else self.cost_s * items
