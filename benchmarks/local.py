"""Actors in one process: messages and calls a second inline and in threads, and orders explored.

Measures: tells a second, from the first to the last one handled; asks a second, one at a time; runs
a second of `explore` over a program of two actors and a lost update to be found; and the processor
time that one of each takes.
How: one actor on each backend, the handler of the other subjects. All is in this process, so there
is no other side.
Never: stands beside processes: what is measured there is another thing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks.actors import Counter
from benchmarks.findings import Findings
from benchmarks.processor import costed
from benchmarks.rounds import Contender, Effort, Round, rate, take_turns
from procactors import ActorSystem
from procactors.testing import explore

NAME = "local"


class AsyncCounter:
    """A counter that awaits another one."""

    def __init__(self, other: Any) -> None:
        self.other = other

    async def add(self, by: int) -> int:
        """Ask the other one."""
        return int(await self.other.aio.ask(Counter.add, by))


@contextmanager
def tells(backend: str, calls: int) -> Iterator[Round]:
    """Tell one actor, and ask it behind them."""
    with ActorSystem(backend=backend) as system:
        counter = system.spawn(Counter)

        def work() -> None:
            for _ in range(calls):
                counter.tell(Counter.add, 1)
            counter.ask(Counter.add, 0)

        yield costed(partial(rate, work, calls), calls, [])


@contextmanager
def asks(backend: str, calls: int) -> Iterator[Round]:
    """Ask one actor."""
    with ActorSystem(backend=backend) as system:
        counter = system.spawn(Counter)

        def work() -> None:
            for _ in range(calls):
                counter.ask(Counter.add, 1)

        yield costed(partial(rate, work, calls), calls, [])


@contextmanager
def awaited(backend: str, calls: int) -> Iterator[Round]:
    """Submit to an actor that awaits another one for each."""
    with ActorSystem(backend=backend) as system:
        there = system.options(max_concurrency=16).spawn(AsyncCounter, system.spawn(Counter))

        def work() -> None:
            for reply in [there.submit(AsyncCounter.add, 1) for _ in range(calls)]:
                reply.result()

        yield costed(partial(rate, work, calls), calls, [])


class Store:
    """A value that is read and written by messages of their own."""

    def __init__(self) -> None:
        self.value = 0

    def get(self) -> int:
        """Answer the value."""
        return self.value

    def put(self, value: int) -> None:
        """Take another value."""
        self.value = value


class Incrementer:
    """Reads, and then writes."""

    def __init__(self, store: Any) -> None:
        self.store = store

    def increment(self) -> None:
        """Add one to what it has read."""
        self.store.tell(Store.put, self.store.ask(Store.get) + 1)


def _program(system: Any) -> None:
    store = system.spawn(Store)
    both = [system.spawn(Incrementer, store) for _ in range(2)]
    for reply in [one.submit(Incrementer.increment) for one in both]:
        reply.result()


@contextmanager
def explored(runs: int) -> Iterator[Round]:
    """Run a small program under many orders."""
    yield costed(partial(rate, partial(explore, _program, seeds=runs), runs), runs, [])


def measure(effort: Effort) -> Findings:
    """Measure: there is nothing to compare with."""
    findings = Findings(NAME)
    many, few = effort.of(20_000), effort.of(1_000)
    take_turns(
        findings,
        [
            Contender("inline, tell", "messages/s", tells("inline", many)),
            Contender("threads, tell", "messages/s", tells("threads", many)),
            Contender("inline, ask", "calls/s", asks("inline", few)),
            Contender("threads, ask", "calls/s", asks("threads", few)),
            Contender("inline, submit to coroutines", "calls/s", awaited("inline", few)),
            Contender("threads, submit to coroutines", "calls/s", awaited("threads", few)),
            Contender("explore", "runs/s", explored(effort.of(100))),
        ],
        effort,
    )
    return findings
