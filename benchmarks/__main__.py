"""``python -m benchmarks``: measure all subjects one after the other, print and keep the result.

Measures: nothing itself; each subject runs in a process of its own (`benchmarks.alone`).
How: a complete run is kept in benchmarks/results/; a quick or partial one only where --json says.
With --against each subject is measured once with each of two checkouts, and their figures stand
beside each other.
Never: asserts: the exit code is 0 whatever the figures are.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import against, machine, report
from benchmarks.checkout import measured
from benchmarks.places import PLACES, usable

#: In the order of the run. These are measured at each place in turn ...
PLACED = ("ask", "tell", "submit", "spawn", "metrics")
#: ... and these wherever the scheduler puts them.
OTHERS = ("program", "payload", "share", "memory", "job", "pool", "stream", "local", "ray")
SUBJECTS = (*PLACED, *OTHERS)


def main() -> None:
    """Read the options, measure, print, keep."""
    chosen = _options()
    result, older = _empty(chosen.quick), _empty(chosen.quick)
    for subject, place in _runs(chosen.only or SUBJECTS, chosen.place or list(PLACES)):
        print(f"measuring {subject} {place} ...", file=sys.stderr, flush=True)
        if chosen.against:
            found = measured(subject, place, quick=chosen.quick, checkout=chosen.against)
            older["subjects"].append(found)
        result["subjects"].append(measured(subject, place, quick=chosen.quick))
    result["machine"]["load after"] = f"{os.getloadavg()[0]:.2f}"
    if chosen.against:
        print("\n".join(against.as_markdown(older, result)))
        return
    print(report.as_markdown(result))
    complete = not (chosen.quick or chosen.only or chosen.place)
    if path := chosen.json or (report.default_path(result) if complete else None):
        for written in report.keep(result, path):
            print(f"written: {written}", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure procactors beside bare primitives."
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument(
        "--only",
        action="append",
        choices=SUBJECTS,
        metavar="NAME",
        help=f"one subject (may be repeated): {', '.join(SUBJECTS)}",
    )
    parser.add_argument(
        "--place",
        action="append",
        choices=PLACES,
        help=f"the cores of {', '.join(PLACED)} (may be repeated): one for both sides, one each, "
        "or as the scheduler likes; without it, all three",
    )
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="measure that procactors, too, in turn"
    )
    parser.add_argument(
        "--json", type=Path, metavar="PATH", help="keep the result there, and as Markdown beside it"
    )
    return parser.parse_args()


def _empty(quick: bool) -> dict[str, Any]:
    result: dict[str, Any] = {"machine": machine.describe(), "subjects": []}
    result["machine"]["effort"] = "quick: for a first look only" if quick else "full"
    return result


def _runs(subjects: list[str] | tuple[str, ...], places: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each subject with each place that it is measured at and that this machine has."""
    for subject in subjects:
        if subject not in PLACED:
            yield subject, ""
            continue
        for place in places:
            if PLACES[place].cores <= usable():
                yield subject, place


if __name__ == "__main__":
    main()
