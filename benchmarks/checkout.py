"""Runs one subject in a process of its own, of this tree's procactors or of another checkout's.

Measures: nothing.
How: the benchmarks are always this tree's. For another checkout its folder comes first on the
import path, and the working directory is a new one with nothing but a link to the benchmarks:
Python looks there first of all, and would find this tree's procactors.
Never: writes to the other checkout, save the bytecode that Python leaves there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

#: Seconds after which a subject is given up: many times what the longest takes.
LIMIT_S = 300.0

HERE = Path(__file__).resolve().parent


def measured(
    subject: str, place: str = "", *, quick: bool = False, checkout: Path | None = None
) -> dict[str, Any]:
    """Run one subject and answer its findings, or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "findings.json"
        command = [sys.executable, "-m", "benchmarks.alone", subject, str(path)]
        command += ["--quick"] * quick + ["--place", place] * bool(place)
        note = _run(command, Path(folder), checkout)
        if not note:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
    return {
        "subject": subject,
        "place": place,
        "series": [],
        "comparisons": [],
        "notes": [f"{subject}: {note}"],
    }


def _run(command: list[str], folder: Path, checkout: Path | None) -> str:
    """Run a command for a checkout; answer what went wrong, or nothing."""
    where, environment = HERE.parent, dict(os.environ)
    # Without bytecode each actor would compile the module of its class anew, the floors never.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if checkout is not None:
        where = folder / "beside"
        where.mkdir()
        (where / HERE.name).symlink_to(HERE)
        environment["PYTHONPATH"] = str(checkout.resolve())
    # A session of its own: when a subject is given up, the floors' processes end with it.
    process = subprocess.Popen(
        command, cwd=where, env=environment, start_new_session=True, stdout=sys.stderr
    )
    try:
        code = process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"given up after {LIMIT_S:g} s"
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return f"ended with exit code {code}" if code else ""
