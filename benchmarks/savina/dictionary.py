"""Concurrent dictionary: several workers read and write one dictionary, which is an actor's.

Measures: many callers of one actor, each waiting for its answer.
How: asks, one in ten of them a write. Beside it, a process that waits for many pipes.
Never: a lock: the actor handles one message at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection, wait

from benchmarks.findings import Findings
from benchmarks.rounds import Effort, Round
from benchmarks.savina.bare import Pipe, all_of, orders, processes
from benchmarks.savina.contest import check, contest, run
from procactors import Actor, ActorRef, ActorSystem

WORKERS, MESSAGES, WRITE_EACH = 4, 500, 10


class Dictionary(Actor):
    """Holds the entries."""

    def __init__(self) -> None:
        self.entries: dict[tuple[int, int], int] = {}

    def put(self, key: tuple[int, int], value: int) -> None:
        """Enter a value."""
        self.entries[key] = value

    def get(self, key: tuple[int, int]) -> int | None:
        """Answer a value, or None."""
        return self.entries.get(key)


class Worker(Actor):
    """Writes entries of its own, and reads them."""

    def __init__(self, number: int, dictionary: ActorRef[Dictionary]) -> None:
        self.number = number
        self.dictionary = dictionary

    def work(self, messages: int) -> int:
        """Send so many messages; answer how many reads found what was written last."""
        right = value = 0
        for message in range(messages):
            key = self.number, message // WRITE_EACH
            if message % WRITE_EACH == 0:
                value = message
                self.dictionary.ask(Dictionary.put, key, value)
            else:
                right += self.dictionary.ask(Dictionary.get, key) == value
        return right


def reads(messages: int) -> int:
    """Answer how many of the messages are reads."""
    return messages - -(-messages // WRITE_EACH)


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Ask an actor."""
    messages = effort.of(MESSAGES)
    with ActorSystem() as system:
        dictionary = system.spawn(Dictionary)
        workers = [system.spawn(Worker, number, dictionary) for number in range(WORKERS)]

        def work() -> None:
            found = [worker.submit(Worker.work, messages) for worker in workers]
            check([reply.result() for reply in found], [reads(messages)] * WORKERS)

        yield partial(run, work)


def _worker(pipe: Connection, number: int, pipes: list[tuple[Connection, Connection]]) -> None:
    dictionary = pipes[number][0]
    for messages in orders(pipe):
        right = value = 0
        for message in range(messages):
            key = number, message // WRITE_EACH
            if message % WRITE_EACH == 0:
                value = message
                dictionary.send(("put", key, value))
                dictionary.recv()
            else:
                dictionary.send(("get", key, None))
                right += dictionary.recv() == value
        pipe.send(right)


def _dictionary(pipe: Connection, number: int, pipes: list[tuple[Connection, Connection]]) -> None:
    entries: dict[tuple[int, int], int] = {}
    ends = [end for _, end in pipes]
    while True:
        for end in wait([pipe, *ends]):
            assert isinstance(end, Connection)
            message = end.recv()
            if message is None:
                return
            what, key, value = message
            if what == "put":
                entries[key] = value
            end.send(entries.get(key))


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Ask a process."""
    messages = effort.of(MESSAGES)
    pipes = [Pipe() for _ in range(WORKERS)]
    with processes(1, _dictionary, pipes), processes(WORKERS, _worker, pipes) as workers:
        yield partial(run, lambda: check(all_of(workers, messages), [reads(messages)] * WORKERS))


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("concurrent dictionary", actors, bare, effort)
