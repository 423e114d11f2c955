"""`procactors map --backend ray`: as on processes, and to its end though a node goes away."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.cluster.conftest import Nodes
from tests.support.programs import environment, ran
from tests.support.waiting import LONG_S, eventually

pytestmark = [pytest.mark.ray, pytest.mark.sample]

JOBS = """
import time

def half(text):
    if text == "7":
        raise KeyError("on purpose")
    return int(text) / 2

def slow(text):
    time.sleep(0.01)
    return int(text)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "list").write_text("".join(f"{number}\n" for number in range(1000)))
    (tmp_path / "few").write_text("".join(f"{number}\n" for number in range(40)))
    return tmp_path


MAP = ("-m", "procactors", "map", "-j", "4")


def run(folder, *arguments):
    return ran(folder, *MAP, *arguments)


def read(path):
    return [int(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def test_results_errors_order_and_journal_are_those_of_processes(nodes: Nodes, folder):
    there = ["--backend", "ray", "--address", nodes.address]
    ways = {"here": [], "there": [*there, "--working-dir", "."]}
    for way, place in ways.items():
        job = ["jobs:half", "few", "--ordered", "-o", way, "--errors", f"{way}.errors"]
        ended = run(folder, *job, "--resume", f"{way}.journal", *place)
        assert ended.returncode == 1, ended.stderr
        assert "39 done, 1 failed" in ended.stderr
    assert (folder / "there").read_text() == (folder / "here").read_text()
    (failed,) = map(json.loads, (folder / "there.errors").read_text().splitlines())
    (expected,) = map(json.loads, (folder / "here.errors").read_text().splitlines())
    assert failed["error"]["type"] == expected["error"]["type"] == "KeyError"
    assert failed["item"] == "7"
    again = run(folder, *job, "--resume", "there.journal", *there)
    assert "0 done, 1 failed, 39 skipped" in again.stderr
    assert (folder / "there").read_text() == (folder / "here").read_text()
    swapped = run(folder, *job, "--resume", "there.journal")  # and it goes on elsewhere
    assert "39 skipped" in swapped.stderr


def test_a_job_of_a_thousand_items_ends_complete_though_a_node_is_killed(nodes: Nodes, folder):
    other = nodes.add()
    results = folder / "results"
    arguments = ["--ordered", "--bare", "--retries", "3", "--chunk", "2", "-o", "results"]
    place = ["--backend", "ray", "--address", nodes.address]
    line = [sys.executable, *MAP, "jobs:slow", "list", *arguments, *place]
    with subprocess.Popen(
        line, cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True
    ) as job:
        eventually(
            lambda: results.exists() and results.read_text().count("\n") > 100, "results", LONG_S
        )
        busy = nodes.busy(other)
        nodes.kill(other)
        _, errors = job.communicate(timeout=LONG_S)
    assert job.returncode == 0, errors
    assert read(results) == list(range(1000))
    assert busy
    assert "1000 done, 0 failed" in errors
