"""All-pairs shortest paths: Floyd and Warshall's algorithm, with some rows in each actor.

Measures: steps in which all need what one has just computed.
How: for each node, the owner of its row is asked for it, and all are told to relax by it: an
actor's mailbox keeps the order, so that nobody waits for the others. Beside it, one pipe a process.
Never: a step before its row is final.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection

from benchmarks.findings import Findings
from benchmarks.rounds import Effort, Round
from benchmarks.savina.bare import orders, processes
from benchmarks.savina.contest import check, contest, run
from procactors import Actor, ActorSystem

NODES, BLOCKS = 60, 4

Rows = list[list[int]]


class Block(Actor):
    """Holds some rows of the matrix of distances."""

    def __init__(self) -> None:
        self.rows: Rows = []

    def begin(self, rows: Rows) -> None:
        """Hold these rows from now on."""
        self.rows = rows

    def row(self, at: int) -> list[int]:
        """Answer a row."""
        return self.rows[at]

    def relax(self, over: int, row: list[int]) -> None:
        """Shorten all paths that are shorter over a node, of which this is the row."""
        self.rows = relaxed(self.rows, over, row)

    def take(self) -> Rows:
        """Answer all rows."""
        return self.rows


def relaxed(rows: Rows, over: int, row: list[int]) -> Rows:
    """Answer the rows with all paths that are shorter over a node, of which this is the row."""
    return [
        [min(direct, line[over] + rest) for direct, rest in zip(line, row, strict=True)]
        for line in rows
    ]


def graph(nodes: int) -> Rows:
    """Answer distances by chance, the same in each run."""
    chance = random.Random(1)
    return [
        [0 if one == other else chance.randint(1, 100) for other in range(nodes)]
        for one in range(nodes)
    ]


def shortest(rows: Rows) -> Rows:
    """Answer the shortest paths, computed here."""
    for over in range(len(rows)):
        rows = relaxed(rows, over, rows[over])
    return rows


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Compute by actors."""
    nodes = max(BLOCKS, effort.of(NODES))
    edges, right = graph(nodes), shortest(graph(nodes))
    size = -(-nodes // BLOCKS)
    with ActorSystem() as system:
        blocks = [system.spawn(Block) for _ in range(BLOCKS)]

        def compute() -> None:
            for number, block in enumerate(blocks):
                block.tell(Block.begin, edges[number * size : (number + 1) * size])
            for over in range(nodes):
                row = blocks[over // size].ask(Block.row, over % size)
                for block in blocks:
                    block.tell(Block.relax, over, row)
            check([row for block in blocks for row in block.ask(Block.take)], right)

        yield partial(run, compute)


def _block(pipe: Connection, number: int) -> None:
    rows: Rows = []
    for what, *values in orders(pipe):
        if what == "begin":
            (rows,) = values
        elif what == "relax":
            rows = relaxed(rows, *values)
        else:
            pipe.send(rows[values[0]] if what == "row" else rows)


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Compute by processes."""
    nodes = max(BLOCKS, effort.of(NODES))
    edges, right = graph(nodes), shortest(graph(nodes))
    size = -(-nodes // BLOCKS)
    with processes(BLOCKS, _block) as blocks:

        def compute() -> None:
            for number, block in enumerate(blocks):
                block.send(("begin", edges[number * size : (number + 1) * size]))
            for over in range(nodes):
                owner = blocks[over // size]
                owner.send(("row", over % size))
                row = owner.recv()
                for block in blocks:
                    block.send(("relax", over, row))
            for block in blocks:
                block.send(("take",))
            check([row for block in blocks for row in block.recv()], right)

        yield partial(run, compute)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("all-pairs shortest paths", actors, bare, effort)
