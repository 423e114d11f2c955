"""A curve: for each contender a line of points, from few to many.

Measures: nothing itself.
How: at each point the contenders take turns; a point is the median of its rounds, with the lowest
and the highest.
Never: draws; that is `benchmarks.curves.plots`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.findings import Findings, Series
from benchmarks.rounds import Contender, Effort, take_turns


@dataclass
class Curve:
    """Lines over one axis.

    Attributes:
        name: of its files.
        title: what it shows.
        x: what grows, with its unit.
        y: the unit of the points.
        lines: points of each contender, as (x, median, lowest round, highest round).
    """

    name: str
    title: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float, float, float]]] = field(default_factory=dict)

    def add(self, x: float, series: Series) -> None:
        """Add a point to the line of a contender."""
        medians = series.medians
        point = (x, series.median, min(medians), max(medians))
        self.lines.setdefault(series.name, []).append(point)


@dataclass
class Curves:
    """All that one module has measured.

    Attributes:
        subject: the module's name.
        curves: what it found.
        notes: what could not be measured, and why.
        place: empty; as other findings have it.
    """

    subject: str
    curves: list[Curve]
    notes: list[str] = field(default_factory=list)
    place: str = ""

    def measure(
        self, x: float, contenders: Iterable[Contender], effort: Effort, curve: Curve | None = None
    ) -> Findings:
        """Take turns at one point, add what came of it to a curve (the first), and answer it."""
        findings = Findings(self.subject)
        take_turns(findings, list(contenders), effort)
        for series in findings.series:
            if not series.side:
                (curve or self.curves[0]).add(x, series)
        self.notes += [f"at {x:g}: {note}" for note in findings.notes]
        return findings

    def as_json(self) -> dict[str, Any]:
        """Answer everything as plain values."""
        return {
            "subject": self.subject,
            "place": self.place,
            "curves": [vars(curve) for curve in self.curves],
            "notes": self.notes,
        }


def rounds_at(effort: Effort, long: bool) -> Effort:
    """Answer three rounds, or a single one without a warm-up where a round takes seconds."""
    return replace(effort, rounds=1, warm_up=0) if long else effort.at_most(3)
