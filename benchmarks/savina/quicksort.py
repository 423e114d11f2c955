"""Quicksort: a sorter splits its numbers and lets two others, which it starts, sort the halves.

Measures: processes that are started for a part of the work and end with it.
How: an actor spawns two children, submits the halves to them and joins what they answer. Beside it,
a process forks two, each with a pipe.
Never: more than two levels of them: below, a part is sorted in place.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection

from benchmarks.findings import Findings
from benchmarks.rounds import Effort, Round
from benchmarks.savina.bare import Pipe, fork, orders, processes
from benchmarks.savina.contest import check, contest, run
from procactors import Actor, ActorSystem

NUMBERS, LEVELS = 50_000, 2


def split(numbers: list[int]) -> tuple[list[int], list[int], list[int]]:
    """Answer what is less than one of them, what is equal, and what is more."""
    pivot = sorted((numbers[0], numbers[len(numbers) // 2], numbers[-1]))[1]
    return (
        [number for number in numbers if number < pivot],
        [number for number in numbers if number == pivot],
        [number for number in numbers if number > pivot],
    )


class Sorter(Actor):
    """Sorts."""

    def sort(self, numbers: list[int], levels: int) -> list[int]:
        """Sort, with so many levels of other sorters below."""
        if not levels or len(numbers) < 2:
            return sorted(numbers)
        less, equal, more = split(numbers)
        sorters = [self.context.spawn(Sorter) for _ in range(2)]
        halves = [
            sorter.submit(Sorter.sort, half, levels - 1)
            for sorter, half in zip(sorters, (less, more), strict=True)
        ]
        joined = halves[0].result() + equal + halves[1].result()
        for sorter in sorters:
            sorter.stop()
        return joined


def shuffled(count: int) -> list[int]:
    """Answer numbers in an order of chance, which is the same in each run."""
    chance = random.Random(1)
    return [chance.randrange(count) for _ in range(count)]


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Sort by actors that spawn actors."""
    numbers = shuffled(effort.of(NUMBERS))
    right = sorted(numbers)
    with ActorSystem() as system:
        first = system.spawn(Sorter)
        yield partial(run, lambda: check(first.ask(Sorter.sort, numbers, LEVELS), right))


def _sorted(numbers: list[int], levels: int) -> list[int]:
    if not levels or len(numbers) < 2:
        return sorted(numbers)
    less, equal, more = split(numbers)
    ends, sorters = [], []
    for half in (less, more):
        ours, theirs = Pipe()
        sorter = fork.Process(target=_sort, args=(theirs, levels - 1))
        sorter.start()
        theirs.close()
        ours.send(half)
        ends.append(ours)
        sorters.append(sorter)
    first, second = (end.recv() for end in ends)
    for sorter in sorters:
        sorter.join()
    return [*first, *equal, *second]


def _sort(pipe: Connection, levels: int) -> None:
    pipe.send(_sorted(pipe.recv(), levels))


def _first(pipe: Connection, number: int) -> None:
    for numbers in orders(pipe):
        pipe.send(_sorted(numbers, LEVELS))


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Sort by processes that fork processes."""
    numbers = shuffled(effort.of(NUMBERS))
    right = sorted(numbers)
    with processes(1, _first, daemon=False) as (first,):

        def sort() -> None:
            first.send(numbers)
            check(first.recv(), right)

        yield partial(run, sort)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("quicksort", actors, bare, effort)
