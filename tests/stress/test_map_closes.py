"""Maps that are closed by one thread while another is in them, at any moment."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from procactors import ActorSystem
from tests.support.poolwork import square
from tests.support.waiting import SHORT_S

ROUNDS = 5000


def run(system, rounds, seed):
    """Close so many maps; return how many of them had not given all results."""
    pick = random.Random(seed)
    cut = 0
    with system.options(size=2).pool() as pool, ThreadPoolExecutor(1) as reader:
        for _ in range(rounds):
            count = pick.choice([3, 30, 1000])
            ordered, chunk = pick.random() < 0.7, pick.choice(["auto", 1, 5])
            results = pool.map(square, iter(range(count)), ordered=ordered, chunk=chunk)
            reading = reader.submit(list, results)
            until = time.perf_counter() + pick.random() * 0.001
            while time.perf_counter() < until:
                pass
            results.close()
            found = reading.result(SHORT_S)
            assert not ordered or found == [number**2 for number in range(len(found))]
            cut += len(found) < count
        assert pool.ask(square, 3) == 9
    return cut


def test_a_loop_over_a_map_ends_when_another_thread_closes_it(system, seed):
    assert run(system, 200, seed) > 0


@pytest.mark.stress
def test_five_thousand_maps_are_closed_by_another_thread(start_method, seed):
    with ActorSystem(start_method=start_method) as system:
        cut = run(system, ROUNDS, seed)
    print(f"{cut} of {ROUNDS} were cut short")
    assert cut > ROUNDS / 10
