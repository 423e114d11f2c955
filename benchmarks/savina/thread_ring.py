"""Thread ring: a token goes round a ring of actors until it has gone so many steps.

Measures: what it costs to hand something on, with one process awake at a time.
How: each node tells the next; the last one tells the main program's inbox. Beside it, processes
with a pipe from each to the next.
Never: two tokens.
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

NODES, STEPS = 10, 2_000


class Node(Actor):
    """One of the ring."""

    def __init__(self, number: int, home: ActorRef[object]) -> None:
        self.number = number
        self.home = home
        self.next: ActorRef[Node]

    def link(self, after: ActorRef[Node]) -> None:
        """Come to know the next one."""
        self.next = after

    def take(self, steps: int) -> None:
        """Hand the token on, or tell where it has come to rest."""
        if steps:
            self.next.tell(Node.take, steps - 1)
        else:
            self.home.tell(self.number)


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Send a token round a ring of actors."""
    steps = effort.of(STEPS)
    with ActorSystem() as system:
        inbox = system.inbox()
        nodes = [system.spawn(Node, number, inbox.ref) for number in range(NODES)]
        for number, node in enumerate(nodes):
            node.ask(Node.link, nodes[(number + 1) % NODES])

        def turn() -> None:
            nodes[0].tell(Node.take, steps)
            check(inbox.receive(), steps % NODES)

        yield partial(run, turn)


def _node(
    pipe: Connection,
    number: int,
    pipes: list[tuple[Connection, Connection]],
    home: Connection,
) -> None:
    before, after = pipes[number][0], pipes[(number + 1) % NODES][1]
    while (steps := before.recv()) >= 0:
        if steps:
            after.send(steps - 1)
        else:
            home.send(number)
    if number < NODES - 1:
        after.send(-1)


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Send a token round a ring of processes."""
    steps = effort.of(STEPS)
    pipes = [Pipe(duplex=False) for _ in range(NODES)]
    arrivals, home = Pipe(duplex=False)
    first = pipes[0][1]
    with processes(NODES, _node, pipes, home):

        def turn() -> None:
            first.send(steps)
            check(arrivals.recv(), steps % NODES)

        try:
            yield partial(run, turn)
        finally:
            first.send(-1)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("thread ring", actors, bare, effort)
