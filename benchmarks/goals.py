"""The table of goals: what is to be reached against bare primitives and peers, row by row.

Measures: nothing. It picks comparisons out of a result, a kept one too:
``python -m benchmarks.goals benchmarks/results/2026-11-29-0851.json`` prints its table.
How: each row names a comparison of a subject at a place; bound, ratio and verdict are that one's.
Never: leaves out a row: what was not measured says so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.places import FREE, ONE, TWO
from benchmarks.table import number, table

#: What the rows of a table have above them.
HEADINGS = ("what", "floor or peer", "procactors", "ratio", "single rounds", "goal", "")


class Goal(NamedTuple):
    """One row.

    Attributes:
        what: the row's name.
        subject: whose comparison it is.
        comparison: that one's name.
        place: where it was measured; empty: the subject has no choice of it.
        floor: the series to show beside a figure that is judged alone.
    """

    what: str
    subject: str
    comparison: str
    place: str = ""
    floor: str = ""


GOALS = (
    Goal("ask p50, both on one core", "ask", "ask / blocking floor", ONE.name),
    Goal("ask p50, two cores that doze: blocking floor", "ask", "ask / blocking floor", TWO.name),
    Goal("ask p50, two cores awake: spinning floor", "ask", "ask / spinning floor", TWO.name),
    Goal("asks pipelined, both on one core", "submit", "submit / bare pipes", ONE.name),
    Goal("asks pipelined, free", "submit", "submit / bare pipes", FREE.name),
    Goal("tell, both on one core", "tell", "tell / stock Queue", ONE.name),
    Goal("tell, free", "tell", "tell / stock Queue", FREE.name),
    Goal("tell_many, both on one core", "tell", "tell_many / stock Queue", ONE.name),
    Goal("tell_many, free", "tell", "tell_many / stock Queue", FREE.name),
    Goal("spawn to first reply", "spawn", "spawn to first reply / bare fork", FREE.name),
    Goal(
        "spawn to first reply, with a spare", "spawn", "spawn with a spare / bare fork", FREE.name
    ),
    Goal(
        "50 actors, per second",
        "spawn",
        "spawn, 50 actors",
        FREE.name,
        "bare fork Process, 50 of them",
    ),
    Goal(
        "first actor of a program answers, beside a stock task",
        "program",
        "first actor / executor's first task",
    ),
    Goal(
        "first actor of a program answers, beside a stock `Process`",
        "program",
        "first actor / stock forkserver",
    ),
    Goal("`import procactors`, wall clock", "program", "import / concurrent.futures.process"),
    Goal(
        "`import procactors`, processor time",
        "program",
        "import / concurrent.futures.process: processor time",
    ),
    Goal("SIGKILL to next answer", "spawn", "SIGKILL to next reply / own spawn", FREE.name),
    Goal(
        "idle actor, unique memory",
        "memory",
        "idle actor, unique memory",
        floor="bare forked process, unique memory",
    ),
    Goal("1 MB array in", "payload", "1 MB, read / kept segment"),
    Goal(
        "items one by one, per second",
        "pool",
        "pool.map, chunk of 1",
        floor="2 bare workers, one item a message",
    ),
    Goal(
        "items one by one, beside `mp.Pool`",
        "pool",
        "items one by one / multiprocessing.Pool",
    ),
    Goal("items in batches", "pool", "map of tiny items / best peer"),
)

#: What a call costs the machine, as multiples of the floor's processor time: no goals, but the
#: figures that a busy machine changes least.
COSTS = tuple(
    Goal(f"{what}, {place}", subject, f"{ours} / {floor}: processor time", place)
    for what, subject, ours, floor in (
        ("ask", "ask", "ask", "pipes, blocking reads"),
        ("submit", "submit", "submit", "bare pipes, pipelined"),
        ("tell", "tell", "tell", "bare pipe, one write a message"),
        ("tell_many", "tell", "tell_many", "bare pipe, one write a message"),
        ("spawn", "spawn", "spawn to first reply", "bare fork Process, start to first reply"),
    )
    for place in (ONE.name, TWO.name, FREE.name)
)


def goals_of(result: dict[str, Any]) -> list[str]:
    """Answer the lines of the table of goals; those of subjects that were not run are left out."""
    run = {(subject["subject"], subject.get("place", "")) for subject in result["subjects"]}
    rows = [_row(goal, result) for goal in GOALS if (goal.subject, goal.place) in run]
    return table(HEADINGS, rows) if rows else []


def costs_of(result: dict[str, Any]) -> list[str]:
    """Answer the lines of the table of processor time, without what was not measured."""
    headings = ("µs of processor time, caller and other side in sum", *HEADINGS[1:5])
    rows = [_row(goal, result)[:5] for goal in COSTS if _found(goal, result)]
    return table(headings, rows) if rows else []


def _row(goal: Goal, result: dict[str, Any]) -> list[str]:
    pair = _found(goal, result)
    if pair is None:
        return [goal.what, "", "not measured", "", "", "", ""]
    subject, row = pair
    alone = bool(row["unit"])
    spread = f"{number(row['lowest_round'])} to {number(row['highest_round'])}"
    return [
        goal.what,
        _figure(subject, goal.floor if alone else row["beside"], row["side"]),
        _figure(subject, row["ours"], row["side"]),
        "" if alone else f"{number(row['ratio'])} x",
        spread,
        row["target"] or "",
        row["verdict"],
    ]


def _figure(subject: dict[str, Any], name: str, side: str) -> str:
    for series in subject["series"]:
        if series["name"] == name and series.get("side", "") == side:
            return f"{number(series['median'])} {series['unit']}"
    return ""


def _found(goal: Goal, result: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    for subject in _subjects(goal, result["subjects"]):
        for row in subject["comparisons"]:
            if row["what"] == goal.comparison:
                return subject, {"side": "", **row}
    return None


def _subjects(goal: Goal, subjects: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for subject in subjects:
        if subject["subject"] == goal.subject and subject.get("place", "") == goal.place:
            yield subject


def main() -> None:
    """Print the tables of a kept result."""
    result = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print("\n".join([*goals_of(result), "", *costs_of(result)]))


if __name__ == "__main__":
    main()
