"""Large arguments: an array in an ask, beside copying the same bytes in memory.

Measures: µs for one ask with 100 MB (10^8 bytes) or 1 MB, and for a copy to memory that is mapped
already; beside 1 MB also a kept shared map, and a stock pipe.
How: in turns. One handler only looks at the size, the other reads every byte; beside the second the
copy is read too. The array of 100 MB is the same object each time, and its content is sent each
time; of those of 1 MB that are read there are many.
Without numpy, a class that hands its buffer to pickle out of band stands in for the array.
Never: keeps the argument in the actor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import cycle
from typing import Any

from benchmarks import floors
from benchmarks.actors import Payload, Weigher
from benchmarks.findings import Findings, Target
from benchmarks.rounds import Contender, Effort, Round, take_turns, timed
from procactors import ActorSystem

NAME = "payload"

LARGE = 100_000_000
SMALL = 1_000_000

#: Arrays of 1 MB that are sent in turn where they are read: together more than a core's own cache
#: holds, as with data that a program has just made or read.
MANY = 32


def made(size: int) -> Any:
    """Make an array of so many bytes, none of them zero pages; or what stands in for it."""
    try:
        import numpy as np
    except ImportError:
        return Payload(bytearray(b"procactor" * (size // 9 + 1))[:size])
    return np.arange(size // 8, dtype=np.int64)


@contextmanager
def asks(payloads: list[Any], calls: int, read: bool = False) -> Iterator[Round]:
    """Ask with each payload in turn as argument."""
    with ActorSystem() as system:
        weigher = system.spawn(Weigher)
        method, following = Weigher.total if read else Weigher.size, cycle(payloads)
        yield partial(timed, lambda: weigher.ask(method, next(following)), calls)


@contextmanager
def speeds(opened: AbstractContextManager[Round], size: int) -> Iterator[Round]:
    """Make MB/s of the µs that a contender's calls took with payloads of so many bytes."""
    with opened as turn:

        def faster() -> list[float]:
            took = turn()
            assert isinstance(took, list)  # such a contender has no processor time
            return [size / each for each in took]

        yield faster


def measure(effort: Effort) -> Findings:
    """Measure and compare: a ratio of 1 is the speed of the floor, 0.5 half of it."""
    findings = Findings(NAME)
    large, small = made(LARGE), made(SMALL)
    fresh = [made(SMALL) for _ in range(MANY)]
    few, many = effort.of(3), effort.of(100)
    segment, pipe = "kept segment and read, 1 MB", "stock Pipe and read, 1 MB"
    ours = "ask and read, 1 MB"
    take_turns(
        findings,
        [
            Contender(segment, "MB/s", speeds(floors.kept_segment(fresh, many), SMALL)),
            Contender(pipe, "MB/s", speeds(floors.piped_payload(fresh, many), SMALL)),
            Contender("memcpy, 100 MB", "µs", floors.memory_copies(large, few)),
            Contender("memcpy and read, 100 MB", "µs", floors.memory_copies(large, few, True)),
            Contender("memcpy, 1 MB", "µs", floors.memory_copies(small, many)),
            Contender("ask, 100 MB", "µs", asks([large], few)),
            Contender("ask and read, 100 MB", "µs", asks([large], few, True)),
            Contender("ask, 1 MB", "µs", asks([small], many)),
            Contender(ours, "MB/s", speeds(asks(fresh, many, True), SMALL)),
        ],
        effort.at_most(7),
    )
    # Speed is the inverse of time: the floor's time over ours is our share of its speed.
    findings.compare("100 MB", "memcpy, 100 MB", "ask, 100 MB", Target(least=0.5))
    findings.compare("100 MB, read", "memcpy and read, 100 MB", "ask and read, 100 MB")
    findings.compare("1 MB", "memcpy, 1 MB", "ask, 1 MB")
    findings.compare("1 MB, read / kept segment", ours, segment, Target(least=0.7))
    findings.compare("1 MB, read / stock Pipe", ours, pipe)
    return findings
