"""The last minutes of each actor, in rings."""

from __future__ import annotations

from procactors.dashboard.history import TOTAL, History


def test_a_series_is_in_the_order_of_time_and_begins_anew_behind_the_last_place():
    history = History(looks=4)
    for now in range(6):
        history.record(now, {7: (now, 10 * now, 0.5, 1000.0)})
    assert history.of(7) == {
        "at": [2, 3, 4, 5],
        "rate": [2, 3, 4, 5],
        "mailbox": [20, 30, 40, 50],
        "cpu": [0.5] * 4,
        "memory": [1000.0] * 4,
    }


def test_an_actor_has_nothing_before_it_was_there():
    history = History(looks=8)
    history.record(1, {TOTAL: (1, 1, 1, 1)})
    history.record(2, {TOTAL: (1, 1, 1, 1), 3: (5, 5, 5, 5)})
    assert history.of(3)["rate"] == [None, 5]
    assert history.of(TOTAL)["rate"] == [1, 1]


def test_who_is_gone_is_forgotten():
    history = History(looks=8)
    history.record(1, {3: (5, 5, 5, 5)})
    history.record(2, {})
    history.record(3, {3: (6, 6, 6, 6)})
    assert history.of(3)["rate"] == [None, None, 6]
    assert history.of(99)["cpu"] == [None, None, None]


def test_before_the_first_look_there_is_nothing():
    assert History().of(TOTAL) == {"at": [], "rate": [], "mailbox": [], "cpu": [], "memory": []}
