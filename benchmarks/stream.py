"""Items from one process to another: `stream` and `feed` beside `multiprocessing.Queue`.

Measures: items a second, from the call to the last item, of small items: a number, a row, a dict.
How: one producer and one consumer; the queue's producer is forked before any thread runs, and makes
items whenever it is told to. All take turns.
Never: puts lists of items into the queue: that would be another program.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Any

from benchmarks.findings import Findings, Target
from benchmarks.rounds import Contender, Effort, Round, rate, take_turns
from procactors import Actor, ActorSystem, feed

NAME = "stream"

_KINDS = ("number", "row", "dict")


def _items(kind: str, count: int) -> Iterator[Any]:
    for number in range(count):
        if kind == "number":
            yield number
        elif kind == "row":
            yield number, "a row", 0.5
        else:
            yield {"number": number}


class Producer(Actor):
    """Streams items, and reads what it is fed."""

    def items(self, kind: str, count: int) -> Iterator[Any]:
        """Yield that many."""
        yield from _items(kind, count)

    def count(self, items: Iterator[Any]) -> int:
        """Read all."""
        return sum(1 for _ in items)


def _fill(orders: Any, queue: Any) -> None:
    while (order := orders.get()) is not None:
        for item in _items(*order):
            queue.put(item)


@contextmanager
def queued(kind: str, count: int) -> Iterator[Round]:
    """Take items out of a bounded queue that another process fills."""
    context = get_context("fork")
    orders, queue = context.SimpleQueue(), context.Queue(64)
    process = context.Process(target=_fill, args=(orders, queue), daemon=True)
    process.start()

    def work() -> None:
        orders.put((kind, count))
        for _ in range(count):
            queue.get()

    yield partial(rate, work, count)
    orders.put(None)
    process.join()


@contextmanager
def streamed(kind: str, count: int, buffer: int = 64) -> Iterator[Round]:
    """Read a stream of an actor."""
    with ActorSystem() as system:
        producer = system.spawn(Producer).options(buffer=buffer)

        def work() -> None:
            assert sum(1 for _ in producer.stream(Producer.items, kind, count)) == count

        yield partial(rate, work, count)


@contextmanager
def fed(kind: str, count: int) -> Iterator[Round]:
    """Feed an actor."""
    with ActorSystem() as system:
        producer = system.spawn(Producer)

        def work() -> None:
            assert producer.ask(Producer.count, feed(_items(kind, count))) == count

        yield partial(rate, work, count)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    findings = Findings(NAME)
    many, few = effort.of(60_000), effort.of(6_000)
    contenders = []
    for kind in _KINDS:
        contenders += [
            Contender(f"Queue(64), {kind}", "items/s", queued(kind, few)),
            Contender(f"stream, {kind}", "items/s", streamed(kind, many)),
            Contender(f"feed, {kind}", "items/s", fed(kind, many)),
        ]
    contenders.append(
        Contender("stream, buffer=1024, number", "items/s", streamed("number", many, 1024))
    )
    take_turns(findings, contenders, effort)
    for kind in _KINDS:
        queue = f"Queue(64), {kind}"
        findings.compare(f"stream / Queue, {kind}", f"stream, {kind}", queue, Target(least=2.0))
        findings.compare(f"feed / Queue, {kind}", f"feed, {kind}", queue, Target(least=2.0))
    return findings
