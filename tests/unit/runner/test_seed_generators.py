"""What a new process's generators begin with, as far as this process can show it."""

# ruff: noqa: NPY002 - numpy's old interface is the one with a global generator

from __future__ import annotations

import random
import threading

import numpy as np
import pytest

from procactors.runner.setup import seed_generators


@pytest.fixture(autouse=True)
def as_before():
    """Leave this process's generators as they were."""
    state, generator = random.getstate(), np.random.get_bit_generator()
    legacy = np.random.get_state()
    yield
    random.setstate(state)
    np.random.set_bit_generator(generator)
    np.random.set_state(legacy)


def test_numpy_is_seeded_always_and_the_module_random_by_a_chosen_root_alone():
    random.seed(1)
    untouched = random.Random(1).random()
    seed_generators(2**100 + 5, False)
    assert random.random() == untouched
    assert np.random.random() == np.random.RandomState(5).random()
    seed_generators(2**100 + 5, True)
    assert random.random() == random.Random(2**100 + 5).random()


def test_a_generator_in_use_at_the_fork_is_left_and_the_log_says_so(caplog):
    """Seeding it would wait for a thread that is not in this process."""
    lock = np.random.get_bit_generator().lock
    taken, free = threading.Event(), threading.Event()

    def hold():
        with lock:
            taken.set()
            free.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(30)
    try:
        seed_generators(5, False)
    finally:
        free.set()
        holder.join()
    assert "in use at the fork" in caplog.text


def test_another_generator_in_the_global_ones_place_is_seeded_too():
    np.random.set_bit_generator(np.random.PCG64(1))
    seed_generators(5, False)
    assert np.random.random() == np.random.RandomState(np.random.PCG64(5)).random()
