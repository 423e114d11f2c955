"""Starts: spawn to first reply, and SIGKILL to next reply, beside a bare forked process.

Measures: ms from `spawn` to the reply of the first ask, and from `os.kill` to the reply of the next
ask.
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
from time import perf_counter_ns, sleep

from benchmarks import floors
from benchmarks.actors import Counter
from benchmarks.findings import Findings, Target
from benchmarks.rounds import Contender, Effort, Round, take_turns
from procactors import ActorSystem, errors

NAME = "spawn"

#: Seconds before each start: long enough for a spare to be made on a busy machine.
PAUSE_S = 0.05

#: Spare processes of the systems that keep any.
SPARES = 2


def _ms_since(before: int) -> float:
    return (perf_counter_ns() - before) / 1_000_000


@contextmanager
def spawns(count: int, spares: int = 0, preload: tuple[str, ...] = ()) -> Iterator[Round]:
    """Spawn an actor, ask it once, kill it; again and again in one system."""
    with ActorSystem(spares=spares, preload=preload) as system:

        def start() -> list[float]:
            took = []
            for _ in range(count):
                sleep(PAUSE_S)
                before = perf_counter_ns()
                counter = system.spawn(Counter)
                counter.ask(Counter.add, 1)
                took.append(_ms_since(before))
                counter.kill()
            return took

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
    count = effort.of(5)
    bare = "bare fork Process, start to first reply"
    spawn, spawn_spare = "spawn to first reply", "spawn to first reply, with spares"
    loaded, loaded_spare = f"{spawn}, preloaded", f"{spawn_spare}, preloaded"
    module = (Counter.__module__,)
    crash, crash_spare = "SIGKILL to next reply", "SIGKILL to next reply, with spares"
    take_turns(
        findings,
        [
            Contender(bare, "ms", floors.fork_starts(count, PAUSE_S)),
            Contender(spawn, "ms", spawns(count)),
            Contender(spawn_spare, "ms", spawns(count, SPARES)),
            Contender(loaded, "ms", spawns(count, preload=module)),
            Contender(loaded_spare, "ms", spawns(count, SPARES, module)),
            Contender(crash, "ms", kills(count)),
            Contender(crash_spare, "ms", kills(count, SPARES)),
        ],
        effort,
    )
    findings.compare("spawn to first reply / bare fork", spawn, bare, Target(most=2.0))
    findings.compare("spawn with a spare / bare fork", spawn_spare, bare, Target(most=1.0))
    findings.compare("spawn to first reply, preloaded / bare fork", loaded, bare)
    findings.compare("spawn with a spare, preloaded / bare fork", loaded_spare, bare)
    findings.compare("SIGKILL to next reply / own spawn", crash, spawn, Target(most=2.0))
    findings.compare(
        "SIGKILL to next reply with a spare / own spawn", crash_spare, spawn, Target(most=1.0)
    )
    return findings
