"""Many calls in flight: `submit` beside bare pipes and `ProcessPoolExecutor.submit`.

Measures: calls a second, from the first submit to the last result, all of a round submitted before
any result is read; and the processor time of both sides.
How: one actor beside a pool of one process, the same handler; a pool of two stands beside for
information. The pool's processes are forked before any thread runs. Through bare pipes all requests
of a round are written, one write each, and then the replies read, which come by one write each.
Never: sends a chunk of calls as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context

from benchmarks import floors
from benchmarks.actors import Counter
from benchmarks.findings import Findings, Target
from benchmarks.places import FREE, Place
from benchmarks.processor import costed
from benchmarks.rounds import Contender, Effort, Round, rate, take_turns
from procactors import ActorSystem

NAME = "submit"

_counter = Counter()


def _add(by: int) -> int:
    return _counter.add(by)


@contextmanager
def executor_submits(calls: int, processes: int, place: Place = FREE) -> Iterator[Round]:
    """Submit to a pool of the standard library."""
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as executor:

        def work() -> None:
            for future in [executor.submit(_add, 1) for _ in range(calls)]:
                future.result()

        executor.submit(_add, 1).result()  # forks now, before another contender starts a thread
        workers = list(executor._processes or ())
        for pid in workers:
            place.settle(pid)
        yield costed(partial(rate, work, calls), calls, workers)


@contextmanager
def submits(calls: int, place: Place = FREE) -> Iterator[Round]:
    """Submit to one actor."""
    with ActorSystem() as system:
        counter = system.spawn(Counter)
        pid = counter.status().pid
        place.settle(pid)

        def work() -> None:
            for reply in [counter.submit(Counter.add, 1) for _ in range(calls)]:
                reply.result()

        yield costed(partial(rate, work, calls), calls, [pid])


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    findings = Findings(NAME)
    place, calls, few = effort.place, effort.of(3_000), effort.of(1_000)
    pipes = "bare pipes, pipelined"
    one, two = "ProcessPoolExecutor, 1 process", "ProcessPoolExecutor, 2 processes"
    take_turns(
        findings,
        [
            Contender(pipes, "calls/s", floors.pipelined_pipe_calls(calls, place)),
            Contender(one, "calls/s", executor_submits(few, 1, place)),
            Contender(two, "calls/s", executor_submits(few, 2, place)),
            Contender("submit", "calls/s", submits(calls, place)),
        ],
        effort,
    )
    findings.compare("submit / bare pipes", "submit", pipes, Target(least=0.6, later=0.8))
    findings.compare("submit / ProcessPoolExecutor.submit", "submit", one, Target(least=5.0))
    findings.compare("submit / ProcessPoolExecutor.submit, 2 processes", "submit", two)
    findings.compare_costs("submit", pipes)
    return findings
