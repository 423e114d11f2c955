"""Many calls in flight: `submit` beside `ProcessPoolExecutor.submit`.

Measures: calls a second, from the first submit to the last result, all of a round submitted before
any result is read.
How: one actor beside a pool of one process, the same handler; a pool of two stands beside for
information. The pool's processes are forked before any thread runs.
Never: sends a chunk of calls as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context

from benchmarks.actors import Counter
from benchmarks.findings import Findings, Target
from benchmarks.rounds import Contender, Effort, Round, rate, take_turns
from procactors import ActorSystem

NAME = "submit"

_counter = Counter()


def _add(by: int) -> int:
    return _counter.add(by)


@contextmanager
def executor_submits(calls: int, processes: int) -> Iterator[Round]:
    """Submit to a pool of the standard library."""
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as executor:

        def work() -> None:
            for future in [executor.submit(_add, 1) for _ in range(calls)]:
                future.result()

        executor.submit(_add, 1).result()  # forks now, before another contender starts a thread
        yield partial(rate, work, calls)


@contextmanager
def submits(calls: int) -> Iterator[Round]:
    """Submit to one actor."""
    with ActorSystem() as system:
        counter = system.spawn(Counter)

        def work() -> None:
            for reply in [counter.submit(Counter.add, 1) for _ in range(calls)]:
                reply.result()

        yield partial(rate, work, calls)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    findings = Findings(NAME)
    calls = effort.of(3_000)
    one, two = "ProcessPoolExecutor, 1 process", "ProcessPoolExecutor, 2 processes"
    take_turns(
        findings,
        [
            Contender(one, "calls/s", executor_submits(calls, 1)),
            Contender(two, "calls/s", executor_submits(calls, 2)),
            Contender("submit", "calls/s", submits(calls)),
        ],
        effort,
    )
    findings.compare("submit / ProcessPoolExecutor.submit", "submit", one, Target(least=5.0))
    findings.compare("submit / ProcessPoolExecutor.submit, 2 processes", "submit", two)
    return findings
