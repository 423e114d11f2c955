"""Calls, streams of calls, items of a pool and starts on a Ray cluster: ours beside bare Ray.

Measures: µs a call, of one at a time and of many under way; µs an item of a pool; ms from a start
to the first answer, and from a SIGKILL; µs a name that an actor looks up. Beside them what they
cost this process, and the actor's.
How: one Ray on this machine, which both use, and actors that take none of its CPUs. Ours and bare
ones take turns. `ray.util.ActorPool` is the peer of `pool.map`: once as users write it, an item a
message, and ours both so (chunk=1) and as it is.
Never: measures a network.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from time import perf_counter_ns, process_time_ns
from typing import Any

from benchmarks.actors import Counter, square
from benchmarks.findings import Findings, Target
from benchmarks.processor import costed
from benchmarks.rounds import Absent, Contender, Costed, Effort, Round, installed, take_turns, timed
from procactors import ActorSystem, current_context
from procactors.errors import ActorDied, InvalidSpec

NAME = "ray"

#: Calls of a round, one after the other and all at once; items of a map; actors of a pool.
CALLS, MANY, ITEMS, NAMES, SIZE = 300, 1_000, 1_000, 200, 2


class Worker(Counter):
    """Counts, answers squares as a pool's function does, and says what its process is."""

    def square(self, number: int) -> int:
        """Answer the square of a number."""
        return square(number)

    def process(self) -> tuple[int, int]:
        """Answer this process's id, and how many ns of processor time it has taken."""
        return os.getpid(), process_time_ns()

    def ask_each(self, other: Any, times: int) -> None:
        """Ask another actor, so many times."""
        for _ in range(times):
            other.ask(Worker.add, 1)

    def look_up(self, name: str, times: int) -> None:
        """Look a name up, so many times."""
        system = current_context().system
        for _ in range(times):
            system.find(name)


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
    actor = ray.remote(num_cpus=0)(Worker).remote()
    pid, _ = ray.get(actor.process.remote())
    turn = partial(timed, lambda: ray.get(actor.add.remote(1)), calls)
    yield costed(turn, calls, [pid])
    ray.kill(actor)


@contextmanager
def our_ask(calls: int) -> Iterator[Round]:
    """Ask an actor of ours."""
    with system() as running:
        counter = running.spawn(Worker)
        pid, _ = counter.ask(Worker.process)
        turn = partial(timed, lambda: counter.ask(Worker.add, 1), calls)
        yield costed(turn, calls, [pid])


@contextmanager
def bare_calls(ray: Any, calls: int) -> Iterator[Round]:
    """Have many calls under way to an actor of Ray's."""
    actor = ray.remote(num_cpus=0)(Worker).remote()
    yield partial(each, lambda: ray.get([actor.add.remote(1) for _ in range(calls)]), calls)
    ray.kill(actor)


@contextmanager
def our_submits(calls: int) -> Iterator[Round]:
    """Have many calls under way to an actor of ours."""
    with system() as running:
        counter = running.spawn(Worker)

        def work() -> None:
            for reply in [counter.submit(Worker.add, 1) for _ in range(calls)]:
                reply.result()

        yield partial(each, work, calls)


@contextmanager
def our_tells(calls: int) -> Iterator[Round]:
    """Tell an actor of ours, and ask behind them."""
    with system() as running:
        counter = running.spawn(Worker)

        def work() -> None:
            for _ in range(calls - 1):
                counter.tell(Worker.add, 1)
            counter.ask(Worker.add, 1)

        yield partial(each, work, calls)


@contextmanager
def actor_pool(ray: Any, items: int) -> Iterator[Round]:
    """Map over a pool of Ray's."""
    from ray.util import ActorPool

    cls = ray.remote(num_cpus=0)(Worker)
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

        pids = [worker.status().pid for worker in pool.workers()]
        yield costed(partial(each, work, items), items, pids)


@contextmanager
def bare_start(ray: Any) -> Iterator[Round]:
    """Start an actor of Ray's, and wait for its first answer."""
    cls = ray.remote(num_cpus=0)(Worker)

    def turn() -> Costed:
        before, here = perf_counter_ns(), process_time_ns()
        actor = cls.remote()
        _, there = ray.get(actor.process.remote())
        took, here = perf_counter_ns() - before, process_time_ns() - here
        ray.kill(actor)
        return Costed([took / 1e6], here / 1e3, there / 1e3)

    yield turn


@contextmanager
def our_start() -> Iterator[Round]:
    """Spawn an actor of ours, and wait for its first answer."""
    with system() as running:

        def turn() -> Costed:
            before, here = perf_counter_ns(), process_time_ns()
            counter = running.spawn(Worker)
            _, there = counter.ask(Worker.process)
            took, here = perf_counter_ns() - before, process_time_ns() - here
            counter.stop()
            return Costed([took / 1e6], here / 1e3, there / 1e3)

        yield turn


@contextmanager
def our_restart() -> Iterator[Round]:
    """Kill an actor's process, and wait for the first answer of its next life."""
    with system() as running:
        counter = running.options(max_restarts=10_000).spawn(Worker)

        def turn() -> list[float]:
            pid, _ = counter.ask(Worker.process)
            before = perf_counter_ns()
            os.kill(pid, signal.SIGKILL)
            now = pid
            while now == pid:  # it may be faster than the signal, or in hand when that comes
                with suppress(ActorDied):
                    now, _ = counter.ask(Worker.process)
            return [(perf_counter_ns() - before) / 1e6]

        yield turn


@contextmanager
def our_lookup(names: int) -> Iterator[Round]:
    """Have an actor look a name up."""
    with system() as running:
        looker = running.options(name="looker").spawn(Worker)
        pid, _ = looker.ask(Worker.process)

        def work() -> None:
            looker.ask(Worker.look_up, "looker", names)

        yield costed(partial(each, work, names), names, [pid])


@contextmanager
def our_talk(calls: int) -> Iterator[Round]:
    """Have an actor ask another: by way of this process."""
    with system() as running:
        asker, counter = running.spawn(Worker), running.spawn(Worker)
        pid, _ = asker.ask(Worker.process)

        def work() -> None:
            asker.ask(Worker.ask_each, counter, calls)

        yield costed(partial(each, work, calls), calls, [pid])


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
    ray.init("local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
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
                Contender("SIGKILL to next answer", "ms", our_restart()),
                Contender("an actor asks another", "µs", our_talk(effort.of(NAMES))),
                Contender("a name looked up by an actor", "µs", our_lookup(effort.of(NAMES))),
            ],
            effort,
        )
    finally:
        ray.shutdown()
    findings.compare("ask / bare Ray call", "ask", "bare Ray call", Target(most=1.2))
    findings.compare_costs("ask", "bare Ray call")
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
