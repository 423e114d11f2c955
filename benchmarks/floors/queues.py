"""The stock Queue: a request and its reply, and messages one way.

Measures: µs a call, messages a second.
How: `multiprocessing.Queue` there; back, one pipe for all or a fresh one for each.
Never: does without the queue's feeder thread, whose work counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.actors import Held
from benchmarks.floors.child import (
    child,
    fork,
    handled,
)
from benchmarks.places import FREE, Place
from benchmarks.processor import costed
from benchmarks.rounds import Round, rate, timed


def _serve_queue(queue: Any, back: Connection) -> None:
    """Serve from a stock Queue; the reply goes to the request's own pipe or the common one."""
    counter = Held()
    while (item := queue.get()) is not None:
        request, port = item
        reply = handled(counter, request)
        if port is None:
            back.send(reply)
        elif port is not False:  # False: nobody waits for this one
            port.send(reply)
            port.close()


@contextmanager
def queue_child() -> Iterator[tuple[Any, Connection, int | None]]:
    """Keep a process behind a stock Queue; yields the queue, the pipe back, and its id."""
    queue, (reader, writer) = fork.Queue(), fork.Pipe(duplex=False)
    with child(_serve_queue, queue, writer) as process:
        try:
            yield queue, reader, process.pid
        finally:
            queue.put(None)
    queue.close()
    queue.join_thread()
    reader.close()
    writer.close()


@contextmanager
def queue_calls_reused_pipe(calls: int, place: Place = FREE) -> Iterator[Round]:
    """Ask through a stock Queue, with one pipe back for all calls."""
    with queue_child() as (queue, reader, pid):
        place.settle(pid)

        def call() -> int:
            queue.put(((1, "add", (1,), {}), None))
            return int(reader.recv()[1])

        yield costed(partial(timed, call, calls), calls, [pid])


@contextmanager
def queue_calls_fresh_pipe(calls: int, place: Place = FREE) -> Iterator[Round]:
    """Ask through a stock Queue, with a new pipe for each call, sent along in the message."""
    with queue_child() as (queue, _, pid):
        place.settle(pid)

        def call() -> int:
            reader, writer = fork.Pipe(duplex=False)
            with reader, writer:
                queue.put(((1, "add", (1,), {}), writer))
                return int(reader.recv()[1])

        yield partial(timed, call, calls)


@contextmanager
def queue_one_way(messages: int, place: Place = FREE) -> Iterator[Round]:
    """Send one way through a stock Queue, up to the last message's being handled."""
    with queue_child() as (queue, reader, pid):
        place.settle(pid)

        def send() -> None:
            for _ in range(messages - 1):
                queue.put(((1, "add", (1,), {}), False))
            queue.put(((1, "add", (1,), {}), None))
            reader.recv()

        yield costed(partial(rate, send, messages), messages, [pid])
