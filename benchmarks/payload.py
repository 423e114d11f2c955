"""Large arguments: an array in an ask, beside copying the same bytes in memory.

Measures: µs for one ask with 100 MB (10^8 bytes) or 1 MB, and for a copy to memory that is mapped
already.
How: in turns. One handler only looks at the size, the other reads every byte; beside the second the
copy is read too. The array is the same object each time, and its content is sent each time.
Without numpy, a class that hands its buffer to pickle out of band stands in for the array.
Never: keeps the argument in the actor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks import floors
from benchmarks.actors import Payload, Weigher
from benchmarks.findings import Findings, Target
from benchmarks.rounds import Contender, Effort, Round, take_turns, timed
from procactors import ActorSystem

NAME = "payload"

LARGE = 100_000_000
SMALL = 1_000_000


def made(size: int) -> Any:
    """Make an array of so many bytes, none of them zero pages; or what stands in for it."""
    try:
        import numpy as np
    except ImportError:
        return Payload(bytearray(b"procactor" * (size // 9 + 1))[:size])
    return np.arange(size // 8, dtype=np.int64)


@contextmanager
def asks(payload: Any, calls: int, read: bool = False) -> Iterator[Round]:
    """Ask with the payload as argument."""
    with ActorSystem() as system:
        weigher = system.spawn(Weigher)
        method = Weigher.total if read else Weigher.size
        yield partial(timed, partial(weigher.ask, method, payload), calls)


def measure(effort: Effort) -> Findings:
    """Measure and compare: a ratio of 1 is the speed of memcpy, 0.5 half of it."""
    findings = Findings(NAME)
    large, small = made(LARGE), made(SMALL)
    few, many = effort.of(3), effort.of(100)
    take_turns(
        findings,
        [
            Contender("memcpy, 100 MB", "µs", floors.memory_copies(large, few)),
            Contender("memcpy and read, 100 MB", "µs", floors.memory_copies(large, few, True)),
            Contender("memcpy, 1 MB", "µs", floors.memory_copies(small, many)),
            Contender("ask, 100 MB", "µs", asks(large, few)),
            Contender("ask and read, 100 MB", "µs", asks(large, few, True)),
            Contender("ask, 1 MB", "µs", asks(small, many)),
        ],
        effort.at_most(7),
    )
    # Speed is the inverse of time: memcpy's time over ours is our share of its speed.
    findings.compare("100 MB", "memcpy, 100 MB", "ask, 100 MB", Target(least=0.5))
    findings.compare("100 MB, read", "memcpy and read, 100 MB", "ask and read, 100 MB")
    findings.compare("1 MB", "memcpy, 1 MB", "ask, 1 MB")
    return findings
