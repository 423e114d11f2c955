"""Fork-join throughput: one sends messages to several in turn, each does a little work for each.

Measures: what it costs to keep several receivers busy from one sender.
How: tells to each actor in turn, then an ask to each; beside it, a pipe to each process.
Never: several messages in one write.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection

from benchmarks.findings import Findings
from benchmarks.rounds import Effort, Round
from benchmarks.savina.bare import all_of, orders, processes
from benchmarks.savina.contest import check, contest, run
from procactors import Actor, ActorSystem

WORKERS, MESSAGES = 4, 3_000


class Performer(Actor):
    """Does the same small work for each message."""

    def __init__(self) -> None:
        self.done = 0

    def perform(self, value: float) -> None:
        """Work."""
        math.sin(value) ** 2
        self.done += 1

    def take(self) -> int:
        """Answer how many were done, and begin anew."""
        done, self.done = self.done, 0
        return done


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Tell some actors in turn."""
    messages = effort.of(MESSAGES)
    with ActorSystem() as system:
        performers = [system.spawn(Performer) for _ in range(WORKERS)]

        def work() -> None:
            for number in range(messages):
                for performer in performers:
                    performer.tell(Performer.perform, number / messages)
            done = [performer.submit(Performer.take) for performer in performers]
            check([reply.result() for reply in done], [messages] * WORKERS)

        yield partial(run, work)


def _performer(pipe: Connection, number: int) -> None:
    done = 0
    for value in orders(pipe):
        if value == "take":
            pipe.send(done)
            done = 0
        else:
            math.sin(value) ** 2
            done += 1


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Send to some processes in turn."""
    messages = effort.of(MESSAGES)
    with processes(WORKERS, _performer) as performers:

        def work() -> None:
            for number in range(messages):
                for performer in performers:
                    performer.send(number / messages)
            check(all_of(performers, "take"), [messages] * WORKERS)

        yield partial(run, work)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("fork-join throughput", actors, bare, effort)
