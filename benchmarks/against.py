"""Two results of the same benchmarks beside each other: an older procactors, and this one.

Measures: nothing.
How: a line for each contender and each goal that both or one of them have. Each result has its own
floors beside it, so the ratios tell a change of procactors from one of the machine.
Never: says which of both is better.
"""

from __future__ import annotations

from typing import Any

from benchmarks.table import number, table


def as_markdown(older: dict[str, Any], newer: dict[str, Any]) -> list[str]:
    """Answer the lines of a page with two tables: ratios, then figures."""
    ratios, figures = (
        _rows(older, newer, kind, key)
        for kind, key in (("comparisons", "what"), ("series", "name"))
    )
    headings = ("before", "after", "after / before")
    return [
        *table(("ratio to the floor or peer", *headings), ratios),
        "",
        *table(("figure", *headings), figures),
        "",
        *(f"- before: {note}" for subject in older["subjects"] for note in subject["notes"]),
        *(f"- after: {note}" for subject in newer["subjects"] for note in subject["notes"]),
    ]


def _rows(
    older: dict[str, Any], newer: dict[str, Any], kind: str, key: str
) -> list[tuple[str, str, str, str]]:
    before, after = (_figures(result, kind, key) for result in (older, newer))
    rows = []
    for name in dict.fromkeys([*after, *before]):
        was, unit = before.get(name, (None, ""))
        now, unit = after.get(name, (None, unit))
        change = f"{number(now / was)} x" if was and now is not None else ""
        rows.append((name, _said(was, unit), _said(now, unit), change))
    return rows


def _figures(result: dict[str, Any], kind: str, key: str) -> dict[str, tuple[float, str]]:
    value = "ratio" if kind == "comparisons" else "median"
    return {
        ", ".join(filter(None, (subject["subject"], subject["place"], row[key], row["side"]))): (
            row[value],
            row["unit"],
        )
        for subject in result["subjects"]
        for row in subject[kind]
    }


def _said(value: float | None, unit: str) -> str:
    return "" if value is None else f"{number(value)} {unit}".rstrip()
