"""From 1 actor to 1 000: what each costs to start, and to have.

Measures: ms an actor until all have answered once, and MB that are an idle actor's own.
How: beside bare forked processes. Memory is that of 20 of them, asked once; not in turns, since it
does not depend on how busy the machine is.
Never: leaves one running.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from statistics import median
from time import perf_counter_ns

from benchmarks import floors
from benchmarks.actors import Counter
from benchmarks.curves.curve import Curve, Curves, rounds_at
from benchmarks.findings import Series
from benchmarks.memory import unique_mb
from benchmarks.rounds import Contender, Effort, Round
from procactors import ActorRef, ActorSystem

COUNTS = (1, 3, 10, 30, 100, 300, 1_000)

#: Processes whose memory is looked at: a look takes a millisecond.
LOOKED_AT = 20


def _roomy() -> None:
    """Allow as many open files as the machine does: an actor takes some of its parent."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def actors(count: int, memory: list[float]) -> Iterator[Round]:
    """Spawn so many actors in a new system, ask each, look at the memory of some."""

    def once() -> list[float]:
        with ActorSystem() as system:
            system.spawn(Counter)  # what all are forked from is there, as the floor's is
            before = perf_counter_ns()
            counters = [system.spawn(Counter) for _ in range(count)]
            for reply in [counter.submit(Counter.add, 1) for counter in counters]:
                reply.result()
            took = (perf_counter_ns() - before) / 1_000_000 / count
            memory[:] = map(_memory_of, counters[:LOOKED_AT])
        return [took]

    yield once


def _memory_of(counter: ActorRef[Counter]) -> float:
    return unique_mb(counter.status().pid or 0)


@contextmanager
def forks(count: int) -> Iterator[Round]:
    """Fork so many processes and ask each."""
    with floors.fork_crowds(count) as once:

        def milliseconds() -> list[float]:
            found = once()
            assert isinstance(found, list)
            return [1_000 / rate for rate in found]

        yield milliseconds


def measure(effort: Effort) -> Curves:
    """Measure both curves."""
    _roomy()
    starts = Curve("actors-start", "Start of an actor among many", "actors", "ms each")
    memory = Curve("actors-memory", "Memory of an idle actor among many", "actors", "MB each")
    found = Curves("actors", [starts, memory])
    for count in COUNTS[: len(COUNTS) if effort.share == 1 else 4]:
        with ExitStack() as stack:
            pids = [stack.enter_context(floors.idle_child()) for _ in range(min(count, LOOKED_AT))]
            bare = Series("bare fork", "MB", [[median(map(unique_mb, pids))]])
        ours: list[float] = []
        found.measure(
            count,
            [
                Contender("bare fork", "ms", forks(count)),
                Contender("procactors", "ms", actors(count, ours)),
            ],
            replace(rounds_at(effort, count > 100), warm_up=int(count <= 10)),
        )
        memory.add(count, bare)
        if ours:
            memory.add(count, Series("procactors", "MB", [[median(ours)]]))
    return found
