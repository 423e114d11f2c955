"""What a measurement found: series of rounds, and ratios of two series beside their target.

Measures: nothing. It holds figures and draws medians from them.
How: a ratio is taken round by round, ours against the other of the same round, and then its median:
what slows the machine down for a while slows both down and leaves the ratio alone.
Never: reads a clock, starts a process, judges more than "met" or "missed".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

#: Whose processor time a series has; one without a side has what a clock on the wall shows.
CALLER, OTHER, BOTH = "caller", "other side", "both sides"


@dataclass(frozen=True)
class Series:
    """The samples of one contender.

    Attributes:
        name: who was measured, in words.
        unit: what one sample is, such as "µs" (smaller is better) or "messages/s".
        rounds: samples, one list a round, in the order of the rounds.
        side: `CALLER`, `OTHER` or `BOTH` of a series of processor times; else empty.
    """

    name: str
    unit: str
    rounds: list[list[float]]
    side: str = ""

    @property
    def medians(self) -> list[float]:
        """The median of each round, in the order of the rounds."""
        return [median(samples) for samples in self.rounds if samples]

    @property
    def median(self) -> float:
        """The median of the rounds' medians."""
        return median(self.medians)

    @property
    def p99(self) -> float:
        """The sample that 99 in 100 of all rounds do not exceed."""
        samples = sorted(sample for samples in self.rounds for sample in samples)
        return samples[min(len(samples) - 1, len(samples) * 99 // 100)]

    @property
    def count(self) -> int:
        """How many samples there are in all rounds together."""
        return sum(map(len, self.rounds))

    def as_json(self) -> dict[str, Any]:
        """Answer a summary without the single samples."""
        return {
            "name": self.name,
            "unit": self.unit,
            "side": self.side,
            "median": self.median,
            "lowest_round": min(self.medians),
            "highest_round": max(self.medians),
            "p99": self.p99,
            "rounds": len(self.medians),
            "samples": self.count,
        }


@dataclass(frozen=True)
class Target:
    """The bound that a ratio is held against.

    Attributes:
        most: the ratio is to be at most this; None if it is to be at least ``least``.
        least: the ratio is to be at least this.
        later: the stricter bound aimed at next, in the same sense.
    """

    most: float | None = None
    least: float | None = None
    later: float | None = None

    def met(self, ratio: float) -> bool:
        """Say whether the ratio is within the bound of today."""
        return self._within(ratio, self.most if self.most is not None else self.least)

    def met_later(self, ratio: float) -> bool:
        """Say whether the ratio is within the bound aimed at next, if there is one."""
        return self.later is not None and self._within(ratio, self.later)

    def _within(self, ratio: float, bound: float | None) -> bool:
        return bound is None or (ratio <= bound if self.most is not None else ratio >= bound)

    def __str__(self) -> str:
        sign, bound = ("≤", self.most) if self.most is not None else ("≥", self.least)
        then = "" if self.later is None else f", then {self.later:g}"
        return f"{sign} {bound:g}{then}"


@dataclass(frozen=True)
class Comparison:
    """One series over another, or one alone, with the target it has, if any.

    Attributes:
        what: the row's name in the table.
        ratios: ours divided by the other one, one for each round that both have.
        ours, beside: the names of the two series; ``beside`` is empty where ours stands alone.
        target: the bound, or None for a ratio printed for information.
        unit: of the ratios, where ours stands alone.
        side: whose processor time was divided; empty: none, but what the two series measure.
    """

    what: str
    ratios: list[float]
    ours: str
    beside: str
    target: Target | None = None
    unit: str = ""
    side: str = ""

    @classmethod
    def of(
        cls, what: str, ours: Series, beside: Series, target: Target | None = None
    ) -> Comparison:
        """Divide two series round by round."""
        pairs = zip(ours.medians, beside.medians, strict=False)
        ratios = [mine / other for mine, other in pairs]
        return cls(what, ratios, ours.name, beside.name, target, side=ours.side)

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return median(self.ratios)

    @property
    def verdict(self) -> str:
        """Say "missed", "met" or "met, and the next", or nothing where there is no target."""
        if self.target is None:
            return ""
        if not self.target.met(self.ratio):
            return "missed"
        return "met, and the next" if self.target.met_later(self.ratio) else "met"

    def as_json(self) -> dict[str, Any]:
        """Answer the ratio, its spread and its target."""
        return {
            "what": self.what,
            "ours": self.ours,
            "beside": self.beside,
            "side": self.side,
            "ratio": self.ratio,
            "unit": self.unit,
            "lowest_round": min(self.ratios),
            "highest_round": max(self.ratios),
            "target": None if self.target is None else str(self.target),
            "verdict": self.verdict,
        }


@dataclass
class Findings:
    """All that one subject found.

    Attributes:
        subject: the room's name.
        series: what was measured, in the order of the table.
        comparisons: ratios, in the order of the table.
        notes: sentences for the reader: what could not be measured, and why.
        place: the cores of both sides, in words; empty where that was not chosen.
    """

    subject: str
    series: list[Series] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    place: str = ""

    def compare(
        self, what: str, ours: str, beside: str, target: Target | None = None, side: str = ""
    ) -> None:
        """Add the ratio of two series, named; leave it out, with a note, if one is missing."""
        by_name = {
            found.name: found for found in self.series if found.medians and found.side == side
        }
        absent = [name for name in (ours, beside) if name not in by_name]
        if absent:
            self.notes.append(f"{what}: not measured, for want of: {', '.join(absent)}")
            return
        self.comparisons.append(Comparison.of(what, by_name[ours], by_name[beside], target))

    def compare_costs(self, ours: str, beside: str) -> None:
        """Add the ratio of the processor times of two contenders, both sides in sum."""
        self.compare(f"{ours} / {beside}: processor time", ours, beside, side=BOTH)

    def best(self, names: Iterable[str]) -> str:
        """Answer which of the named series has the highest median; the first if none is there."""
        names = list(names)
        medians = {
            found.name: found.median for found in self.series if found.medians and not found.side
        }
        return max(names, key=lambda name: medians.get(name, 0.0))

    def judge(self, series: Series, target: Target) -> None:
        """Add a series, and hold its own median against a target in its own unit."""
        self.series.append(series)
        self._judge(series, target)

    def judge_measured(self, name: str, target: Target) -> None:
        """Hold the median of a series that is there against a target in its own unit."""
        for series in self.series:
            if series.name == name and not series.side and series.medians:
                self._judge(series, target)

    def _judge(self, series: Series, target: Target) -> None:
        row = Comparison(series.name, series.medians, series.name, "", target, series.unit)
        self.comparisons.append(row)

    def as_json(self) -> dict[str, Any]:
        """Answer everything as plain values."""
        return {
            "subject": self.subject,
            "place": self.place,
            "series": [series.as_json() for series in self.series if series.medians],
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
            "notes": self.notes,
        }
