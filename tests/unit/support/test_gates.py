"""Gates hold each process that comes, tell its pid, and let go as many as the test says."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading

import pytest

from tests.support.gates import Gate, new_gate
from tests.support.waiting import SHORT_S


@pytest.fixture
def visit(gate):
    """Start threads that go through the gate and leave their number on the other side."""
    passed: list[int] = []
    visitors = []

    def start(number: int) -> threading.Thread:
        def go() -> None:
            gate.wait()
            passed.append(number)

        visitors.append(threading.Thread(target=go))
        visitors[-1].start()
        return visitors[-1]

    yield start, passed
    gate.open()
    for visitor in visitors:
        visitor.join()


def test_a_visitor_is_told_of_and_stays_until_the_gate_opens(gate, visit):
    start, passed = visit
    visitor = start(1)
    assert gate.arrival() == os.getpid()
    assert passed == []
    gate.open()
    visitor.join()
    assert passed == [1]


def test_whoever_was_seen_passes_though_the_gate_is_left_at_once(tmp_path):
    for number in range(100):
        with new_gate(tmp_path / str(number)) as gate:
            visitor = threading.Thread(target=gate.wait)
            visitor.start()
            gate.arrival()
        visitor.join(SHORT_S)
        assert not visitor.is_alive()


def test_an_open_gate_lets_everybody_pass(gate, visit):
    start, passed = visit
    gate.open()
    for number in (1, 2, 3):
        start(number).join()
    assert passed == [1, 2, 3]


def test_a_permit_lets_one_pass(gate, visit):
    start, passed = visit
    gate.let_pass()
    start(1).join()
    start(2)
    gate.arrival()
    gate.arrival()
    assert passed == [1]


def test_a_gate_travels_as_a_path(gate):
    assert pickle.loads(pickle.dumps(gate)) == Gate(gate.folder)


def test_an_arrival_outlives_the_one_who_came(gate):
    child = multiprocessing.get_context("fork").Process(target=gate.wait)
    child.start()
    os.kill(gate.arrival(), signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    child.close()


def test_waiting_for_nobody_fails_and_says_so(tmp_path):
    with new_gate(tmp_path / "other") as gate, pytest.raises(AssertionError, match="arrivals"):
        gate.arrival(timeout=0.01)
