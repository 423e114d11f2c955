"""`procactors map` killed again and again, resumed each time, and compared with a run in peace.

What must hold after each SIGKILL of the parent, wherever it finds it: nothing is left running; what
the journal has is not run again; and in the end the output is that of a run that nobody disturbed.
"""

from __future__ import annotations

import json
import math
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from tests.support.programs import environment, running_python
from tests.support.waiting import LONG_S, eventually

#: Notes each call in a file, by one write; takes about two milliseconds of a CPU.
MODULE = """
import os

def work(item):
    fd = os.open("calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{item}\\n".encode())
    os.close(fd)
    total = sum(number * number for number in range(20_000))
    return {"item": item, "total": total, "text": "é" * (item % 400)}
"""

#: Every so many items one is equal to an earlier one.
SAME_EVERY = 7

#: Share of the kills that come at any time from the start on; the others when some more is done.
AT_ANY_TIME = 0.3
#: Seconds that a start takes on a busy machine.
START_S = 1.0


@dataclass
class Report:
    """What a run has seen."""

    kills: int = 0
    skipped: int = 0
    calls: int = 0


def run(folder: Path, seed: int, kills: int, items: int, ordered: bool) -> Report:
    """Kill at random moments; then let it end, and compare."""
    rng, report, pause = random.Random(seed), Report(), threading.Event()
    (folder / "work.py").write_text(MODULE)
    numbers = [n - SAME_EVERY if n % SAME_EVERY == 6 else n for n in range(items)]
    (folder / "list.jsonl").write_text("".join(f"{n}\n" for n in numbers))
    order = ["--ordered"] if ordered else []
    command = ["-m", "procactors", "map", "work:work", "list.jsonl", "-j", "2", "-q", *order]
    resumed = [*command, "--resume", "journal", "-o", "output"]
    expected = _in_peace(folder, command)
    for _ in range(kills):
        done = _journalled(folder)
        (folder / "calls").unlink(missing_ok=True)
        with running_python(*resumed, cwd=folder) as program:
            share = rng.randrange(1, max(2, (items - done.total()) // 3))
            any_time = rng.random() < AT_ANY_TIME
            # At any time too, but not when it has ended by itself: it does not get past its share.
            until = monotonic() + rng.uniform(0, START_S) if any_time else math.inf
            _await_lines(folder, program.process, done.total() + share, until)
            if not any_time:
                pause.wait(rng.uniform(0, 0.01))
            program.process.kill()
            was_killed = program.process.wait(LONG_S) == -signal.SIGKILL
            assert was_killed or program.process.returncode == 0
            program.await_nothing_left()
        report.kills += was_killed
        report.calls += _check_calls(folder, done)
    done = _journalled(folder)
    (folder / "calls").unlink(missing_ok=True)
    ended = _run(folder, resumed)
    assert (ended.returncode, ended.stderr) == (0, "")
    report.calls += _check_calls(folder, done)
    report.skipped = done.total()
    output = (folder / "output").read_bytes().splitlines()
    assert output == expected if ordered else sorted(output) == sorted(expected)
    # Two workers have two items in hand at a kill; all others are run once.
    assert items <= report.calls <= items + 2 * report.kills
    return report


def _await_lines(folder: Path, process: subprocess.Popen[str], count: int, until: float) -> None:
    """Wait until so many lines are in the journal, the command has ended, or it is late enough."""
    path = folder / "journal"

    def is_there() -> bool:
        lines = path.read_bytes().count(b'{"key"') if path.exists() else 0
        return lines >= count or process.poll() is not None or monotonic() >= until

    eventually(is_there, f"{count} lines in the journal", LONG_S)


def _in_peace(folder: Path, command: list[str]) -> list[bytes]:
    ended = _run(folder, command)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.encode().splitlines()


def _run(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=LONG_S,
        check=False,
    )


def _journalled(folder: Path) -> Counter[int]:
    """Return how often each item stands in the journal, read as plainly as can be."""
    path = folder / "journal"
    lines = path.read_bytes().split(b"\n")[1:] if path.exists() else []
    return Counter(
        json.loads(line)["result"]["item"]
        for line in lines
        if line.startswith(b'{"key"') and line.endswith(b"}}")
    )


def _check_calls(folder: Path, done: Counter[int]) -> int:
    """See that no item was run more often than it was not journalled; return the calls."""
    path = folder / "calls"
    calls = Counter(map(int, path.read_text().split() if path.exists() else ()))
    wanted = Counter(map(int, (folder / "list.jsonl").read_text().split()))
    for item, count in calls.items():
        assert count <= wanted[item] - done[item], item
    return calls.total()
