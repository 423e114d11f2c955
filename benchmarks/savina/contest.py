"""A benchmark of the suite: actors beside bare processes, in turns, both with the answer checked.

Measures: ms for one whole run, processes being there already.
How: rounds of `benchmarks.rounds`; the bare processes are forked first, before any thread runs.
Never: counts a run whose answer is wrong: the contender is left out, with a note.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from time import perf_counter_ns

from benchmarks.findings import Findings
from benchmarks.rounds import Contender, Effort, Round, take_turns

ACTORS, BARE = "actors", "bare processes"

#: Opens one side of a benchmark with an effort.
Side = Callable[[Effort], AbstractContextManager[Round]]


class WrongAnswer(Exception):
    """What was computed is not what it has to be."""


def check(found: object, expected: object) -> None:
    """Refuse a wrong answer."""
    if found != expected:
        raise WrongAnswer(f"expected {expected!r}, found {found!r}")


def run(work: Callable[[], object]) -> list[float]:
    """Do the work once and answer how long it took, in ms."""
    before = perf_counter_ns()
    work()
    return [(perf_counter_ns() - before) / 1_000_000]


def contest(name: str, actors: Side, bare: Side, effort: Effort) -> Findings:
    """Measure both sides of a benchmark and compare."""
    findings = Findings(name)
    take_turns(
        findings,
        [Contender(BARE, "ms", bare(effort)), Contender(ACTORS, "ms", actors(effort))],
        effort,
    )
    findings.compare(f"{name}: {ACTORS} / {BARE}", ACTORS, BARE)
    return findings
