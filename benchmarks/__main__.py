"""``python -m benchmarks``: measure all subjects one after the other, print and keep the result.

Measures: nothing itself; each subject runs in a process of its own (`benchmarks.alone`).
How: a complete run is kept in benchmarks/results/; a quick or partial one only where --json says.
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

SUBJECTS = ("ask", "tell", "submit", "spawn", "payload", "share", "memory", "job", "pool")

#: Seconds after which a subject is given up: many times what the longest takes.
LIMIT_S = 300.0


def main() -> None:
    """Read the options, measure, print, keep."""
    chosen = _options()
    result: dict[str, Any] = {"machine": machine.describe(), "subjects": []}
    subjects = chosen.only or SUBJECTS
    for subject in subjects:
        print(f"measuring {subject} ...", file=sys.stderr, flush=True)
        result["subjects"].append(_measured(subject, quick=chosen.quick))
    result["machine"]["load after"] = f"{os.getloadavg()[0]:.2f}"
    result["machine"]["effort"] = "quick: for a first look only" if chosen.quick else "full"
    print(report.as_markdown(result))
    complete = not chosen.quick and not chosen.only
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
        "--json", type=Path, metavar="PATH", help="keep the result there, and as Markdown beside it"
    )
    return parser.parse_args()


def _measured(subject: str, *, quick: bool) -> dict[str, Any]:
    """Run one subject in a process of its own and answer its findings, or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "findings.json"
        command = [sys.executable, "-m", "benchmarks.alone", subject, str(path)]
        # A session of its own: when a subject is given up, the floors' processes end with it.
        process = subprocess.Popen(
            command + ["--quick"] * quick, start_new_session=True, stdout=sys.stderr
        )
        try:
            code = process.wait(LIMIT_S)
            note = f"ended with exit code {code}"
        except subprocess.TimeoutExpired:
            note = f"given up after {LIMIT_S:g} s"
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if path.exists() and process.returncode == 0:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
    return {"subject": subject, "series": [], "comparisons": [], "notes": [f"{subject}: {note}"]}


if __name__ == "__main__":
    main()
