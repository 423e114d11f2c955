"""What an idle actor costs: memory of its own, processor time, descriptors of the parent.

Measures: MB that only this actor's process holds (USS: what its end would give back), CPU seconds
that the whole system burns while nobody sends anything, and open descriptors in the parent.
How: 100 actors that have each answered once, then silence; bare forked processes that did the same
stand beside. Not in turns: nothing here depends on how busy the machine is.
Never: sends anything during the silence.
"""

from __future__ import annotations

from time import sleep

import psutil

from benchmarks import floors
from benchmarks.actors import Counter
from benchmarks.findings import Findings, Series, Target
from benchmarks.rounds import Effort
from procactors import ActorRef, ActorSystem

NAME = "memory"

MB = 1_000_000


def unique_mb(pid: int) -> float:
    """Answer the memory that only this process holds."""
    return float(psutil.Process(pid).memory_full_info().uss) / MB


def _burnt_s() -> float:
    """Answer the CPU seconds so far of this process and of all that descend from it."""
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return float(sum(spent.user + spent.system for spent in times))


def _bare_mb() -> float:
    with floors.idle_child() as pid:
        return unique_mb(pid)


def _idle_mb(counters: list[ActorRef[Counter]]) -> list[float]:
    pids = (counter.status().pid for counter in counters)
    return [unique_mb(pid) for pid in pids if pid is not None]


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    findings = Findings(NAME)
    count, silence_s = effort.of(100), max(1.0, effort.share * 5.0)
    bare = [_bare_mb() for _ in range(3)]
    with ActorSystem() as system:
        descriptors = psutil.Process().num_fds()
        counters = [system.spawn(Counter) for _ in range(count)]
        for counter in counters:
            counter.ask(Counter.add, 1)
        sleep(0.2)  # whoever spins before it sleeps has stopped by now
        before = _burnt_s()
        sleep(silence_s)
        burnt = _burnt_s() - before
        descriptors = psutil.Process().num_fds() - descriptors
        unique = _idle_mb(counters)
    findings.judge(Series("idle actor, unique memory", "MB", [unique]), Target(most=3.0, later=2.5))
    findings.series += [
        Series("bare forked process, unique memory", "MB", [bare]),
        Series(f"{count} idle actors for {silence_s:g} s", "CPU s", [[burnt]]),
        Series("descriptors in the parent", "per actor", [[descriptors / count]]),
    ]
    return findings
