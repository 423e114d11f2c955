"""``python -m benchmarks.savina``: run all benchmarks one after the other, and print a table.

Measures: nothing itself; each benchmark runs in a process of its own.
How: `benchmarks.report` writes the tables; with --json the result is kept.
Never: asserts: the exit code is 0 whatever the figures are.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import machine, report

BENCHMARKS = (
    "ping_pong",
    "counting",
    "fork_join",
    "thread_ring",
    "chameneos",
    "big",
    "dictionary",
    "bounded_buffer",
    "philosophers",
    "bank",
    "sieve",
    "quicksort",
    "trapezoid",
    "matrix",
    "nqueens",
    "apsp",
)

#: Seconds after which a benchmark is given up: many times what the longest takes.
LIMIT_S = 120.0


def main() -> None:
    """Read the options, measure, print, keep."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.savina",
        description="Run the Savina actor benchmarks beside bare processes.",
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument(
        "--only",
        action="append",
        choices=BENCHMARKS,
        metavar="NAME",
        help=f"one benchmark (may be repeated): {', '.join(BENCHMARKS)}",
    )
    parser.add_argument(
        "--json", type=Path, metavar="PATH", help="keep the result there, and as Markdown beside it"
    )
    chosen = parser.parse_args()
    result: dict[str, Any] = {"machine": machine.describe(), "subjects": []}
    for name in chosen.only or BENCHMARKS:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        result["subjects"].append(_measured(name, quick=chosen.quick))
    result["machine"]["load after"] = f"{os.getloadavg()[0]:.2f}"
    result["machine"]["effort"] = "quick: for a first look only" if chosen.quick else "full"
    print(report.as_markdown(result))
    if chosen.json:
        for written in report.keep(result, chosen.json):
            print(f"written: {written}", file=sys.stderr)


def _measured(name: str, *, quick: bool) -> dict[str, Any]:
    """Run one benchmark in a process of its own and answer its findings, or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "findings.json"
        command = [sys.executable, "-m", "benchmarks.alone", f"savina.{name}", str(path)]
        # A session of its own: when it is given up, the bare processes end with it.
        process = subprocess.Popen(
            command + ["--quick"] * quick, start_new_session=True, stdout=sys.stderr
        )
        try:
            note = f"ended with exit code {process.wait(LIMIT_S)}"
        except subprocess.TimeoutExpired:
            note = f"given up after {LIMIT_S:g} s"
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if path.exists() and process.returncode == 0:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
    return {"subject": name, "series": [], "comparisons": [], "notes": [f"{name}: {note}"]}


if __name__ == "__main__":
    main()
