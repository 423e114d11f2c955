"""What a measurement found: series of rounds, and ratios of two series beside their target.

Measures: nothing. It holds figures and draws medians from them.
How: a ratio is taken round by round, ours against the other of the same round, and then its median:
what slows the machine down for a while slows both down and leaves the ratio alone.
Never: reads a clock, starts a process, judges more than "met" or "missed".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Series:
    """The samples of one contender.

    Attributes:
        name: who was measured, in words.
        unit: what one sample is, such as "µs" (smaller is better) or "messages/s".
        rounds: samples, one list a round, in the order of the rounds.
    """

    name: str
    unit: str
    rounds: list[list[float]]

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
        if self.most is not None:
            return ratio <= self.most
        return self.least is None or ratio >= self.least

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
    """

    what: str
    ratios: list[float]
    ours: str
    beside: str
    target: Target | None = None
    unit: str = ""

    @classmethod
    def of(
        cls, what: str, ours: Series, beside: Series, target: Target | None = None
    ) -> Comparison:
        """Divide two series round by round."""
        pairs = zip(ours.medians, beside.medians, strict=False)
        return cls(what, [mine / other for mine, other in pairs], ours.name, beside.name, target)

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return median(self.ratios)

    @property
    def verdict(self) -> str:
        """Say "met" or "missed", or nothing where there is no target."""
        if self.target is None:
            return ""
        return "met" if self.target.met(self.ratio) else "missed"

    def as_json(self) -> dict[str, Any]:
        """Answer the ratio, its spread and its target."""
        return {
            "what": self.what,
            "ours": self.ours,
            "beside": self.beside,
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
    """

    subject: str
    series: list[Series] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def compare(self, what: str, ours: str, beside: str, target: Target | None = None) -> None:
        """Add the ratio of two series, named; leave it out, with a note, if one is missing."""
        by_name = {series.name: series for series in self.series if series.medians}
        absent = [name for name in (ours, beside) if name not in by_name]
        if absent:
            self.notes.append(f"{what}: not measured, for want of: {', '.join(absent)}")
            return
        self.comparisons.append(Comparison.of(what, by_name[ours], by_name[beside], target))

    def judge(self, series: Series, target: Target) -> None:
        """Add a series, and hold its own median against a target in its own unit."""
        self.series.append(series)
        row = Comparison(series.name, series.medians, series.name, "", target, series.unit)
        self.comparisons.append(row)

    def as_json(self) -> dict[str, Any]:
        """Answer everything as plain values."""
        return {
            "subject": self.subject,
            "series": [series.as_json() for series in self.series if series.medians],
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
            "notes": self.notes,
        }
