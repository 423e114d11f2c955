"""Starts: spawn to first reply, and SIGKILL to next reply, beside a bare forked process.

Measures: ms from `spawn` to the reply of the first ask, and from `os.kill` to the reply of the next
ask; the processor time of the program, and that of the new process with the one it is forked from.
And how many actors a second come up where 50 are spawned.
How: single starts with a pause before each, in turns. The floor forks from a clean process with one
thread and sends one request. A system with spares stands beside the plain one; the pause gives it
the time to make a new spare, as a crash in real life would. A forked process has the handler's
module in memory already; the rows "preloaded" show ours with the same advantage.
Never: kills anything but the actors it spawned, by their process id.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns, process_time_ns, sleep

import psutil

from benchmarks import floors
from benchmarks.actors import Counter
from benchmarks.findings import Findings, Target
from benchmarks.places import FREE, Place
from benchmarks.processor import used_ns
from benchmarks.rounds import Contender, Costed, Effort, Round, rate, take_turns
from procactors import ActorRef, ActorSystem, errors

NAME = "spawn"

#: Seconds before each start: long enough for a spare to be made on a busy machine.
PAUSE_S = 0.05

#: Spare processes of the systems that keep any.
SPARES = 2

#: Actors that are spawned in a row.
CROWD = 50


def _ms_since(before: int) -> float:
    return (perf_counter_ns() - before) / 1_000_000


@contextmanager
def spawns(
    count: int, spares: int = 0, preload: tuple[str, ...] = (), place: Place = FREE
) -> Iterator[Round]:
    """Spawn an actor, ask it once, kill it; again and again in one system."""
    with ActorSystem(spares=spares, preload=preload) as system:
        forker = _forker(system)
        place.settle(forker)

        def start() -> Costed:
            took, caller, other = [], 0, 0
            for _ in range(count):
                sleep(PAUSE_S)
                before, here, there = perf_counter_ns(), process_time_ns(), used_ns(forker)
                counter = system.spawn(Counter)
                counter.ask(Counter.add, 1)
                took.append(_ms_since(before))
                caller += process_time_ns() - here
                other += used_ns(forker) - there
                other += used_ns(counter.status().pid or 0)
                counter.kill()
            return Costed(took, caller / count / 1_000, other / count / 1_000)

        yield start


def _forker(system: ActorSystem) -> int:
    """Answer the id of the process that a system forks its actors from."""
    first = system.spawn(Counter)
    pid = first.status().pid
    forker = psutil.Process(pid).ppid()
    first.kill()
    return forker


@contextmanager
def crowds(count: int) -> Iterator[Round]:
    """Spawn so many actors, ask them all, and stop them."""
    with ActorSystem() as system:

        def start() -> list[float]:
            counters: list[ActorRef[Counter]] = []

            def work() -> None:
                counters[:] = [system.spawn(Counter) for _ in range(count)]
                for reply in [counter.submit(Counter.add, 1) for counter in counters]:
                    reply.result()

            found = rate(work, count)
            for counter in counters:
                counter.kill()
            return found

        yield start


@contextmanager
def kills(count: int, spares: int = 0) -> Iterator[Round]:
    """Kill an actor's process while it is idle, and ask at once."""
    with ActorSystem(spares=spares) as system:
        counter = system.options(max_restarts=10**6).spawn(Counter)

        def crash() -> list[float]:
            took = []
            for _ in range(count):
                counter.ask(Counter.add, 1)
                pid = counter.status().pid
                sleep(PAUSE_S)
                if pid is None:
                    continue
                before = perf_counter_ns()
                os.kill(pid, signal.SIGKILL)
                try:
                    counter.ask(Counter.add, 1)
                except errors.ActorDied:  # taken in hand just before the signal arrived
                    counter.ask(Counter.add, 1)
                took.append(_ms_since(before))
            return took

        yield crash


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    findings = Findings(NAME)
    place, count = effort.place, effort.of(5)
    bare = "bare fork Process, start to first reply"
    spawn, spawn_spare = "spawn to first reply", "spawn to first reply, with spares"
    loaded, loaded_spare = f"{spawn}, preloaded", f"{spawn_spare}, preloaded"
    module = (Counter.__module__,)
    crash, crash_spare = "SIGKILL to next reply", "SIGKILL to next reply, with spares"
    deaths = [] if place is not FREE else [
        Contender(crash, "ms", kills(count)),
        Contender(crash_spare, "ms", kills(count, SPARES)),
    ]  # fmt: skip
    take_turns(
        findings,
        [
            Contender(bare, "ms", floors.fork_starts(count, PAUSE_S, place)),
            Contender(spawn, "ms", spawns(count, place=place)),
            Contender(spawn_spare, "ms", spawns(count, SPARES, place=place)),
            Contender(loaded, "ms", spawns(count, preload=module, place=place)),
            Contender(loaded_spare, "ms", spawns(count, SPARES, module, place)),
            *deaths,
        ],
        effort,
    )
    findings.compare("spawn to first reply / bare fork", spawn, bare, Target(most=2.0, later=1.5))
    findings.compare(
        "spawn with a spare / bare fork", spawn_spare, bare, Target(most=1.2, later=1.0)
    )
    findings.compare("spawn to first reply, preloaded / bare fork", loaded, bare)
    findings.compare("spawn with a spare, preloaded / bare fork", loaded_spare, bare)
    findings.compare_costs(spawn, bare)
    findings.compare_costs(spawn_spare, bare)
    if place is FREE:
        findings.compare("SIGKILL to next reply / own spawn", crash, spawn, Target(most=1.5))
        findings.compare(
            "SIGKILL to next reply with a spare / own spawn", crash_spare, spawn, Target(most=1.0)
        )
        _measure_crowds(findings, effort)
    return findings


def _measure_crowds(findings: Findings, effort: Effort) -> None:
    ours, bare = f"spawn, {CROWD} actors", f"bare fork Process, {CROWD} of them"
    take_turns(
        findings,
        [
            Contender(bare, "starts/s", floors.fork_crowds(CROWD)),
            Contender(ours, "starts/s", crowds(CROWD)),
        ],
        effort.at_most(5),
    )
    findings.judge_measured(ours, Target(least=200, later=300))
    findings.compare(f"{CROWD} actors / bare processes", ours, bare)
