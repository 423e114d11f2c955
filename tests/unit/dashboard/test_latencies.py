"""Times of handlers: what has come since the look before."""

from __future__ import annotations

from procactors.dashboard.latencies import _less
from procactors.metrics import Histogram


def test_what_has_come_since_is_the_difference():
    before = Histogram(2.0, (1, 5, 0))
    now = Histogram(5.0, (1, 7, 4))
    assert _less(now, before) == Histogram(3.0, (0, 2, 4))


def test_without_a_look_before_it_is_all():
    now = Histogram(5.0, (1, 7, 4))
    assert _less(now, Histogram()) == now
    assert _less(Histogram(), Histogram()).quantile(0.5) is None


def test_what_an_actor_has_taken_away_at_its_end_makes_nothing_less_than_none():
    assert _less(Histogram(1.0, (0, 3)), Histogram(2.0, (1, 5))) == Histogram(0.0, (0, 0))
    assert _less(Histogram(), Histogram(2.0, (1, 5))).count == 0
