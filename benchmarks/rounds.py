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
from dataclasses import dataclass, replace
from importlib import import_module
from time import perf_counter_ns
from typing import Any, TypeVar

from benchmarks.findings import BOTH, CALLER, OTHER, Findings, Series
from benchmarks.places import FREE, Place

T = TypeVar("T")


@dataclass(frozen=True)
class Costed:
    """The samples of a round, with the processor time that it took; see `benchmarks.processor`.

    Attributes:
        samples: as a round without costs returns them.
        caller: µs of processor time an operation, of the process that measures.
        other: of the processes on the other side, in sum.
    """

    samples: list[float]
    caller: float
    other: float


#: One round: measures, and returns its samples.
Round = Callable[[], "list[float] | Costed"]


class Absent(Exception):
    """What is to be measured is not here: a library, or a part of an older version of ours."""


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: rounds after the warm-up.
        share: part of the full number of calls in each round.
        place: the cores of both sides.
        warm_up: rounds that do not count, before the others.
    """

    rounds: int = 11
    share: float = 1.0
    place: Place = FREE
    warm_up: int = 1

    def of(self, calls: int) -> int:
        """Answer how many calls a round has that has ``calls`` at full effort; at least 1."""
        return max(1, int(calls * self.share))

    def more(self, times: int) -> Effort:
        """Answer an effort with so many times the rounds: for short and unsteady ones."""
        return replace(self, rounds=self.rounds * times)

    def at_most(self, rounds: int) -> Effort:
        """Answer an effort with no more than so many rounds: for subjects with long ones."""
        return replace(self, rounds=min(rounds, self.rounds))


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
    found: dict[str, list[list[float] | Costed]] = {}
    with ExitStack() as stack:
        rounds: dict[str, Round] = {}
        for contender in contenders:
            opened = _tried(findings, contender.name, stack.enter_context, contender.opened)
            if opened is not None:
                rounds[contender.name] = opened
        effort.place.opened()
        for number in range(-effort.warm_up, effort.rounds):
            order = list(rounds)
            turn = number % len(order) if order else 0
            for name in order[turn:] + order[:turn]:
                gc.collect()  # the garbage of one round is not charged to the next
                samples = _tried(findings, name, rounds[name])
                if samples is None:
                    del rounds[name]
                elif number >= 0:
                    found.setdefault(name, []).append(samples)
    for contender in contenders:
        if contender.name in found:
            findings.series += _series(contender, found[contender.name])


def _series(contender: Contender, rounds: list[list[float] | Costed]) -> list[Series]:
    """Answer the series of one contender, with those of its processor time where it is known."""
    name, unit = contender.name, contender.unit
    costed = [found for found in rounds if isinstance(found, Costed)]
    wall = [found.samples if isinstance(found, Costed) else found for found in rounds]
    costs = {
        CALLER: [[found.caller] for found in costed],
        OTHER: [[found.other] for found in costed],
        BOTH: [[found.caller + found.other] for found in costed],
    }
    return [
        Series(name, unit, wall),
        *(Series(name, "µs", samples, side) for side, samples in costs.items() if samples),
    ]


def _tried(findings: Findings, name: str, call: Callable[..., T], *args: object) -> T | None:
    try:
        return call(*args)
    except Absent as absence:
        findings.notes.append(f"{name}: left out: {absence}")
    except Exception as error:  # noqa: BLE001 - whatever it was, the others are worth measuring
        findings.notes.append(f"{name}: left out after {error!r}")
    return None


def installed(module: str) -> Any:
    """Import a library that need not be here.

    Raises:
        Absent: it is not.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise Absent(f"no {module} is installed") from error


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
