"""Calls, streams of calls, items of a pool and starts on a Ray cluster: ours beside bare Ray.

Measures: µs a call, of one at a time and of many under way; µs an item of a pool; ms from a start
to the first answer.
How: one Ray on this machine, which both use, and actors that take none of its CPUs. Ours and bare
ones take turns. `ray.util.ActorPool` is the peer of `pool.map`: once as users write it, an item a
message, and ours both so (chunk=1) and as it is.
Never: measures a network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from time import perf_counter_ns
from typing import Any

from benchmarks.actors import Counter, square
from benchmarks.findings import Findings, Target
from benchmarks.rounds import Absent, Contender, Effort, Round, installed, take_turns, timed
from procactors import ActorSystem
from procactors.errors import InvalidSpec

NAME = "ray"

#: Calls of a round, one after the other and all at once; items of a map; actors of a pool.
CALLS, MANY, ITEMS, SIZE = 300, 1_000, 1_000, 2


class Squarer:
    """Answers squares, as a pool's function does."""

    def square(self, number: int) -> int:
        """Answer the square of a number."""
        return square(number)


@contextmanager
def system() -> Iterator[Any]:
    """Give a system on the Ray that runs."""
    try:
        with ActorSystem(backend="ray") as system:
            yield system
    except InvalidSpec as error:  # of a checkout from before there was one
        raise Absent(str(error)) from error


@contextmanager
def bare_call(ray: Any, calls: int) -> Iterator[Round]:
    """Call an actor of Ray's, and wait for each answer."""
    actor = ray.remote(num_cpus=0)(Counter).remote()
    yield partial(timed, lambda: ray.get(actor.add.remote(1)), calls)
    ray.kill(actor)


@contextmanager
def our_ask(calls: int) -> Iterator[Round]:
    """Ask an actor of ours."""
    with system() as running:
        counter = running.spawn(Counter)
        yield partial(timed, lambda: counter.ask(Counter.add, 1), calls)


@contextmanager
def bare_calls(ray: Any, calls: int) -> Iterator[Round]:
    """Have many calls under way to an actor of Ray's."""
    actor = ray.remote(num_cpus=0)(Counter).remote()
    yield partial(each, lambda: ray.get([actor.add.remote(1) for _ in range(calls)]), calls)
    ray.kill(actor)


@contextmanager
def our_submits(calls: int) -> Iterator[Round]:
    """Have many calls under way to an actor of ours."""
    with system() as running:
        counter = running.spawn(Counter)

        def work() -> None:
            for reply in [counter.submit(Counter.add, 1) for _ in range(calls)]:
                reply.result()

        yield partial(each, work, calls)


@contextmanager
def our_tells(calls: int) -> Iterator[Round]:
    """Tell an actor of ours, and ask behind them."""
    with system() as running:
        counter = running.spawn(Counter)

        def work() -> None:
            for _ in range(calls - 1):
                counter.tell(Counter.add, 1)
            counter.ask(Counter.add, 1)

        yield partial(each, work, calls)


@contextmanager
def actor_pool(ray: Any, items: int) -> Iterator[Round]:
    """Map over a pool of Ray's."""
    from ray.util import ActorPool

    cls = ray.remote(num_cpus=0)(Squarer)
    actors = [cls.remote() for _ in range(SIZE)]
    pool = ActorPool(actors)

    def work() -> None:
        found = list(pool.map(lambda actor, item: actor.square.remote(item), range(items)))
        assert found[-1] == (items - 1) ** 2

    yield partial(each, work, items)
    for actor in actors:
        ray.kill(actor)


@contextmanager
def our_pool(items: int, chunk: int | str) -> Iterator[Round]:
    """Map over a pool of ours."""
    with system() as running, running.options(size=SIZE).pool() as pool:

        def work() -> None:
            assert list(pool.map(square, range(items), chunk=chunk))[-1] == (items - 1) ** 2

        yield partial(each, work, items)


@contextmanager
def bare_start(ray: Any) -> Iterator[Round]:
    """Start an actor of Ray's, and wait for its first answer."""
    cls = ray.remote(num_cpus=0)(Counter)

    def turn() -> list[float]:
        before = perf_counter_ns()
        actor = cls.remote()
        ray.get(actor.add.remote(1))
        took = perf_counter_ns() - before
        ray.kill(actor)
        return [took / 1e6]

    yield turn


@contextmanager
def our_start() -> Iterator[Round]:
    """Spawn an actor of ours, and wait for its first answer."""
    with system() as running:

        def turn() -> list[float]:
            before = perf_counter_ns()
            counter = running.spawn(Counter)
            counter.ask(Counter.add, 1)
            took = perf_counter_ns() - before
            counter.stop()
            return [took / 1e6]

        yield turn


def each(work: Any, operations: int) -> list[float]:
    """Do the work once, and answer the µs of each of its operations as one sample."""
    before = perf_counter_ns()
    work()
    return [(perf_counter_ns() - before) / operations / 1_000]


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    findings = Findings(NAME)
    try:
        ray = installed("ray")
    except Absent as absence:
        findings.notes.append(f"all of it left out: {absence}")
        return findings
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    calls, many, items = effort.of(CALLS), effort.of(MANY), effort.of(ITEMS)
    try:
        take_turns(
            findings,
            [
                Contender("bare Ray call", "µs", bare_call(ray, calls)),
                Contender("ask", "µs", our_ask(calls)),
                Contender("bare Ray calls, many under way", "µs", bare_calls(ray, many)),
                Contender("submit, many under way", "µs", our_submits(many)),
                Contender("tell", "µs", our_tells(many)),
                Contender("ray.util.ActorPool.map", "µs", actor_pool(ray, items)),
                Contender("pool.map, chunk of 1", "µs", our_pool(items, 1)),
                Contender("pool.map", "µs", our_pool(items, "auto")),
                Contender("bare Ray actor, start to first answer", "ms", bare_start(ray)),
                Contender("spawn to first answer", "ms", our_start()),
            ],
            effort,
        )
    finally:
        ray.shutdown()
    findings.compare("ask / bare Ray call", "ask", "bare Ray call", Target(most=1.2))
    findings.compare(
        "submit / bare Ray calls", "submit, many under way", "bare Ray calls, many under way"
    )
    findings.compare(
        "pool.map / ActorPool.map", "pool.map", "ray.util.ActorPool.map", Target(most=1.1)
    )
    findings.compare(
        "pool.map, chunk of 1 / ActorPool.map", "pool.map, chunk of 1", "ray.util.ActorPool.map"
    )
    findings.compare(
        "spawn / bare Ray actor",
        "spawn to first answer",
        "bare Ray actor, start to first answer",
    )
    return findings
