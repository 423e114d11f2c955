"""Work given to bare workers: pieces for the processor, and items one by one or in lists.

Measures: µs for all, items a second.
How: workers are forked; each gets its share by a pipe of its own.
Never: balances between workers, tries again, or notices a death.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing.connection import Connection

from benchmarks.actors import Sieve, count_to, square
from benchmarks.floors.child import (
    END_S,
    FIRST,
    child,
    fork,
    whole_messages,
    wide_pipes,
)
from benchmarks.rounds import Round, rate, timed


def _serve_work(orders: Connection) -> None:
    sieve = Sieve()
    while (order := orders.recv()) is not None:
        times, start, stop = order
        orders.send([sieve.count(start, stop) for _ in range(times)])


@contextmanager
def forked_work(processes: int, times: int, start: int, stop: int) -> Iterator[Round]:
    """Do a piece of work so many times in each of some forked processes, one order to each."""
    with _batch_workers(processes, _serve_work) as ends:

        def work() -> None:
            for end in ends:
                end.send((times, start, stop))
            for end in ends:
                end.recv()

        yield partial(timed, work, 1)


def _serve_items(requests: int, replies: int) -> None:
    """Answer each item with its square: one write a reply, until killed."""
    for data in whole_messages(requests, len(pickle.dumps(FIRST, 5))):
        os.write(replies, pickle.dumps((square(pickle.loads(data)),), 5))


@contextmanager
def single_items(workers: int, items: int) -> Iterator[Round]:
    """Give workers one item after the other through bare pipes, one write each; read the squares.

    Squares differ in length, so the replies are counted by their pickles' ends.
    """
    with ExitStack() as stack:
        pipes = [stack.enter_context(wide_pipes()) for _ in range(workers)]
        for requests, _, _, replies in pipes:
            process = fork.Process(target=_serve_items, args=(requests, replies), daemon=True)
            process.start()
            stack.callback(process.join, END_S)
            stack.callback(process.terminate)
        ends = [
            (to_worker, os.fdopen(back, "rb", closefd=False)) for _, to_worker, back, _ in pipes
        ]

        def work() -> None:
            for number in range(items):
                os.write(ends[number % workers][0], pickle.dumps(FIRST + number, 5))
            for number in range(items):
                (found,) = pickle.load(ends[number % workers][1])
                if found != (FIRST + number) ** 2:
                    raise RuntimeError(f"item {number} came back as {found}")

        yield partial(rate, work, items)


def _serve_counts(requests: Connection) -> None:
    while (items := requests.recv()) is not None:
        requests.send([count_to(turns) for turns in items])


def _serve_batches(requests: Connection) -> None:
    while (numbers := requests.recv()) is not None:
        requests.send([square(number) for number in numbers])


@contextmanager
def _batch_workers(workers: int, serve: Callable[[Connection], None]) -> Iterator[list[Connection]]:
    """Keep workers, each behind a stock pipe; yields the pipes."""
    with ExitStack() as stack:
        ends = []
        for _ in range(workers):
            ours, theirs = fork.Pipe()
            stack.enter_context(child(serve, theirs))
            stack.callback(ours.send, None)
            ends.append(ours)
        yield ends


def _shared_out(ends: list[Connection], items: list[int]) -> list[int]:
    """Send each worker its whole share as one list, and answer all results in order."""
    share = -(-len(items) // len(ends))
    for number, end in enumerate(ends):
        end.send(items[number * share : (number + 1) * share])
    return [found for end in ends for found in end.recv()]


@contextmanager
def batched_items(workers: int, items: int) -> Iterator[Round]:
    """Give each worker its whole share as one list; read lists of squares."""
    with _batch_workers(workers, _serve_batches) as ends:

        def work() -> None:
            found = _shared_out(ends, list(range(items)))
            if len(found) != items or found[-1] != (items - 1) ** 2:
                raise RuntimeError(f"expected {items} squares, found {len(found)}")

        yield partial(rate, work, items)


@contextmanager
def counted_items(workers: int, items: list[int]) -> Iterator[Round]:
    """Have workers count, each its whole share; answers how long all took, in µs."""
    with _batch_workers(workers, _serve_counts) as ends:

        def work() -> None:
            if _shared_out(ends, items) != items:
                raise RuntimeError("not every item was counted")

        yield partial(timed, work, 1)
