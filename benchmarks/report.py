"""Turns findings into a table to read and files to keep.

Measures: nothing.
How: goals first, then what a call costs in processor time, then each ratio with its spread over the
rounds, then all figures and notes.
Never: leaves out a target that was missed or a subject that did not finish.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.findings import BOTH, CALLER, OTHER
from benchmarks.goals import costs_of, goals_of
from benchmarks.table import number, table

#: Where complete runs are kept.
RESULTS = Path(__file__).parent / "results"

#: How a figure was reached, said once above every table.
HOW = (
    "Ratios are medians over rounds in which the two sides took turns; the range is that of the "
    "single rounds. Compare ratios, not times, between machines; where others use the machine, "
    "those of processor time are the ones to believe."
)


def as_markdown(result: dict[str, Any]) -> str:
    """Answer the whole result as a Markdown page."""
    lines = ["# Measured", "", *_machine(result), "", HOW]
    if goals := goals_of(result):
        lines += ["", "## Goals", "", *goals]
    if costs := costs_of(result):
        lines += ["", "## Processor time", "", *costs]
    lines += ["", "## All ratios", "", *_targets(result["subjects"])]
    for subject in result["subjects"]:
        lines += ["", f"## {_title(subject)}", ""]
        lines += _figures(subject["series"])
        lines += _costs(subject["series"])
        lines += ["", *(f"- {note}" for note in subject["notes"])] if subject["notes"] else []
    return "\n".join(lines) + "\n"


def _machine(result: dict[str, Any]) -> list[str]:
    return [f"- {word}: {value}" for word, value in result["machine"].items()]


def _title(subject: dict[str, Any]) -> str:
    return f"{subject['subject']}{', ' * bool(subject.get('place'))}{subject.get('place', '')}"


def _spread(row: dict[str, Any]) -> str:
    return f"{number(row['lowest_round'])} to {number(row['highest_round'])}"


def _targets(subjects: list[dict[str, Any]]) -> list[str]:
    return table(
        ("what", "where", "measured", "single rounds", "target", ""),
        (
            (
                row["what"],
                subject.get("place", ""),
                f"{number(row['ratio'])} {row['unit'] or 'x'}",
                _spread(row),
                row["target"] or "",
                row["verdict"],
            )
            for subject in subjects
            for row in subject["comparisons"]
        ),
    )


def _figures(series: list[dict[str, Any]]) -> list[str]:
    rows = [
        (
            row["name"],
            f"{number(row['median'])} {row['unit']}",
            _spread(row),
            number(row["p99"]) if row["samples"] > row["rounds"] and row["samples"] >= 100 else "",
            str(row["samples"]),
        )
        for row in series
        if not row.get("side")
    ]
    return table(("", "median", "single rounds", "99 % within", "samples"), rows) if rows else []


def _costs(series: list[dict[str, Any]]) -> list[str]:
    """Answer a table of processor times, one line a contender."""
    sides = (CALLER, OTHER, BOTH)
    found = {(row["name"], row.get("side")): row for row in series}
    names = [row["name"] for row in series if row.get("side") == BOTH]
    if not names:
        return []
    rows = (
        (
            name,
            *(number(found[name, side]["median"]) for side in sides),
            _spread(found[name, BOTH]),
        )
        for name in names
    )
    return ["", *table(("µs of processor time", *sides, "single rounds, both"), rows)]


def keep(result: dict[str, Any], path: Path) -> list[Path]:
    """Write the result as JSON to ``path`` and as Markdown beside it; answer both paths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page = path.with_suffix(".md")
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page.write_text(as_markdown(result), encoding="utf-8")
    return [path, page]


def default_path(result: dict[str, Any]) -> Path:
    """Answer where a complete run is kept: one file a run, named by its minute."""
    return RESULTS / f"{stamp(result)}.json"


def stamp(result: dict[str, Any]) -> str:
    """Answer the minute of a run, as it stands in the names of files."""
    date: str = result["machine"]["date"]
    return date.removesuffix(" UTC").replace(" ", "-").replace(":", "")
