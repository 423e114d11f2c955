"""A process's start, by a bare fork.

Measures: ms up to the first reply, starts a second, and keeps idle ones.
How: from a clean process of one thread, the starter.
Never: forks from the measuring process once that has threads.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from time import perf_counter_ns, process_time_ns, sleep

from benchmarks.floors.child import (
    READ_BYTES,
    child,
    encode,
    fork,
)
from benchmarks.floors.pipes import blocking, serve_pipes
from benchmarks.places import FREE, Place
from benchmarks.processor import used_ns
from benchmarks.rounds import Costed, Round


@contextmanager
def _started(core: int | None = None) -> Iterator[tuple[int, int]]:
    """Fork a process and send it one request; yields its id and the end to read the reply from."""
    (requests, to_child), (from_child, replies) = os.pipe(), os.pipe()
    with child(serve_pipes, blocking, requests, replies, core) as process:
        os.write(to_child, encode(1, 1))
        try:
            yield process.pid or 0, from_child
        finally:
            os.write(to_child, pickle.dumps(None))
    for descriptor in (requests, to_child, from_child, replies):
        os.close(descriptor)


def _start_to_first_reply(core: int | None) -> tuple[float, float, float]:
    """Start one process, on one core if that is given.

    Returns:
        How long the first reply took, in ms; processor time of both sides until then, in µs.
    """
    before, here = perf_counter_ns(), process_time_ns()
    with _started(core) as (pid, from_child):
        os.read(from_child, READ_BYTES)
        took = (perf_counter_ns() - before) / 1_000_000
        there, here = used_ns(pid), process_time_ns() - here
    return took, here / 1_000, there / 1_000


def _starts_in_a_row(count: int) -> float:
    """Start processes, then read the first reply of each; answer how many that are a second."""
    before = perf_counter_ns()
    with ExitStack() as stack:
        for _, from_child in [stack.enter_context(_started()) for _ in range(count)]:
            os.read(from_child, READ_BYTES)
        took = perf_counter_ns() - before
    return count * 1_000_000_000 / took


def _serve_starts(orders: Connection, measuring: Connection) -> None:
    measuring.close()  # or else the end of the measuring process would never show as end of file
    while (order := orders.recv()) is not None:
        begin, argument = order
        orders.send(begin(argument))


@contextmanager
def _starter() -> Iterator[tuple[Connection, int | None]]:
    """Keep a clean process of one thread that starts others; yields its channel, and its id.

    The measuring process itself cannot be the one that forks: the runtime under measure gives it
    threads, and a fork from a process with threads may deadlock.
    """
    ours, theirs = fork.Pipe()
    with child(_serve_starts, theirs, ours, daemon=False) as process:
        theirs.close()
        try:
            yield ours, process.pid
        finally:
            ours.send(None)
    ours.close()


@contextmanager
def fork_starts(count: int, pause_s: float, place: Place = FREE) -> Iterator[Round]:
    """Start bare forked processes from a clean process, with a pause before each."""
    with _starter() as (orders, pid):
        place.settle_caller(pid)

        def start() -> Costed:
            found = []
            for _ in range(count):
                sleep(pause_s)
                orders.send((_start_to_first_reply, place.core_there))
                found.append(orders.recv())
            took, here, there = (list(column) for column in zip(*found, strict=True))
            return Costed(took, sum(here) / count, sum(there) / count)

        yield start


@contextmanager
def fork_crowds(count: int) -> Iterator[Round]:
    """Start so many bare forked processes in a row, and end them all."""
    with _starter() as (orders, _):

        def start() -> list[float]:
            orders.send((_starts_in_a_row, count))
            return [orders.recv()]

        yield start


@contextmanager
def idle_child() -> Iterator[int]:
    """Keep a forked process that has answered one request; yields its process id."""
    with _started() as (pid, from_child):
        os.read(from_child, READ_BYTES)
        yield pid
