"""The Savina benchmarks come to the right answers on both sides; how fast is not tested."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.savina.__main__ import BENCHMARKS
from tests.support.source import ROOT

#: In a process of its own: the bare side forks, which a test run with threads must not.
PROGRAM = """
import json, sys
from importlib import import_module
from benchmarks.rounds import Effort

for name in sys.argv[1:]:
    found = import_module("benchmarks.savina." + name).measure(Effort(rounds=1, share=0.01))
    print(json.dumps([name, found.notes, [len(series.rounds) for series in found.series]]))
"""

#: Some in one process: an interpreter takes as long to start as one of them.
PARTS = [BENCHMARKS[number::4] for number in range(4)]


@pytest.mark.parametrize("names", PARTS, ids=" ".join)
def test_benchmarks_come_to_the_right_answer_on_both_sides(names):
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert found == [[name, [], [1, 1]] for name in names]


def test_every_benchmark_is_in_the_table():
    folder = ROOT / "benchmarks" / "savina"
    tools = {"__init__", "__main__", "bare", "contest"}
    assert {path.stem for path in folder.glob("*.py")} - tools == set(BENCHMARKS)
    page = (folder / "README.md").read_text()
    assert not [name for name in BENCHMARKS if f"`{name}.py`" not in page]
