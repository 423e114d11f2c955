"""How many items go into one message: measured, never guessed by the user. Pure.

Layer: pool. Runs in: the pool's process.
Owns: nothing; durations are given, in seconds.
Never: reads a clock, touches a process.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict

from procactors.wire.result_table import MOST_ITEMS

__all__ = ["PREFETCH_S", "TARGET_S", "Pace", "Paces"]

#: Seconds that a batch is meant to take. A message and its reply cost some 100 microseconds of
#: both sides, so 1 %; and what is done already is held back no longer than this.
TARGET_S = 0.01
#: Seconds of work that are worth a message, which costs some 300 microseconds of both sides: near
#: the end of the input batches get smaller, but not smaller than this.
_LEAST_S = 0.001
#: Chunks that share a message at most: as many as fit into a record, if they are small.
_MOST_TOGETHER = 64
#: A batch goes behind another in a worker's mailbox if that one is expected to take no longer.
#: Above it, the gap between two messages is no loss worth mentioning, and a worker that pulls its
#: next item when it is free takes none from another.
PREFETCH_S = 0.05
#: The size of a batch grows by this factor at most: one fast item says little about the next. If
#: slower ones follow, what waits behind them is taken back (`monitor`).
_GROWTH = 256
#: How many items count as seen of a function that was mapped before: its items may be others now,
#: and what waits behind a slow one is taken back, but is late by some ten milliseconds.
_FAMILIAR = 32
#: Functions whose cost is kept.
_KEPT = 256
#: Least weight of the newest batch in the running cost of an item.
_NEWEST = 0.5


class Pace:
    """What one item costs, as seen so far.

    Attributes:
        cost_s: seconds an item; None before the first has ended.

    Args:
        cost_s: what the last map with the same function has found.
    """

    __slots__ = ("_largest", "_last", "cost_s")

    def __init__(self, cost_s: float | None = None) -> None:
        self.cost_s = cost_s
        self._largest = 1 if cost_s is None else _FAMILIAR
        self._last = 0

    def seen(self, items: int, seconds: float) -> None:
        """Take note of a batch that has ended."""
        if items <= 0:
            return
        cost = max(seconds / items, 1e-9)
        if self.cost_s is None:
            self.cost_s = cost
        else:
            # A batch of hundreds says more than the one item before it, which had to be loaded.
            weight = max(_NEWEST, items / (items + self._last))
            self.cost_s = weight * cost + (1 - weight) * self.cost_s
        self._last = items
        self._largest = max(self._largest, items)

    def size(self, waiting: int | None, workers: int, sent: int = 0) -> int:
        """Return how many items the next batch is to have, 1 at least.

        Args:
            waiting: items that are left; None if that is not known. Near the end batches get
                smaller, so that all workers end together.
            workers: among how many they are shared.
            sent: batches that are on their way.
        """
        if self.cost_s is None:
            return 1
        size = min(int(TARGET_S / self.cost_s), self._largest * _GROWTH, MOST_ITEMS)
        if waiting is not None:
            fair, least = -(-waiting // (2 * workers)), int(_LEAST_S / self.cost_s)
            if not self._last:
                # Nothing was seen of these items yet: so they are shared in equal parts, four for
                # each worker: a core may be half as fast as the next one. Two, where four would be
                # crumbs, if they cost what the last ones did.
                fair = -(-waiting // max(1, 4 * workers - sent))
                least = min(least, -(-waiting // max(1, 2 * workers - sent)))
            size = min(size, max(fair, least))
        return max(1, size)

    def together(self, items: int) -> int:
        """Return how many chunks of so many items may share a message, 1 at least."""
        if self.cost_s is None:
            return 1
        return max(1, min(_MOST_TOGETHER, int(_LEAST_S / (self.cost_s * items))))

    def takes_s(self, items: int) -> float | None:
        """Return the seconds that so many items will take; None if that is not known yet."""
        return None if self.cost_s is None else self.cost_s * items


class Paces:
    """What the items of a pool's functions cost, for the functions that were called last."""

    def __init__(self) -> None:
        self._newest: OrderedDict[bytes, Pace] = OrderedDict()

    def of(self, function: bytes) -> Pace:
        """Return the pace that all calls of a function share."""
        return self._newest.get(function) or self.begin(function)

    def begin(self, function: bytes) -> Pace:
        """Return the pace of another map; `function` is what it calls, as it travels."""
        # One step each: maps of several threads may begin at the same time.
        last = self._newest.pop(function, None)
        pace = self._newest[function] = Pace(None if last is None else last.cost_s)
        if len(self._newest) > _KEPT:
            with contextlib.suppress(KeyError):
                self._newest.popitem(last=False)
        return pace
