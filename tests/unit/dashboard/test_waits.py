"""Circles of actors that wait for each other."""

from __future__ import annotations

import random

from procactors.dashboard.waits import circles


def test_chains_have_no_circle():
    assert circles({}) == []
    assert circles({"a": "b", "b": "c", "d": "c"}) == []


def test_a_circle_is_found_once_whoever_waits_for_it_and_begins_with_its_first_name():
    assert circles({"c": "a", "a": "b", "b": "c", "x": "b", "y": "x"}) == [["a", "b", "c"]]


def test_there_may_be_several_and_one_may_wait_for_itself():
    assert circles({"a": "b", "b": "a", "x": "x", "n": "a"}) == [["a", "b"], ["x"]]


def test_whatever_waits_for_whatever_exactly_the_actors_that_come_back_to_themselves_are_in_one(
    seed,
):
    draw = random.Random(seed)
    for _ in range(300):
        names = "abcdefgh"[: draw.randrange(1, 9)]
        waiting = {name: draw.choice(names) for name in names if draw.random() < 0.8}

        def comes_back(name, waiting=waiting):
            at = waiting.get(name)
            for _ in waiting:
                if at == name:
                    return True
                at = waiting.get(at)
            return False

        found = [name for circle in circles(waiting) for name in circle]
        assert sorted(found) == sorted(name for name in names if comes_back(name))
