"""Bounded buffer: producers wait while consumers have their hands full.

Measures: sending to a mailbox that is mostly full.
How: actors with ``mailbox=``: a tell waits for a free place. Beside it, stock queues with the same
number of places.
Never: more than that under way to one consumer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.findings import Findings
from benchmarks.rounds import Effort, Round
from benchmarks.savina.bare import Queue, all_of, orders, processes
from benchmarks.savina.contest import check, contest, run
from procactors import Actor, ActorRef, ActorSystem

PRODUCERS, CONSUMERS, PLACES, ITEMS = 3, 2, 50, 2_000


class Consumer(Actor):
    """Takes items."""

    def __init__(self) -> None:
        self.total = 0

    def consume(self, item: int) -> None:
        """Take one."""
        self.total += item

    def take(self) -> int:
        """Answer the sum of all, and begin anew."""
        total, self.total = self.total, 0
        return total


class Producer(Actor):
    """Makes items."""

    def __init__(self, consumers: list[ActorRef[Consumer]]) -> None:
        self.consumers = consumers

    def produce(self, items: int) -> None:
        """Make so many, for the consumers in turn."""
        for item in range(items):
            self.consumers[item % CONSUMERS].tell(Consumer.consume, item)


def total(items: int) -> int:
    """Answer the sum of all items of all producers."""
    return PRODUCERS * sum(range(items))


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Send to actors with bounded mailboxes."""
    items = effort.of(ITEMS)
    with ActorSystem() as system:
        consumers = [system.options(mailbox=PLACES).spawn(Consumer) for _ in range(CONSUMERS)]
        producers = [system.spawn(Producer, consumers) for _ in range(PRODUCERS)]

        def work() -> None:
            for made in [producer.submit(Producer.produce, items) for producer in producers]:
                made.result()
            check(sum(consumer.ask(Consumer.take) for consumer in consumers), total(items))

        yield partial(run, work)


def _consumer(pipe: Connection, number: int, queues: list[Any]) -> None:
    for _ in orders(pipe):
        total, left = 0, PRODUCERS
        while left:
            item = queues[number].get()
            if item is None:
                left -= 1
            else:
                total += item
        pipe.send(total)


def _producer(pipe: Connection, number: int, queues: list[Any]) -> None:
    for items in orders(pipe):
        for item in range(items):
            queues[item % CONSUMERS].put(item)
        for queue in queues:
            queue.put(None)


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Send through stock queues with so many places."""
    items = effort.of(ITEMS)
    queues = [Queue(PLACES) for _ in range(CONSUMERS)]
    with (
        processes(CONSUMERS, _consumer, queues) as consumers,
        processes(PRODUCERS, _producer, queues) as producers,
    ):

        def work() -> None:
            for producer in producers:
                producer.send(items)
            check(sum(all_of(consumers, "begin")), total(items))

        yield partial(run, work)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("bounded buffer", actors, bare, effort)
