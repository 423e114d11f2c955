"""What is to be done at instants: the next one first.

Layer: local. Runs in: one process, any thread.
Owns: the alarms that are to come.
Never: keeps what was cancelled for as long as it would have taken; looks at a clock.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable

__all__ = ["Alarm", "Alarms"]

#: Alarms below which nobody looks for those that were cancelled.
_FEW = 1000


class Alarm:
    """Something that is to be done at an instant.

    Attributes:
        action: what; None: it was cancelled, or is done.
    """

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Have it not be done."""
        self.action = None


class Alarms:
    """All alarms of one engine; of one instant, the first that was set comes first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm]] = []
        self._numbers = itertools.count()
        self._sweep_at = _FEW

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, when: float, action: Callable[[], None]) -> Alarm:
        """Have something done at an instant."""
        alarm = Alarm(action)
        heapq.heappush(self._heap, (when, next(self._numbers), alarm))
        if len(self._heap) > self._sweep_at:
            self._sweep()
        return alarm

    def _sweep(self) -> None:
        """Drop what was cancelled: calls that are answered in time leave a lot of that."""
        self._heap = [one for one in self._heap if one[2].action is not None]
        heapq.heapify(self._heap)
        self._sweep_at = max(_FEW, 2 * len(self._heap))

    def next_at(self) -> float:
        """Return the instant of the next one; infinity: there is none."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else math.inf

    def pop(self) -> Callable[[], None]:
        """Take the next one, which there is; return what is to be done."""
        alarm = heapq.heappop(self._heap)[2]
        action, alarm.action = alarm.action, None
        return action or _nothing


def _nothing() -> None:
    """It was cancelled."""
