"""Many items on all cores: a pool's `map` beside those of others.

Measures: items a second of `x * x` over 20 000 numbers with two processes: `pool.map` as it comes,
`multiprocessing.Pool.map` as it comes, and `ProcessPoolExecutor.map` with the best of several chunk
sizes: the one with the highest median. Joblib and mpire stand beside where they are installed; the
floor is two bare processes that get their share as one list. The same with one item a message. Then
µs for pieces of work for the CPU (primes) mapped over all usable cores, and for arrays of 100 MB
mapped over two workers beside a copy of the same bytes.
How: in turns. Processes are started before; those of the standard library are forked before any
thread runs. A round has five maps; with one item a message one, of a part of the numbers.
Never: gives the pool a chunk size, but for one item a message.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from time import perf_counter_ns
from typing import Any

from benchmarks import floors
from benchmarks.actors import Sieve, Weigher, square, view_of
from benchmarks.findings import Findings, Series, Target
from benchmarks.job import PIECES, START, STOP, serially
from benchmarks.payload import made
from benchmarks.rounds import Contender, Effort, Round, installed, rate, take_turns, timed
from procactors import ActorSystem

NAME = "pool"

ITEMS = 20_000
WORKERS = 2

#: Maps of tiny items in a round.
REPEATS = 5

#: Sizes of which the executor's best counts: from several messages a process to one.
CHUNKS = (500, 1_000, 2_500, 5_000, 10_000)

LARGE = 100_000_000


def _all(squares: Any, items: int) -> None:
    """Take all results, and see that they are right."""
    found = list(squares)
    if found[-1] != (items - 1) ** 2 or len(found) != items:
        raise RuntimeError(f"expected {items} squares, found {len(found)}")


def _rates(work: Callable[[], object], operations: int) -> list[float]:
    """Do the work some times in a row: a few milliseconds alone are too short for a sample."""
    return [found for _ in range(REPEATS) for found in rate(work, operations)]


@contextmanager
def pool_maps(items: int) -> Iterator[Round]:
    """Map over a pool as it comes."""
    with ActorSystem() as system, system.options(size=WORKERS).pool() as pool:
        yield partial(_rates, lambda: _all(pool.map(square, range(items)), items), items)


@contextmanager
def pool_singles(items: int) -> Iterator[Round]:
    """Map over a pool, one item a message."""
    with ActorSystem() as system, system.options(size=WORKERS).pool() as pool:
        yield partial(rate, lambda: _all(pool.map(square, range(items), chunk=1), items), items)


@contextmanager
def stock_pool_maps(items: int, chunk: int | None = None) -> Iterator[Round]:
    """Map over `multiprocessing.Pool`, in its own chunks or in those of one size."""
    with get_context("fork").Pool(WORKERS) as pool:

        def work() -> None:
            _all(pool.map(square, range(items), chunksize=chunk), items)

        yield partial(rate if chunk == 1 else _rates, work, items)


@contextmanager
def executor_maps(items: int, chunk: int) -> Iterator[Round]:
    """Map over the standard library's pool with one chunk size."""
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("fork")) as executor:
        list(executor.map(square, range(WORKERS * 10)))  # forks now

        def work() -> None:
            _all(executor.map(square, range(items), chunksize=chunk), items)

        yield partial(rate if chunk == 1 else _rates, work, items)


@contextmanager
def joblib_maps(items: int) -> Iterator[Round]:
    """Map by joblib with its own processes and its own batches."""
    joblib = installed("joblib")

    with joblib.Parallel(n_jobs=WORKERS) as parallel:

        def work() -> None:
            _all(parallel(joblib.delayed(square)(number) for number in range(items)), items)

        work()
        yield partial(_rates, work, items)


@contextmanager
def mpire_maps(items: int) -> Iterator[Round]:
    """Map by mpire with its own chunks."""
    mpire = installed("mpire")

    with mpire.WorkerPool(n_jobs=WORKERS, start_method="spawn", keep_alive=True) as pool:
        work = partial(_mpire_map, pool, items)
        work()
        yield partial(_rates, work, items)


def _mpire_map(pool: Any, items: int) -> None:
    _all(pool.map(square, range(items)), items)


@contextmanager
def mapped_pieces(workers: int, pieces: int) -> Iterator[Round]:
    """Map pieces of work for the CPU over a pool."""
    with ActorSystem() as system, system.options(size=workers).pool(Sieve) as pool:

        def work() -> None:
            list(pool.starmap(Sieve.count, [(START, STOP)] * pieces))

        yield partial(timed, work, 1)


@contextmanager
def mapped_arrays(payload: Any) -> Iterator[Round]:
    """Map an array for each worker over a pool."""
    with ActorSystem() as system, system.options(size=WORKERS).pool(Weigher) as pool:

        def work() -> None:
            list(pool.map(Weigher.size, [payload] * WORKERS))

        yield partial(timed, work, 1)


@contextmanager
def copied_arrays(payload: Any) -> Iterator[Round]:
    """Copy the same bytes as often, to memory that is mapped already."""
    with floors.memory_copies(payload, 1) as copy:

        def copies() -> list[float]:
            before = perf_counter_ns()
            for _ in range(WORKERS):
                copy()
            return [(perf_counter_ns() - before) / 1_000]

        yield copies


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    findings = Findings(NAME)
    _measure_tiny(findings, effort)
    _measure_singles(findings, effort)
    _measure_pieces(findings, effort)
    _measure_arrays(findings, effort)
    return findings


def _measure_tiny(findings: Findings, effort: Effort) -> None:
    ours, bare = f"pool.map, {WORKERS} workers", f"{WORKERS} bare workers, one list each"
    chunked = [f"ProcessPoolExecutor.map, chunk of {size}" for size in CHUNKS]
    stock = "multiprocessing.Pool.map"
    others = [
        Contender("joblib", "items/s", joblib_maps(ITEMS)),
        Contender("mpire", "items/s", mpire_maps(ITEMS)),
    ]
    take_turns(
        findings,
        [
            Contender(bare, "items/s", floors.batched_items(WORKERS, ITEMS)),
            Contender(stock, "items/s", stock_pool_maps(ITEMS)),
            *(
                Contender(name, "items/s", executor_maps(ITEMS, size))
                for name, size in zip(chunked, CHUNKS, strict=True)
            ),
            Contender(ours, "items/s", pool_maps(ITEMS)),
            *others,
        ],
        effort,
    )
    peers = [stock, *chunked, *(other.name for other in others)]
    findings.compare("map of tiny items / best peer", ours, findings.best(peers), Target(least=1.2))
    findings.compare(
        "map of tiny items / ProcessPoolExecutor, best chunk", ours, findings.best(chunked)
    )
    findings.compare("map of tiny items / bare workers", ours, bare)
    for other in others:
        findings.compare(f"map of tiny items / {other.name}", ours, other.name)


def _measure_singles(findings: Findings, effort: Effort) -> None:
    """One item a message, for those who need each result as soon as it is there."""
    ours, bare = "pool.map, chunk of 1", f"{WORKERS} bare workers, one item a message"
    stock, executor = "multiprocessing.Pool.map, chunk of 1", "ProcessPoolExecutor.map, chunk of 1"
    items, few = effort.of(ITEMS // 4), effort.of(ITEMS // 20)
    take_turns(
        findings,
        [
            Contender(bare, "items/s", floors.single_items(WORKERS, items)),
            Contender(stock, "items/s", stock_pool_maps(items, 1)),
            Contender(executor, "items/s", executor_maps(few, 1)),
            Contender(ours, "items/s", pool_singles(items)),
        ],
        effort,
    )
    findings.judge_measured(ours, Target(least=30_000))
    findings.compare("items one by one / multiprocessing.Pool", ours, stock, Target(least=1.0))
    findings.compare("items one by one / ProcessPoolExecutor", ours, executor)
    findings.compare("items one by one / bare workers", ours, bare)


def _measure_pieces(findings: Findings, effort: Effort) -> None:
    cores = len(os.sched_getaffinity(0))
    each = effort.of(max(2, PIECES // cores))
    pieces = each * cores
    serial, ours = "primes, serial", f"primes, mapped over {cores} workers"
    bare = f"primes, {cores} bare forked processes"
    take_turns(
        findings,
        [
            Contender(bare, "µs", floors.forked_work(cores, each, START, STOP)),
            Contender(serial, "µs", serially(pieces)),
            Contender(ours, "µs", mapped_pieces(cores, pieces)),
        ],
        effort.at_most(7),
    )
    ideal = f"primes, ideal: serial / {cores}"
    findings.series += [
        Series(ideal, "µs", [[took / cores for took in samples] for samples in series.rounds])
        for series in findings.series
        if series.name == serial
    ]
    findings.compare("primes by a pool / ideal", ours, ideal, Target(most=1.03))
    # What two processes without a word between them reach: on two threads of one core less than
    # twice the work of one.
    findings.compare("primes by a pool / bare processes", ours, bare, Target(most=1.03))


def _measure_arrays(findings: Findings, effort: Effort) -> None:
    payload = made(LARGE)
    copied, mapped = f"memcpy, {WORKERS} x 100 MB", f"pool.map, {WORKERS} x 100 MB"
    assert view_of(payload).nbytes == LARGE
    take_turns(
        findings,
        [
            Contender(copied, "µs", copied_arrays(payload)),
            Contender(mapped, "µs", mapped_arrays(payload)),
        ],
        effort.at_most(7),
    )
    # Speed is the inverse of time: memcpy's time over ours is our share of its speed.
    findings.compare(f"100 MB to {WORKERS} workers", copied, mapped, Target(least=0.5))
