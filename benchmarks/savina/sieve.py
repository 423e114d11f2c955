"""Sieve of Eratosthenes: a pipeline of actors, each with some primes, whose multiples it drops.

Measures: a pipeline that grows while it works.
How: an actor whose hands are full spawns the next one, its child, and tells it the rest. Beside it,
a chain of processes that are there from the beginning.
Never: a number in two stages at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection

from benchmarks.findings import Findings
from benchmarks.rounds import Effort, Round
from benchmarks.savina.bare import Pipe, processes
from benchmarks.savina.contest import check, contest, run
from procactors import Actor, ActorRef, ActorSystem

#: The last number, and how many primes a stage holds.
LAST, HELD = 4_000, 150


class Stage(Actor):
    """Holds some primes."""

    def __init__(self) -> None:
        self.primes: list[int] = []
        self.next: ActorRef[Stage] | None = None

    def test(self, number: int) -> None:
        """Drop a number, hold it, or pass it on."""
        if any(number % prime == 0 for prime in self.primes):
            return
        if len(self.primes) < HELD:
            self.primes.append(number)
            return
        if self.next is None:
            self.next = self.context.spawn(Stage)
        self.next.tell(Stage.test, number)

    def take(self) -> int:
        """Answer how many primes are held from here on, and begin anew; the stages stay."""
        count = len(self.primes)
        self.primes.clear()
        return count + (self.next.ask(Stage.take) if self.next is not None else 0)


def primes_up_to(last: int) -> int:
    """Answer how many there are, by trial division."""
    return sum(
        all(number % divisor for divisor in range(2, int(number**0.5) + 1))
        for number in range(2, last + 1)
    )


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Tell the first stage all numbers."""
    last = max(20, effort.of(LAST))
    count = primes_up_to(last)
    with ActorSystem() as system:
        first = system.spawn(Stage)

        def work() -> None:
            for number in range(2, last + 1):
                first.tell(Stage.test, number)
            check(first.ask(Stage.take), count)

        yield partial(run, work)


def _stage(
    pipe: Connection,
    number: int,
    pipes: list[tuple[Connection, Connection]],
    home: Connection,
) -> None:
    before = pipes[number][0]
    after = pipes[number + 1][1] if number + 1 < len(pipes) else None
    primes: list[int] = []
    while (value := before.recv()) is not None:
        if value <= 0:  # the end of a round, and what the stages before hold
            value -= len(primes)
            primes.clear()
            (after or home).send(value)
        elif all(value % prime for prime in primes):
            if len(primes) < HELD or after is None:
                primes.append(value)
            else:
                after.send(value)
    if after is not None:
        after.send(None)


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Send the first process all numbers."""
    last = max(20, effort.of(LAST))
    count = primes_up_to(last)
    stages = -(-count // HELD)
    pipes = [Pipe(duplex=False) for _ in range(stages)]
    arrivals, home = Pipe(duplex=False)
    first = pipes[0][1]
    with processes(stages, _stage, pipes, home):

        def work() -> None:
            for number in range(2, last + 1):
                first.send(number)
            first.send(0)
            check(-arrivals.recv(), count)

        try:
            yield partial(run, work)
        finally:
            first.send(None)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("sieve", actors, bare, effort)
