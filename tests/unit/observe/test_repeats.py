"""Lines that repeat are shown a few times and counted exactly, in bounded memory."""

from __future__ import annotations

import random

from procactors.observe.repeats import Repeats


def test_the_first_few_are_shown_and_the_rest_is_counted_when_the_second_is_over():
    repeats = Repeats(2)
    assert [repeats.admits("a", n, 0.1 * n) for n in range(5)] == [True, True, False, False, False]
    assert list(repeats.over(0.9)) == []
    assert repeats.patience(0.9) == 1.0 - 0.9
    assert list(repeats.over(1.0)) == [(4, 3)]
    assert repeats.patience(1.0) is None
    assert repeats.admits("a", 5, 1.0)


def test_nothing_is_told_of_what_was_shown():
    repeats = Repeats(2)
    assert [repeats.admits("a", n, 0.0) for n in range(2)] == [True, True]
    assert repeats.patience(0.0) is None
    assert list(repeats.rest()) == []


def test_without_a_limit_all_are_shown():
    repeats = Repeats(None)
    assert all(repeats.admits("a", n, 0.0) for n in range(1000))
    assert list(repeats.over(9.0)) == list(repeats.rest()) == []


def test_whatever_comes_each_is_shown_or_counted_once(seed):
    chance, repeats, shown, counted = random.Random(seed), Repeats(3), 0, 0
    now, total = 0.0, 50_000
    for number in range(total):
        now += chance.random() / 1000
        shown += repeats.admits(chance.randrange(8000), number, now)
        counted += sum(count for _, count in repeats.over(now))
        assert len(repeats._windows) <= 4097
    counted += sum(count for _, count in repeats.rest())
    assert shown + counted == total
