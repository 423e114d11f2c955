"""Takes turns: runs all contenders of a subject round by round, in a rotating order.

Measures: nothing itself. A contender is a context manager that yields a function, and each call of
that function is one round and returns its samples.
How: all contenders are opened first (the forking ones first of all, while this process has one
thread), each warms up for one round, then come the rounds. A contender that fails is left out, with
a note.
Never: runs two contenders at once, sleeps, prints.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TypeVar

from benchmarks.findings import Findings, Series

T = TypeVar("T")

#: One round: measures, and returns its samples.
Round = Callable[[], list[float]]


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: rounds after the warm-up.
        share: part of the full number of calls in each round.
    """

    rounds: int = 11
    share: float = 1.0

    def of(self, calls: int) -> int:
        """Answer how many calls a round has that has ``calls`` at full effort; at least 1."""
        return max(1, int(calls * self.share))

    def more(self, times: int) -> Effort:
        """Answer an effort with so many times the rounds: for short and unsteady ones."""
        return Effort(self.rounds * times, self.share)

    def at_most(self, rounds: int) -> Effort:
        """Answer an effort with no more than so many rounds: for subjects with long ones."""
        return Effort(min(rounds, self.rounds), self.share)


FULL = Effort()
QUICK = Effort(rounds=5, share=0.2)


@dataclass(frozen=True)
class Contender:
    """One of those who take turns.

    Attributes:
        name: who it is, in words; the name of its series.
        unit: of one sample.
        opened: a context manager that starts what is needed, yields the round, and ends it all.
    """

    name: str
    unit: str
    opened: AbstractContextManager[Round]


def take_turns(findings: Findings, contenders: list[Contender], effort: Effort) -> None:
    """Measure the contenders in turn and add their series to the findings, in the order given.

    The order within a round is turned by one place each time: nobody always follows the same
    other.
    """
    samples: dict[str, list[list[float]]] = {}
    with ExitStack() as stack:
        rounds: dict[str, Round] = {}
        for contender in contenders:
            opened = _tried(findings, contender.name, stack.enter_context, contender.opened)
            if opened is not None:
                rounds[contender.name] = opened
        for number in range(-1, effort.rounds):
            order = list(rounds)
            turn = number % len(order) if order else 0
            for name in order[turn:] + order[:turn]:
                gc.collect()  # the garbage of one round is not charged to the next
                found = _tried(findings, name, rounds[name])
                if found is None:
                    del rounds[name]
                elif number >= 0:
                    samples.setdefault(name, []).append(found)
    for contender in contenders:
        if contender.name in samples:
            findings.series.append(Series(contender.name, contender.unit, samples[contender.name]))


def _tried(findings: Findings, name: str, call: Callable[..., T], *args: object) -> T | None:
    try:
        return call(*args)
    except Exception as error:  # noqa: BLE001 - whatever it was, the others are worth measuring
        findings.notes.append(f"{name}: left out after {error!r}")
        return None


def timed(call: Callable[[], object], calls: int) -> list[float]:
    """Call so many times and answer how long each call took, in µs."""
    took = []
    for _ in range(calls):
        before = perf_counter_ns()
        call()
        took.append((perf_counter_ns() - before) / 1_000)
    return took


def rate(work: Callable[[], object], operations: int) -> list[float]:
    """Do the work once and answer, as a single sample, its operations per second."""
    before = perf_counter_ns()
    work()
    return [operations * 1_000_000_000 / (perf_counter_ns() - before)]
