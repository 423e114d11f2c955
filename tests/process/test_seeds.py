"""Random numbers: a stream for each incarnation of each actor, which can be had again."""

# ruff: noqa: NPY002 - numpy's old interface is the one with a global generator

from __future__ import annotations

import os
import random
import signal
import sys

import pytest

from procactors import Actor, ActorSystem, current_context
from procactors.errors import ActorDied
from procactors.seeds import derive
from tests.support.actors import Echo


def own_seed():
    """A plain function, of no actor in particular."""
    return current_context().seed


class Drawer(Actor):
    """Draws random numbers; the first in its constructor."""

    def __init__(self):
        self.first = random.random()

    def seed(self):
        return self.context.seed

    def draws(self):
        return self.first, random.random()

    def global_draw(self, name="numpy.random"):
        """Draw from numpy's global generator; the flag says whether it was there at the start."""
        was_there = name in sys.modules
        import numpy as np

        return was_there, float(np.random.random())

    def call(self, function):
        return function()

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)


def kill(ref):
    """End this life of an actor; return the report."""
    with pytest.raises(ActorDied) as died:
        ref.ask(Drawer.die)
    return died.value.report


def test_each_life_of_each_actor_has_a_seed_of_its_own(system):
    one, other = system.spawn(Drawer), system.spawn(Drawer)
    seeds = [one.ask(Drawer.seed), other.ask(Drawer.seed)]
    kill(one)
    seeds.append(one.ask(Drawer.seed))
    with ActorSystem() as second:
        seeds.append(second.spawn(Drawer).ask(Drawer.seed))
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 2**128 for seed in seeds)


def test_the_report_of_a_crash_has_the_seed_of_the_life_that_ended(system):
    ref = system.spawn(Drawer)
    seed = ref.ask(Drawer.seed)
    report = kill(ref)
    assert report.seed == report.to_dict()["seed"] == seed != ref.ask(Drawer.seed)


def test_with_a_root_each_life_draws_in_another_system_what_it_drew_in_the_first(start_method):
    runs = []
    for _ in range(2):
        with ActorSystem(start_method=start_method) as system:
            system.spawn(Echo)  # what else is started does not matter
            ref = system.options(seed=7).spawn(Drawer)
            lives = [(ref.ask(Drawer.seed), ref.ask(Drawer.draws))]
            kill(ref)
            lives.append((ref.ask(Drawer.seed), ref.ask(Drawer.draws)))
            runs.append(lives)
    assert runs[0] == runs[1]
    (first_seed, first), (second_seed, second) = runs[0]
    assert (first_seed, second_seed) == (derive(7, 1), derive(7, 2))
    again = random.Random(first_seed)
    assert first == (again.random(), again.random()) != second


def test_without_a_root_no_two_actors_draw_alike(system):
    draws = [system.spawn(Drawer).ask(Drawer.draws) for _ in range(3)]
    assert len(set(draws)) == 3


def test_copies_of_a_preloaded_numpy_do_not_repeat_each_other(start_method):
    with ActorSystem(start_method=start_method, preload=["numpy.random"]) as system:
        refs = [system.spawn(Drawer) for _ in range(3)]
        drawn = [ref.ask(Drawer.global_draw) for ref in refs]
        kill(refs[0])
        drawn.append(refs[0].ask(Drawer.global_draw))
        seeds = [ref.ask(Drawer.seed) for ref in refs]
    assert len({value for _, value in drawn}) == 4
    if start_method == "forkserver":
        import numpy as np

        assert all(was_there for was_there, _ in drawn)
        assert drawn[1][1] == np.random.RandomState(seeds[1] & 0xFFFFFFFF).random()


def test_numpy_is_not_imported_for_it(start_method):
    if start_method == "fork":
        pytest.skip("this process, and so its copies, has numpy")
    with ActorSystem(start_method=start_method) as system:
        was_there, _ = system.options(seed=1).spawn(Drawer).ask(Drawer.global_draw, "numpy")
        assert not was_there


def test_a_function_in_an_actor_finds_its_context(system):
    ref = system.spawn(Drawer)
    assert ref.ask(Drawer.call, own_seed) == ref.ask(Drawer.seed)


def test_in_the_main_program_there_is_no_context():
    with pytest.raises(RuntimeError, match="this process is no actor"):
        current_context()
