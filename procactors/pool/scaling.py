"""How many workers a pool is to have between its bounds. Pure.

Layer: pool. Runs in: the pool's process.
Owns: nothing; instants are given, in seconds of one monotonic clock.
Never: reads a clock, touches a process.
"""

from __future__ import annotations

from procactors.light_tuple import NamedTuple

__all__ = ["IDLE_S", "WAIT_S", "Demand", "wanted"]

#: Seconds for which work must have waited before workers are added: a start takes some 10 ms, and
#: what is over by then needs no more of them.
WAIT_S = 0.05
#: Seconds after which a worker with nothing to do is one too many.
IDLE_S = 10.0


class Demand(NamedTuple):
    """What a pool has to do.

    Attributes:
        workers: how many it has.
        waiting: spans in its queue.
        waited_s: seconds for which there has been something in it without a break.
        idle: workers that have had nothing to do for `IDLE_S`.
    """

    workers: int
    waiting: int
    waited_s: float
    idle: int


def wanted(demand: Demand, least: int, most: int) -> int:
    """Return the number of workers that a pool is to have now, between `least` and `most`."""
    if demand.workers < least:
        return least
    if demand.waiting and demand.waited_s >= WAIT_S:
        # Doubled at most: when many starts are not enough, the next look adds more.
        return min(most, demand.workers + min(demand.waiting, demand.workers))
    if demand.idle and not demand.waiting:
        return min(most, max(least, demand.workers - demand.idle))
    return min(demand.workers, most)
