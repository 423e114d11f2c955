"""Alarms of an engine: in order, and gone when they were cancelled."""

from __future__ import annotations

import math

from procactors.local.alarms import Alarms


def test_the_next_one_comes_first_and_of_one_instant_the_first_that_was_set():
    alarms, done = Alarms(), []
    for when, name in ((3.0, "c"), (1.0, "a"), (3.0, "d"), (2.0, "b")):
        alarms.set(when, lambda name=name: done.append(name))
    instants = []
    while (when := alarms.next_at()) < math.inf:
        instants.append(when)
        alarms.pop()()
    assert (instants, done) == ([1.0, 2.0, 3.0, 3.0], ["a", "b", "c", "d"])


def test_what_was_cancelled_is_not_done_and_not_kept():
    alarms, done = Alarms(), []
    kept = [alarms.set(1e6 + at, lambda at=at: done.append(at)) for at in range(10)]
    for at in range(10_000):
        alarms.set(1e9 + at, done.clear).cancel()
    assert len(alarms) < 3000
    kept[0].cancel()
    assert alarms.next_at() == 1e6 + 1
    while alarms.next_at() < math.inf:
        alarms.pop()()
    assert done == list(range(1, 10))
