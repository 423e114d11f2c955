"""Trapezoidal approximation: an integral, cut into pieces that workers add up.

Measures: work for the processor that is given out and gathered.
How: a pool's `starmap` over the pieces; beside it, one order to each process.
Never: pieces of different sizes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection

from benchmarks.findings import Findings
from benchmarks.rounds import Effort, Round
from benchmarks.savina.bare import orders, processes
from benchmarks.savina.contest import check, contest, run
from procactors import ActorSystem

#: Bounds of the integral, and trapezoids in all of it.
LEFT, RIGHT, TRAPEZOIDS = 1.0, 5.0, 100_000

WORKERS = len(os.sched_getaffinity(0))
PIECES = 4 * WORKERS


def curve(x: float) -> float:
    """Answer the function's value; its integral is known."""
    return 1.0 / x


def area(left: float, right: float, trapezoids: int) -> float:
    """Answer the area of so many trapezoids below the curve."""
    width = (right - left) / trapezoids
    inner = sum(curve(left + number * width) for number in range(1, trapezoids))
    return width * ((curve(left) + curve(right)) / 2 + inner)


def pieces(trapezoids: int, count: int) -> list[tuple[float, float, int]]:
    """Answer the arguments of `area` for so many pieces of the whole."""
    edges = [LEFT + (RIGHT - LEFT) * number / count for number in range(count + 1)]
    each = max(10, trapezoids // count)
    return [(edges[number], edges[number + 1], each) for number in range(count)]


def check_area(found: float) -> None:
    """Refuse an area that is not that of the integral."""
    check(math.isclose(found, math.log(RIGHT / LEFT), rel_tol=1e-3), True)


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Map the pieces over a pool."""
    parts = pieces(effort.of(TRAPEZOIDS), PIECES)
    with ActorSystem() as system, system.options(size=WORKERS).pool() as pool:
        yield partial(run, lambda: check_area(sum(pool.starmap(area, parts))))


def _worker(pipe: Connection, number: int) -> None:
    for parts in orders(pipe):
        pipe.send(sum(area(*part) for part in parts))


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Give each process its share of the pieces."""
    parts = pieces(effort.of(TRAPEZOIDS), PIECES)
    with processes(WORKERS, _worker) as workers:

        def work() -> None:
            for number, worker in enumerate(workers):
                worker.send(parts[number::WORKERS])
            check_area(sum(worker.recv() for worker in workers))

        yield partial(run, work)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("trapezoidal approximation", actors, bare, effort)
