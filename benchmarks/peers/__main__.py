"""``python -m benchmarks.peers``: procactors and its peers in turn, as one table a row.

Measures: nothing itself; each peer has a driver (`benchmarks.peers.driver`).
How: row by row: all open, warm up once, then the rounds go around in a rotating order, then all
close. A complete run is kept in benchmarks/results/.
Never: asserts; a peer that is missing or fails is left out with a note.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.findings import Comparison, Series
from benchmarks.peers import PEERS
from benchmarks.peers.drive import Driver
from benchmarks.peers.report import as_markdown
from benchmarks.peers.rows import ROWS, Row
from benchmarks.report import RESULTS, stamp

#: Rounds of a row are at most so many with --quick.
QUICK_ROUNDS = 3

OURS = "ours"


def main() -> None:
    """Read the options, measure, print, keep."""
    chosen = _options()
    drivers = [Driver(name, quick=chosen.quick) for name in chosen.peer or PEERS]
    notes: list[str] = []
    result: dict[str, Any] = {"machine": machine.describe(machine.PEERS), "rows": []}
    try:
        for driver in drivers:
            print(f"starting {driver.name} ...", file=sys.stderr, flush=True)
            begun = driver.ask("begin")
            if begun is None:
                driver.give_up()
                continue
            driver.title = begun["title"]
            notes += [f"{driver.title}: {begun['note']}"] if begun["note"] else []
        for row in ROWS:
            if chosen.only and row.name not in chosen.only:
                continue
            print(f"measuring {row.what} ...", file=sys.stderr, flush=True)
            result["rows"].append(_measured(row, drivers, chosen.quick))
    finally:
        for driver in drivers:
            driver.end()
    result["notes"] = notes + [note for driver in drivers for note in driver.notes]
    page = as_markdown(result)
    print(page)
    complete = not (chosen.quick or chosen.only or chosen.peer)
    if path := chosen.json or (RESULTS / f"peers-{stamp(result)}.json" if complete else None):
        text = json.dumps(result, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(page, encoding="utf-8")
        print(f"written: {path}", file=sys.stderr)


def _options() -> argparse.Namespace:
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description="Measure procactors and its peers in turn."
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", action="append", choices=names, help="one row (repeatable)")
    parser.add_argument("--peer", action="append", choices=PEERS, help="one peer (repeatable)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="keep the result there")
    return parser.parse_args()


def _measured(row: Row, drivers: list[Driver], quick: bool) -> dict[str, Any]:
    """Measure one row of all peers that have it."""
    series: dict[str, list[list[float]]] = {}
    opened = [driver for driver in drivers if driver.ask(f"open {row.name}") is not None]
    playing = list(opened)
    for number in range(-1, min(row.rounds, QUICK_ROUNDS) if quick else row.rounds):
        turn = number % len(playing) if playing else 0
        for driver in playing[turn:] + playing[:turn]:
            found = driver.ask(f"round {row.name}")
            if found is None:
                playing.remove(driver)
                series.pop(driver.name, None)
            elif number >= 0:
                series.setdefault(driver.name, []).append(found["samples"])
    for driver in opened:
        driver.ask(f"close {row.name}")
    titles = {driver.name: driver.title for driver in drivers}
    measured = {name: Series(titles[name], row.unit, rounds) for name, rounds in series.items()}
    return {
        "name": row.name,
        "what": row.what,
        "fewer": row.fewer,
        "series": {name: each.as_json() for name, each in measured.items()},
        "ratios": {
            name: Comparison.of(row.what, measured[OURS], each).as_json()
            for name, each in measured.items()
            if OURS in measured and name != OURS
        },
    }


if __name__ == "__main__":
    main()
