"""Recursive matrix multiplication: blocks of the product, cut into four until they are small.

Measures: pieces of work that need two large values which all of them read.
How: the matrices are shared once, and a pool maps the blocks; what travels is where a block is.
Beside it, each process is sent both matrices and its blocks.
Never: a library for matrices: what is measured is how work gets to processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection

from benchmarks.findings import Findings
from benchmarks.rounds import Effort, Round
from benchmarks.savina.bare import orders, processes
from benchmarks.savina.contest import check, contest, run
from procactors import ActorSystem, Shared

SIDE, SMALL = 96, 24

WORKERS = len(os.sched_getaffinity(0))

Matrix = list[list[int]]
#: First row, first column, side.
Block = tuple[int, int, int]


def blocks(row: int, column: int, side: int) -> Iterator[Block]:
    """Yield the blocks of a square, cut into four until they are small."""
    if side <= SMALL or side % 2:
        yield row, column, side
        return
    half = side // 2
    for down in (0, half):
        for right in (0, half):
            yield from blocks(row + down, column + right, half)


def multiplied(left: Matrix, right: Matrix, block: Block) -> tuple[Block, Matrix]:
    """Answer one block of the product."""
    row, column, side = block
    columns = [[line[at] for line in right] for at in range(column, column + side)]
    rows = left[row : row + side]
    return block, [[sum(map(int.__mul__, one, other)) for other in columns] for one in rows]


def of_shared(shared: Shared[tuple[Matrix, Matrix]], block: Block) -> tuple[Block, Matrix]:
    """Do the same with matrices that are shared."""
    return multiplied(*shared.get(), block)


def made(side: int) -> Matrix:
    """Answer a matrix of small numbers."""
    return [[(row * column) % 7 for column in range(side)] for row in range(side)]


def joined(parts: Iterator[tuple[Block, Matrix]], side: int) -> Matrix:
    """Put the blocks together."""
    product = [[0] * side for _ in range(side)]
    for (row, column, width), lines in parts:
        for down, line in enumerate(lines):
            product[row + down][column : column + width] = line
    return product


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Map the blocks over a pool."""
    side = max(4, effort.of(SIDE))
    left = right = made(side)
    product = multiplied(left, right, (0, 0, side))[1]
    with ActorSystem() as system, system.options(size=WORKERS).pool() as pool:

        def multiply() -> None:
            with system.share((left, right)) as shared:
                each = partial(of_shared, shared)
                check(joined(pool.map(each, blocks(0, 0, side)), side), product)

        yield partial(run, multiply)


def _worker(pipe: Connection, number: int) -> None:
    for left, right, parts in orders(pipe):
        pipe.send([multiplied(left, right, block) for block in parts])


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Send each process both matrices and its blocks."""
    side = max(4, effort.of(SIDE))
    left = right = made(side)
    product = multiplied(left, right, (0, 0, side))[1]
    with processes(WORKERS, _worker) as workers:

        def multiply() -> None:
            parts = list(blocks(0, 0, side))
            for number, worker in enumerate(workers):
                worker.send((left, right, parts[number::WORKERS]))
            found = (part for worker in workers for part in worker.recv())
            check(joined(found, side), product)

        yield partial(run, multiply)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("recursive matrix multiplication", actors, bare, effort)
