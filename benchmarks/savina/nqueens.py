"""N queens: count the ways in which so many queens do not threaten each other.

Measures: pieces of work of very different sizes.
How: a pool maps the first two rows' positions, as they come; beside it, processes that take the
next piece from a queue.
Never: a piece for a process before it asks for one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.findings import Findings
from benchmarks.rounds import Effort, Round
from benchmarks.savina.bare import SimpleQueue, all_of, orders, processes
from benchmarks.savina.contest import check, contest, run
from procactors import ActorSystem

SIZE, LEAST = 8, 5

#: Known numbers of solutions.
SOLUTIONS = {5: 10, 6: 4, 7: 40, 8: 92, 9: 352}

WORKERS = len(os.sched_getaffinity(0))


def solutions(size: int, rows: tuple[int, ...]) -> int:
    """Count how a board whose first rows are set can be completed."""
    if len(rows) == size:
        return 1
    return sum(solutions(size, (*rows, column)) for column in range(size) if fits(rows, column))


def fits(rows: tuple[int, ...], column: int) -> bool:
    """Say whether a queen in the next row is not threatened."""
    return all(
        column != other and abs(column - other) != len(rows) - row for row, other in enumerate(rows)
    )


def beginnings(size: int) -> list[tuple[int, int]]:
    """Answer how the first two rows may be set."""
    return [(one, two) for one in range(size) for two in range(size) if fits((one,), two)]


def board(effort: Effort) -> int:
    """Answer the size of the board: at a part of the effort a smaller one."""
    return max(LEAST, SIZE - (effort.share < 1) - (effort.share < 0.1))


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Map the beginnings over a pool."""
    size = board(effort)
    with ActorSystem() as system, system.options(size=WORKERS).pool() as pool:
        count = partial(solutions, size)

        def work() -> None:
            found = pool.map(count, beginnings(size), ordered=False)
            check(sum(found), SOLUTIONS[size])

        yield partial(run, work)


def _worker(pipe: Connection, number: int, pieces: Any) -> None:
    for size in orders(pipe):
        found = 0
        while (rows := pieces.get()) is not None:
            found += solutions(size, rows)
        pipe.send(found)


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Let processes take the beginnings from a queue."""
    size, pieces = board(effort), SimpleQueue()
    with processes(WORKERS, _worker, pieces) as workers:

        def work() -> None:
            for rows in beginnings(size):
                pieces.put(rows)
            for _ in workers:
                pieces.put(None)
            check(sum(all_of(workers, size)), SOLUTIONS[size])

        yield partial(run, work)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("n queens", actors, bare, effort)
