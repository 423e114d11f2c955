"""The throttle: ten reports a second at most, the first at once, the last always."""

from __future__ import annotations

import numpy as np
import pytest

from procactors.observe.throttle import Throttle


class Clock:
    """A clock that stands until it is set."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sent():
    return []


@pytest.fixture
def throttle(sent, clock):
    return Throttle(lambda done, total: sent.append((done, total)), clock)


def test_the_first_goes_at_once_and_the_next_when_it_is_time(throttle, sent, clock):
    for done in range(1000):
        clock.now = 100.0 + done / 1000
        throttle.report(done)
    assert sent == [(done, None) for done in range(0, 1000, 100)]


def test_the_one_that_completes_the_total_always_goes(throttle, sent):
    for done in range(4):
        throttle.report(done, 3)
    assert sent == [(0, 3), (3, 3)]


def test_an_empty_total_is_complete_at_once(throttle, sent):
    throttle.report(1)
    throttle.report(0, 0)
    assert sent == [(1, None), (0, 0)]


def test_numbers_of_numpy_go_as_plain_ones(throttle, sent):
    for done in np.arange(3):
        throttle.report(done, np.int64(2))
    assert sent == [(0, 2), (2, 2)]
    assert all(type(number) is int for pair in sent for number in pair)


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [
        (-1, None, "done is a whole number from 0 on, not -1"),
        (0.5, None, r"done is a whole number from 0 on, not 0\.5"),
        ("1", 2, "done is a whole number from 0 on, not '1'"),
        (True, None, "done is a whole number from 0 on, not True"),
        (None, None, "done is a whole number from 0 on, not None"),
        (1, "2", "total is a whole number from 0 on, not '2'"),
        (1, 2.0, r"total is a whole number from 0 on, not 2\.0"),
        (1, -1, "total is a whole number from 0 on, not -1"),
        (3, 2, "done is at most the total, 2, not 3"),
    ],
)
def test_a_bad_value_is_named_whether_or_not_it_is_time(throttle, sent, done, total, text):
    for _ in range(2):
        with pytest.raises(ValueError, match=text):
            throttle.report(done, total)
        throttle.report(0)
    assert sent == [(0, None)]


def test_hurried_it_passes_the_next_one_on(throttle, sent):
    throttle.report(1)
    throttle.hurry()
    throttle.report(2)
    throttle.report(3)
    assert sent == [(1, None), (2, None)]
