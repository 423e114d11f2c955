"""What came of the curves, as Markdown.

Measures: nothing.
How: a table a curve, one line a point, one column a contender; above it the plot, if there is one.
Never: draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.table import number, table


def as_markdown(result: dict[str, Any], plots: Mapping[str, str]) -> str:
    """Answer the whole result as a page.

    Args:
        result: machine and subjects.
        plots: by the names of the curves, the plots' files, as a link from the page.
    """
    lines = ["# Growth", ""]
    lines += [f"- {word}: {value}" for word, value in result["machine"].items()]
    for subject in result["subjects"]:
        for curve in subject.get("curves", ()):
            lines += ["", f"## {curve['title']}", ""]
            if plot := plots.get(curve["name"]):
                lines += [f"![{curve['title']}]({plot})", ""]
            lines += as_table(curve)
        lines += ["", *(f"- {note}" for note in subject["notes"])] if subject["notes"] else []
    return "\n".join(lines) + "\n"


def as_table(curve: dict[str, Any]) -> list[str]:
    """Answer the lines of a curve's table: medians, in its unit."""
    names = list(curve["lines"])
    found = {
        (name, x): number(median)
        for name, points in curve["lines"].items()
        for x, median, _, _ in points
    }
    xs = sorted({x for _, x in found})
    headings = (curve["x"], *(f"{name}, {curve['y']}" for name in names))
    return table(headings, ([_grown(x), *(found.get((name, x), "") for name in names)] for x in xs))


def _grown(x: float) -> str:
    return f"{x:,.0f}" if x >= 1 else f"{x:g}"
