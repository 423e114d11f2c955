"""Ctrl-C while a pool works: the map ends, the pool is in order, the program leaves nothing."""

from __future__ import annotations

import itertools
import os
import random
import signal

import pytest

from tests.support.poolwork import Tally, square
from tests.support.programs import running

SQUARES = [number * number for number in range(3000)]


class Interrupt(KeyboardInterrupt):
    """What the alarm raises, wherever the main thread is."""


@pytest.fixture
def alarm():
    """Sets an alarm, once, in so many seconds; 0 takes it back."""

    def ring(signum, frame):
        raise Interrupt

    def set_alarm(seconds):
        # Within the test: until then the alarm is that of the limit for tests.
        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    yield set_alarm
    signal.setitimer(signal.ITIMER_REAL, 0)


def test_an_interrupt_at_any_moment_of_a_map_leaves_the_pool_in_order(system, alarm, seed):
    draw = random.Random(seed)
    interrupts = 0
    with system.options(size=2).pool(Tally) as pool:
        for ordered in itertools.islice(itertools.cycle([True, False]), 60):
            try:
                alarm(draw.uniform(0.0001, 0.01))
                found = list(pool.map(square, range(3000), ordered=ordered))
                alarm(0)
                assert sorted(found) == SQUARES
            except Interrupt:
                interrupts += 1
        assert list(pool.map(square, range(3000))) == SQUARES
        assert pool.gather(Tally.double, 4) == [8, 8]
        assert [ref.status().incarnation for ref in pool.workers()] == [1, 1]
    assert interrupts


def test_ctrl_c_ends_a_program_in_the_middle_of_a_map():
    """One traceback of the program's own, and no process left."""
    program = """
        import itertools
        from procactors import ActorSystem

        def count(number):
            return sum(range(number % 1000))

        with ActorSystem() as system, system.options(size=2).pool() as pool:
            for number, _ in enumerate(pool.map(count, itertools.count())):
                if number == 1000:
                    print("under way", flush=True)
        """
    with running(program) as running_program:
        assert running_program.line() == "under way"
        os.killpg(running_program.process.pid, signal.SIGINT)
        code, _, errors = running_program.end()
        assert code == -signal.SIGINT
        assert errors.count("Traceback") == 1
        assert errors.rstrip().endswith("KeyboardInterrupt")
        running_program.await_nothing_left()
