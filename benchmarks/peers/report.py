"""What came of the peers, as Markdown.

Measures: nothing.
How: first one line a row, procactors beside the best peer; then one table a row, the best first.
Never: calls the floor or a library of threads a peer: they have no processes to pay for.
"""

from __future__ import annotations

from typing import Any

from benchmarks.table import number, table

#: Who is not compared with: the floor, procactors itself, and actors that are threads.
ASIDE = ("bare", "ours", "pykka")


def as_markdown(result: dict[str, Any]) -> str:
    """Answer the whole result as a page."""
    lines = ["# Beside its peers", ""]
    lines += [f"- {word}: {value}" for word, value in result["machine"].items()]
    lines += ["", "Medians of rounds that went around among all; the range is that of the rounds."]
    lines += ["", *summary(result)]
    for row in result["rows"]:
        lines += ["", f"## {row['what']}", "", *_ranked(row)]
    lines += ["", "## Notes", "", *(f"- {note}" for note in result["notes"])]
    return "\n".join(lines) + "\n"


def summary(result: dict[str, Any]) -> list[str]:
    """Answer a table with one line a row: procactors, the best peer, how many times better."""
    headings = ("what", "procactors", "best peer", "procactors is better by", "single rounds", "")
    lines = []
    for row in result["rows"]:
        best, ours = best_peer(row), row["series"].get("ours")
        if best is None or ours is None:
            lines.append((row["what"], _figure(ours), "none has it" if ours else "", "", "", ""))
            continue
        times, *spread = sorted_gain(row, best)
        lines.append(
            (
                row["what"],
                _figure(ours),
                f"{row['series'][best]['name']} {_figure(row['series'][best])}",
                f"{number(times)} x",
                f"{number(spread[0])} to {number(spread[1])}",
                "first" if times >= 1 else "behind",
            )
        )
    return table(headings, lines)


def best_peer(row: dict[str, Any]) -> str | None:
    """Answer the name of the peer with the best median, if any has the row."""
    found = {name: series["median"] for name, series in row["series"].items() if name not in ASIDE}
    choose = min if row["fewer"] else max
    return choose(found, key=lambda name: found[name]) if found else None


def sorted_gain(row: dict[str, Any], peer: str) -> tuple[float, float, float]:
    """Answer how many times better ours is than a peer, and the least and the most of a round."""
    ratio = row["ratios"][peer]
    median, low, high = ratio["ratio"], ratio["lowest_round"], ratio["highest_round"]
    return (1 / median, 1 / high, 1 / low) if row["fewer"] else (median, low, high)


def _ranked(row: dict[str, Any]) -> list[str]:
    series = sorted(
        row["series"].items(), key=lambda item: item[1]["median"], reverse=not row["fewer"]
    )
    return table(
        ("", "median", "single rounds", "procactors is better by"),
        (
            (
                each["name"],
                _figure(each),
                f"{number(each['lowest_round'])} to {number(each['highest_round'])}",
                f"{number(sorted_gain(row, name)[0])} x" if name in row["ratios"] else "",
            )
            for name, each in series
        ),
    )


def _figure(series: dict[str, Any] | None) -> str:
    return f"{number(series['median'])} {series['unit']}" if series else ""
