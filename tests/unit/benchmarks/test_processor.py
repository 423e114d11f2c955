"""Processor time and places: what the kernel says of another process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.places import FREE, ONE, TWO, Place, usable
from benchmarks.processor import costed, used_ns

#: Reads a line, works for 50 ms of processor time, writes a line; again and again.
WORKER = """
import sys, time
for _ in sys.stdin:
    end = time.process_time() + 0.05
    while time.process_time() < end: pass
    print("done", flush=True)
"""


@pytest.fixture
def worker():
    command = [sys.executable, "-c", WORKER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process


def work(worker):
    worker.stdin.write(b"\n")
    worker.stdin.flush()
    worker.stdout.readline()
    return [1.0]


def test_a_round_is_charged_with_what_the_other_side_has_run(worker):
    work(worker)  # it has started, and imported, before the round

    found = costed(lambda: work(worker) + work(worker), 2, [worker.pid, None])()

    assert found.samples == [1.0, 1.0]
    assert found.other >= 50_000
    assert found.caller < found.other


def test_a_process_that_has_gone_has_used_nothing():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert used_ns(process.pid) == 0


def test_both_sides_share_a_core_on_one_and_none_on_two():
    assert ONE.alone
    assert not TWO.alone
    assert not FREE.alone
    assert (FREE.cores, ONE.cores, TWO.cores) == (1, 1, 2)


def test_the_other_side_is_kept_on_its_core(worker):
    last = usable() - 1
    Place("there", 0, last).settle(worker.pid)
    assert len(os.sched_getaffinity(worker.pid)) == 1
    assert os.sched_getaffinity(worker.pid) == {Place("there", 0, last).core_there}


def test_a_free_place_keeps_nothing_anywhere(worker):
    before = os.sched_getaffinity(worker.pid)
    FREE.settle(worker.pid)
    assert os.sched_getaffinity(worker.pid) == before
