"""Items of 1 µs to 1 s: what a pool's map leaves of the time of its workers.

Measures: per cent of the ideal, which is the same work in this process divided by the workers.
How: in turns. An item counts a loop whose length was found out before; all are given at once, and
the pool makes its own batches. `multiprocessing.Pool` stands beside with its own, and as the floor
bare processes that get their whole share as one list. On two threads of one core, or where others
use the machine, not even these reach 100.
Never: counts the start of a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from time import process_time_ns

from benchmarks import floors
from benchmarks.actors import count_to
from benchmarks.curves.curve import Curve, Curves, rounds_at
from benchmarks.findings import Findings, Series
from benchmarks.pool import WORKERS
from benchmarks.rounds import Contender, Effort, Round, take_turns, timed
from procactors import ActorSystem

#: Seconds of an item.
LENGTHS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)

#: Seconds of all items together, where that is not fewer items than workers ...
WORK_S = 0.4

#: ... nor more than so many.
MOST_ITEMS = 100_000

#: Turns of the loop whose time is taken to find out how many make a second.
SAMPLE = 2_000_000

Map = Callable[[Callable[[int], int], list[int]], Iterable[int]]


def turns_in(seconds: float) -> int:
    """Answer how many turns of the loop take so long."""
    before = process_time_ns()
    count_to(SAMPLE)
    return max(1, round(seconds * SAMPLE * 1_000_000_000 / (process_time_ns() - before)))


def _worked(mapped: Map, items: list[int]) -> None:
    if sum(mapped(count_to, items)) != sum(items):
        raise RuntimeError("not every item was counted")


@contextmanager
def serial(items: list[int]) -> Iterator[Round]:
    """Do all in this process."""
    yield partial(timed, partial(_worked, map, items), 1)


@contextmanager
def pool_maps(items: list[int]) -> Iterator[Round]:
    """Map over a pool as it comes."""
    with ActorSystem() as system, system.options(size=WORKERS).pool() as pool:
        yield partial(timed, partial(_worked, pool.map, items), 1)


@contextmanager
def stock_maps(items: list[int]) -> Iterator[Round]:
    """Map over `multiprocessing.Pool` as it comes."""
    with get_context("fork").Pool(WORKERS) as pool:
        yield partial(timed, partial(_worked, pool.map, items), 1)


def measure(effort: Effort) -> Curves:
    """Measure the curve."""
    curve = Curve("items", "Map of items that grow", "seconds an item", "% of the ideal")
    found = Curves("items", [curve])
    for length in LENGTHS[: len(LENGTHS) if effort.share == 1 else 5]:
        count = min(MOST_ITEMS, max(2 * WORKERS, round(WORK_S * effort.share / length)))
        items = [turns_in(length)] * count
        findings = Findings("items")
        take_turns(
            findings,
            [
                Contender("serial", "µs", serial(items)),
                Contender("bare workers", "µs", floors.counted_items(WORKERS, items)),
                Contender("multiprocessing.Pool.map", "µs", stock_maps(items)),
                Contender("pool.map", "µs", pool_maps(items)),
            ],
            rounds_at(effort, length >= 1),
        )
        alone, *shared = findings.series
        for series in shared:
            curve.add(length, _share(alone, series))
        found.notes += [f"at {length:g}: {note}" for note in findings.notes]
    return found


def _share(alone: Series, shared: Series) -> Series:
    """Answer per cent of the ideal, round by round."""
    pairs = zip(alone.medians, shared.medians, strict=True)
    return Series(shared.name, "%", [[100 * one / (WORKERS * several)] for one, several in pairs])
