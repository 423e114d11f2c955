"""Turns findings into a table to read and files to keep.

Measures: nothing.
How: targets first, each ratio with its spread over the rounds; then all figures; then notes.
Never: leaves out a target that was missed or a subject that did not finish.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: Where complete runs are kept.
RESULTS = Path(__file__).parent / "results"

#: How a figure was reached, said once above every table.
HOW = (
    "Ratios are medians over rounds in which the two sides took turns; the range is that of the "
    "single rounds. Compare ratios, not times, between machines."
)


def as_markdown(result: dict[str, Any]) -> str:
    """Answer the whole result as a Markdown page."""
    machine = [f"- {word}: {value}" for word, value in result["machine"].items()]
    lines = ["# Measured", "", *machine, "", HOW, "", *_targets(result["subjects"])]
    for subject in result["subjects"]:
        lines += ["", f"## {subject['subject']}", ""]
        lines += _figures(subject["series"])
        lines += ["", *(f"- {note}" for note in subject["notes"])] if subject["notes"] else []
    return "\n".join(lines) + "\n"


def _targets(subjects: list[dict[str, Any]]) -> list[str]:
    rows = ["| what | measured | single rounds | target | |", "|---|---:|---:|---:|---|"]
    for subject in subjects:
        for row in subject["comparisons"]:
            unit = f" {row['unit']}" if row["unit"] else " x"
            spread = f"{number(row['lowest_round'])} to {number(row['highest_round'])}"
            target = row["target"] or ""
            rows.append(
                f"| {row['what']} | {number(row['ratio'])}{unit} | {spread} | {target} "
                f"| {row['verdict']} |"
            )
    return rows


def _figures(series: list[dict[str, Any]]) -> list[str]:
    if not series:
        return []
    rows = ["| | median | single rounds | 99 % within | samples |", "|---|---:|---:|---:|---:|"]
    for row in series:
        spread = f"{number(row['lowest_round'])} to {number(row['highest_round'])}"
        p99 = number(row["p99"]) if row["samples"] > row["rounds"] and row["samples"] >= 100 else ""
        rows.append(
            f"| {row['name']} | {number(row['median'])} {row['unit']} | {spread} | {p99} "
            f"| {row['samples']} |"
        )
    return rows


def number(value: float) -> str:
    """Write a figure with three digits, or all of a large one's whole ones."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def keep(result: dict[str, Any], path: Path) -> list[Path]:
    """Write the result as JSON to ``path`` and as Markdown beside it; answer both paths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page = path.with_suffix(".md")
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page.write_text(as_markdown(result), encoding="utf-8")
    return [path, page]


def default_path(result: dict[str, Any]) -> Path:
    """Answer where a complete run is kept: one file a run, named by its minute."""
    stamp = result["machine"]["date"].removesuffix(" UTC").replace(" ", "-").replace(":", "")
    return RESULTS / f"{stamp}.json"
