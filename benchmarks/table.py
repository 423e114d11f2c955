"""Figures and tables in Markdown.

Measures: nothing.
How: three digits of a figure, or all of a large one's whole ones; first column left, others right.
Never: knows what a figure means.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Answer the lines of a table."""
    rule = ["---", *("---:" for _ in headings[1:])]
    return ["| " + " | ".join(cells) + " |" for cells in (headings, rule, *rows)]


def number(value: float) -> str:
    """Write a figure with three digits, or all of a large one's whole ones."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
