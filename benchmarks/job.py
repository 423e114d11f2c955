"""A job for the processor alone: what the runtime adds to it.

Measures: µs for the same pieces of work (primes by trial division) done in this process one after
the other, by one actor, by one actor a usable core, and by bare forked processes.
How: in turns. All pieces are alike, so the ideal on n cores is the n-th part of the serial time;
the bare processes get their whole share in one order and show what this machine allows of that
ideal.
Never: divides the work unevenly, or counts the start of processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks import floors
from benchmarks.actors import Sieve
from benchmarks.findings import Findings, Series, Target
from benchmarks.rounds import Contender, Effort, Round, take_turns, timed
from procactors import ActorSystem

NAME = "job"

#: The numbers of one piece: some 25 ms of work.
START, STOP = 100_000, 130_000

#: Pieces in a round on up to eight cores; more cores get two each.
PIECES = 16


@contextmanager
def serially(pieces: int) -> Iterator[Round]:
    """Do all pieces in this process."""
    sieve = Sieve()

    def work() -> None:
        for _ in range(pieces):
            sieve.count(START, STOP)

    yield partial(timed, work, 1)


@contextmanager
def by_actors(actors: int, pieces: int) -> Iterator[Round]:
    """Submit all pieces, one message each, to some actors in turn, and gather the replies."""
    with ActorSystem() as system:
        sieves = [system.spawn(Sieve) for _ in range(actors)]

        def work() -> None:
            replies = [
                sieves[piece % actors].submit(Sieve.count, START, STOP) for piece in range(pieces)
            ]
            for reply in replies:
                reply.result()

        yield partial(timed, work, 1)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    findings = Findings(NAME)
    cores = len(os.sched_getaffinity(0))
    each = effort.of(max(2, PIECES // cores))
    pieces = each * cores
    serial, one = "serial", "one actor"
    every, bare = f"{cores} actors", f"{cores} bare forked processes"
    take_turns(
        findings,
        [
            Contender(bare, "µs", floors.forked_work(cores, each, START, STOP)),
            Contender(serial, "µs", serially(pieces)),
            Contender(one, "µs", by_actors(1, pieces)),
            Contender(every, "µs", by_actors(cores, pieces)),
        ],
        effort.at_most(7),
    )
    ideal = f"ideal: serial / {cores}"
    findings.series += [
        Series(ideal, "µs", [[took / cores for took in samples] for samples in series.rounds])
        for series in findings.series
        if series.name == serial
    ]
    findings.compare(f"{every} / ideal", every, ideal, Target(most=1.03))
    findings.compare(f"{every} / bare processes", every, bare)
    findings.compare("one actor / serial", one, serial, Target(most=1.03))
    return findings
