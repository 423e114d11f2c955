"""Big: each of many actors sends a ping to another one at random, and the next when it is answered.

Measures: many to many, with as many messages under way as there are actors.
How: tells both ways, refs of all others in each; who has done tells the main program's inbox.
Beside it, processes with a `SimpleQueue` each.
Never: a ping to oneself.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.findings import Findings
from benchmarks.rounds import Effort, Round
from benchmarks.savina.bare import SimpleQueue, processes
from benchmarks.savina.contest import check, contest, run
from procactors import Actor, ActorRef, ActorSystem

NODES, PINGS = 8, 300


class Node(Actor):
    """One of many."""

    def __init__(self, number: int, home: ActorRef[object]) -> None:
        self.home = home
        self.chance = random.Random(number)
        self.others: list[ActorRef[Node]] = []
        self.left = self.answered = 0

    def link(self, others: list[ActorRef[Node]]) -> None:
        """Come to know all others."""
        self.others = others

    def begin(self, pings: int) -> None:
        """Send the first of so many pings."""
        self.left, self.answered = pings, 0
        self.pong()

    def ping(self, sender: ActorRef[Node]) -> None:
        """Answer."""
        sender.tell(Node.pong)

    def pong(self) -> None:
        """Send the next ping, or say how many were answered."""
        if self.left:
            self.left -= 1
            self.answered += 1
            self.chance.choice(self.others).tell(Node.ping, self.context.ref)
        else:
            self.home.tell(self.answered)


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Send between actors."""
    pings = effort.of(PINGS)
    with ActorSystem() as system:
        inbox = system.inbox()
        nodes = [system.spawn(Node, number, inbox.ref) for number in range(NODES)]
        for node in nodes:
            node.ask(Node.link, [other for other in nodes if other != node])

        def send() -> None:
            for node in nodes:
                node.tell(Node.begin, pings)
            check([inbox.receive() for _ in nodes], [pings] * NODES)

        yield partial(run, send)


def _node(pipe: Connection, number: int, queues: list[Any], home: Any) -> None:
    chance = random.Random(number)
    others = [other for other in range(NODES) if other != number]
    left = answered = 0
    while (message := queues[number].get()) is not None:
        what, value = message
        if what == "ping":
            queues[value].put(("pong", 0))
            continue
        if what == "begin":
            left, answered = value, 0
        if left:
            left -= 1
            answered += 1
            queues[chance.choice(others)].put(("ping", number))
        else:
            home.put(answered)


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Send between processes."""
    pings = effort.of(PINGS)
    queues, home = [SimpleQueue() for _ in range(NODES)], SimpleQueue()
    with processes(NODES, _node, queues, home):

        def send() -> None:
            for queue in queues:
                queue.put(("begin", pings))
            check([home.get() for _ in queues], [pings] * NODES)

        try:
            yield partial(run, send)
        finally:
            for queue in queues:
                queue.put(None)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("big", actors, bare, effort)
