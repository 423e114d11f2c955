"""Shared data: an array of 500 MB that 8 actors read, beside copies of the same bytes in memory.

Measures: µs to share 500 MB (5 * 10^8 bytes) in a file that is written again, and in a fresh one;
beside both, a copy to memory that is mapped already, and one to fresh memory. Then the memory that
all processes take in sum (PSS: what several have mapped counts once) while 8 actors hold what they
have read to the last byte.
How: times in turns; memory once, as what came on top of the same 8 actors with a small share read.
Without numpy, a class that hands its buffer to pickle out of band stands in for the array.
Never: counts the parent's own array, which was there before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from time import perf_counter_ns
from typing import Any

import psutil

from benchmarks import floors
from benchmarks.actors import Holder, view_of
from benchmarks.findings import Findings, Series, Target
from benchmarks.payload import made
from benchmarks.rounds import Contender, Effort, Round, take_turns, timed
from procactors import ActorSystem

NAME = "share"

LARGE = 500_000_000
SMALL = 1_000

READERS = 8

MB = 1_000_000


@contextmanager
def shares(payload: Any, calls: int) -> Iterator[Round]:
    """Share and release, in one file."""
    with ActorSystem() as system:
        system.share(payload).release()
        yield partial(timed, lambda: system.share(payload).release(), calls)


@contextmanager
def fresh_shares(payload: Any) -> Iterator[Round]:
    """Share as the first thing that a system does."""

    def share() -> list[float]:
        with ActorSystem() as system:
            before = perf_counter_ns()
            system.share(payload)
            return [(perf_counter_ns() - before) / 1_000]

    yield share


@contextmanager
def fresh_copies(payload: Any, calls: int) -> Iterator[Round]:
    """Copy to memory that nobody has touched yet."""
    yield partial(timed, lambda: bytearray(view_of(payload)), calls)


@contextmanager
def gets(payload: Any, calls: int) -> Iterator[Round]:
    """Map in the parent, and let go again."""
    with ActorSystem() as system, system.share(payload) as shared:
        yield partial(timed, shared.get, calls)


def _memory_mb() -> float:
    """Answer what this process and all that descend from it take, shared pages counted once."""
    here = psutil.Process()
    processes = (here, *here.children(recursive=True))
    return sum(process.memory_full_info().pss for process in processes) / MB


def _readers_mb(payload: Any) -> float:
    with ActorSystem() as system, system.share(payload) as shared:
        readers = [system.spawn(Holder) for _ in range(READERS)]
        small = system.share(made(SMALL))
        for reader in readers:
            reader.ask(Holder.hold, small)
        before = _memory_mb()
        for reader in readers:
            reader.ask(Holder.hold, shared)
        return _memory_mb() - before


def measure(effort: Effort) -> Findings:
    """Measure and compare: of times, a ratio of 1 is the speed of memcpy, 0.5 half of it."""
    findings = Findings(NAME)
    large, few = made(LARGE), effort.of(3)
    take_turns(
        findings,
        [
            Contender("memcpy, 500 MB", "µs", floors.memory_copies(large, few)),
            Contender("copy to fresh memory, 500 MB", "µs", fresh_copies(large, 1)),
            Contender("share, 500 MB, file used again", "µs", shares(large, few)),
            Contender("share, 500 MB, fresh file", "µs", fresh_shares(large)),
            Contender("get, 500 MB", "µs", gets(large, effort.of(100))),
        ],
        effort.at_most(3),
    )
    findings.compare("share, used again", "memcpy, 500 MB", "share, 500 MB, file used again")
    findings.compare("share, fresh", "copy to fresh memory, 500 MB", "share, 500 MB, fresh file")
    copy = Series("one copy", "MB", [[view_of(large).nbytes / MB]])
    held = Series(f"{READERS} readers of it, in sum", "MB", [[_readers_mb(large)]])
    findings.series += [copy, held]
    findings.compare(f"memory, {READERS} readers", held.name, copy.name, Target(most=1.1))
    return findings
