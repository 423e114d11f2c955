"""One worker as its pool sees it.

Layer: api. Runs in: the pool's process.
Owns: nothing: the actor is the system's.
Never: decides anything.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from procactors.pool.batch import Batch
from procactors.pool.sizing import PREFETCH_S
from procactors.pool.spans import Span
from procactors.ref import ActorRef

__all__ = ["Member"]


class Member:
    """A worker and what is on its way to it.

    Attributes:
        ref: the actor.
        index: its number in the pool, from 0; never given to another.
        batches: what it has been sent and has not answered, oldest first.
        own: spans that only it may have.
        leaving: it gets nothing new.
        accused: it is being killed, perhaps: nothing is sent until that is known.
        idle_since: when it last ran out of work (monotonic).
        false_starts: deaths in a row before it had looked at the batch in hand.
    """

    __slots__ = (
        "accused",
        "batches",
        "false_starts",
        "idle_since",
        "index",
        "leaving",
        "own",
        "ref",
    )

    def __init__(self, ref: ActorRef[Any], index: int, now: float) -> None:
        self.ref = ref
        self.index = index
        self.batches: list[Batch] = []
        self.own: deque[Span] = deque()
        self.leaving = False
        self.accused = False
        self.idle_since = now
        self.false_starts = 0

    @property
    def load(self) -> int:
        """How many items it has before it."""
        return sum(batch.count for batch in self.batches) + sum(map(len, self.own))

    def release(self) -> list[Span]:
        """Return what has waited for it alone."""
        spans = list(self.own)
        self.own.clear()
        return spans

    def has_room(self) -> bool:
        """Whether it may be sent something now: it is free, or nearly."""
        if self.accused or len(self.batches) > 1:
            return False
        if not self.batches:
            return True
        expected = self.batches[0].expected_s()
        return expected is not None and expected <= PREFETCH_S
