"""`python -m tools.guard`: count, compare with the baseline, and fail if anything has grown."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from tools.guard import baseline
from tools.guard.baseline import Counts
from tools.guard.counting import PROGRAMS, ROOT, Counting, Failed

#: How often is counted at most for a baseline.
_TRIES = 6
#: How often it is counted once more what has grown, before that is believed.
_AGAIN = 3


def main() -> int:
    """Read the options, count, and record or compare; return the exit code."""
    chosen = _options()
    path = baseline.path_of(chosen.baselines)
    if not chosen.record and not path.exists():
        print(f"guard: skipped: there is no baseline for this Python ({path.name})")
        return 0
    began = monotonic()
    counting = Counting(chosen.tree)
    count = functools.partial(counting.count, chosen.only)
    try:
        counts = count()
        for section, why in counting.left_out.items():
            print(f"guard: {section}: not counted: {why}")
        if chosen.record:
            recorded = counts if chosen.once else _confirmed(count, counts)
            baseline.record(path, recorded, is_part=bool(chosen.only))
            print(f"guard: recorded: {path}")
            return 0
        return _compared(count, counts, path, whole=not chosen.only, once=chosen.once)
    except Failed as error:
        print(f"guard: {error}")
        return 1
    finally:
        print(f"guard: {monotonic() - began:.0f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.guard",
        description="Count what a message, a start and an import cost; fail if that has grown.",
    )
    parser.add_argument("--record", action="store_true", help="write the baseline anew")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=PROGRAMS,
        metavar="NAME",
        help=f"one thing (may be repeated): {', '.join(PROGRAMS)}",
    )
    parser.add_argument("--once", action="store_true", help="do not count again to be sure")
    parser.add_argument("--tree", type=Path, default=ROOT, help="folder with the package")
    parser.add_argument(
        "--baselines", type=Path, default=baseline.FOLDER, help="folder of the baselines"
    )
    return parser.parse_args()


def _confirmed(count: Callable[[], Counts], counts: Counts) -> Counts:
    """Count until each count has come twice: what the machine has done by chance is in one."""
    all_counts = [counts]
    doubtful: list[str] = []
    for _ in range(_TRIES):
        all_counts.append(count())
        found, doubtful = baseline.agreed(all_counts)
        if not doubtful:
            return found
    raise Failed(f"counted {len(all_counts)} times, and never twice alike: {', '.join(doubtful)}")


def _compared(
    count: Callable[[], Counts], counts: Counts, path: Path, *, whole: bool, once: bool
) -> int:
    """Compare with the baseline, say what has grown, and return the exit code."""
    there, before = baseline.load(path)
    for section, why in baseline.incomparable(there).items():
        if section in before and section in counts:
            print(f"guard: {section}: not compared: {why}")
            del before[section]
    for _ in range(0 if once else _AGAIN):
        if not any(baseline.grown(before, counts)):
            break
        # It may have been the machine: then the least of several counts is as it was.
        counts = baseline.least([counts, count()])
    names = baseline.missing(before, counts) if whole else []
    if names:
        print("guard: counted now or in the baseline, not in both:", *names, sep="\n    ")
    grown = list(baseline.grown(before, counts))
    for growth in grown:
        print(f"guard: grown: {growth}")
    if grown or names:
        print("guard: if that is to be so, record it: make guard ARGS=--record")
        return 1
    rows = sum(len(counts[section]) for section in before if section in counts)
    print(f"guard: none of {rows} counts has grown")
    return 0


if __name__ == "__main__":
    sys.exit(main())
