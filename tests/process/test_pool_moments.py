"""Pools at the moments at which two things happen at once, or one at a bad time."""

from __future__ import annotations

import os
import resource
import sys
import threading
from concurrent.futures import wait
from contextlib import ExitStack

import pytest

from tests.support.gates import ALL
from tests.support.poolwork import Tally, square, wait_at
from tests.support.waiting import SHORT_S, eventually


@pytest.fixture
def pool(system):
    with system.options(size=2).pool(Tally) as pool:
        yield pool


def size_behind_gate(gate, data):
    gate.wait()
    return len(data)


def test_an_answer_is_taken_where_no_descriptor_is_left(pool, gate):
    """The segment of its arguments is let go by whoever takes the answer."""
    reply = pool.submit(size_behind_gate, gate, bytes(100_000))
    gate.arrival()
    with ExitStack() as taken:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, hard))
        taken.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        permits = taken.enter_context(open(gate.folder / "permits", "r+b", buffering=0))
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        permits.write(ALL)
        assert reply.result(SHORT_S) == 100_000
    assert pool.ask(square, 3) == 9


def test_a_callback_that_exits_keeps_no_other_from_being_called(pool, gate, caplog):
    replies = [pool.submit(wait_at, gate) for _ in range(2)]
    called = threading.Event()
    replies[0].add_done_callback(lambda _: sys.exit(3))
    replies[1].add_done_callback(lambda _: called.set())
    gate.open()
    assert called.wait(SHORT_S)
    eventually(lambda: "a callback of one" in caplog.text, "the word in the log")


def test_results_that_wait_hold_no_descriptors(pool):
    """Nor are they lost for want of them: an item of them has been run."""
    before = len(os.listdir("/proc/self/fd"))
    replies = [pool.submit(bytes, 10_000) for _ in range(200)]
    wait(replies, timeout=SHORT_S)
    assert len(os.listdir("/proc/self/fd")) < before + 50
    assert {len(reply.result()) for reply in replies} == {10_000}
