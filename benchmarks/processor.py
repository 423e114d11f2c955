"""Processor time: what a call costs both sides, whoever else uses the machine meanwhile.

Measures: the nanoseconds that all threads of a process have run, in user mode and in the kernel.
How: the kernel's own clock of each process, which counts while it runs and stands still while it
waits. Wall-clock time says how long a caller waits, and is wrong as soon as others want the core;
processor time says what the machine cannot do for others meanwhile, and hardly sees them.
Never: counts what interrupts and idle cores that wake up cost: no process is charged for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from time import clock_gettime_ns, process_time_ns, sleep

from benchmarks.rounds import Costed, Round

#: The kernel's name for "the time that the process has run", in the lowest bits of a clock's id.
_RUN_TIME = 2

#: Seconds after which whoever spins before it blocks has stopped. The kernel knows to the ns what a
#: process has run that does not run now; of one that runs on another core, it knows up to the tick.
_QUIET_S = 0.001


def used_ns(pid: int) -> int:
    """Answer how long all threads of a process have run so far; 0 if it is gone.

    The clock's id is made as `clock_getcpuclockid` of the C library does, which Python lacks.
    """
    with suppress(OSError):
        return clock_gettime_ns((~pid << 3) | _RUN_TIME)
    return 0


def costed(turn: Callable[[], list[float]], operations: int, others: Iterable[int | None]) -> Round:
    """Answer a round that says what an operation of it cost this process, and the others in sum.

    Args:
        turn: the round.
        operations: how many it has.
        others: process ids of the other side; None stands for one that could not be found.
    """
    pids = [pid for pid in others if pid is not None]

    def measured() -> Costed:
        sleep(_QUIET_S)
        there = sum(map(used_ns, pids))
        here = process_time_ns()
        samples = turn()
        here = process_time_ns() - here
        sleep(_QUIET_S)
        there = sum(map(used_ns, pids)) - there
        return Costed(samples, here / operations / 1_000, there / operations / 1_000)

    return measured
