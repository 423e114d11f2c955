"""Counting actor: one sends, the other counts.

Measures: what a one-way message costs, up to its being handled.
How: tells and a last ask; beside it, a pipe to a process that counts.
Never: several messages in one write.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection

from benchmarks.findings import Findings
from benchmarks.rounds import Effort, Round
from benchmarks.savina.bare import orders, processes
from benchmarks.savina.contest import check, contest, run
from procactors import Actor, ActorSystem

MESSAGES = 20_000


class Counter(Actor):
    """Counts."""

    def __init__(self) -> None:
        self.count = 0

    def increment(self) -> None:
        """Count one."""
        self.count += 1

    def take(self) -> int:
        """Answer the count, and begin anew."""
        count, self.count = self.count, 0
        return count


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Tell an actor."""
    messages = effort.of(MESSAGES)
    with ActorSystem() as system:
        counter = system.spawn(Counter)

        def count() -> None:
            for _ in range(messages):
                counter.tell(Counter.increment)
            check(counter.ask(Counter.take), messages)

        yield partial(run, count)


def _counter(pipe: Connection, number: int) -> None:
    count = 0
    for order in orders(pipe):
        if order == "increment":
            count += 1
        else:
            pipe.send(count)
            count = 0


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Send to a process."""
    messages = effort.of(MESSAGES)
    with processes(1, _counter) as (counter,):

        def count() -> None:
            for _ in range(messages):
                counter.send("increment")
            counter.send("take")
            check(counter.recv(), messages)

        yield partial(run, count)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("counting actor", actors, bare, effort)
