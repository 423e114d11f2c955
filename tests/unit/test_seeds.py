"""Seeds: a number for each path under a root, always the same one."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from procactors.seeds import derive


def test_the_number_of_a_path_is_the_same_for_ever():
    """A program that has noted a root can draw the same numbers with the next release."""
    assert derive(7) == 0x4DD1DC350D5C6ACE6CAA99F740D55FD8
    assert derive(7, 1) == 0x02FAFFC16801D5B997D5534642837FD7
    assert derive(2**200, "worker", 3) == 0xE328476C3878C2D718E8971CE5E774AB


def test_paths_that_look_alike_have_numbers_of_their_own():
    paths = [(), (1,), ("1",), (-1,), (1, 1), (11,), ("11",), ("a", "b"), ("ab",), ("", "ab")]
    paths += [("ab", ""), ("a\n",), ("number 1\n",), (0,), ("",), (2**64,), ("ä",), ("\udc80",)]
    numbers = [derive(root, *path) for root, path in itertools.product((0, 1, -1, 7), paths)]
    assert len(set(numbers)) == len(numbers)
    assert all(0 <= number < 2**128 for number in numbers)


def test_both_generators_take_a_seed_whole():
    seed = derive(7, 1)
    assert random.Random(seed).random() == random.Random(seed).random()
    draws = [np.random.default_rng(derive(7, n)).random() for n in range(100)]
    assert len(set(draws)) == 100


@pytest.mark.parametrize("part", [1.5, None, b"1"], ids=repr)
def test_what_is_neither_number_nor_word_is_refused(part):
    with pytest.raises(TypeError, match="integer"):
        derive(1, part)
    with pytest.raises(TypeError, match="integer"):
        derive(part)
