"""Is it hung, is it over its limit, did the watchdog stand still: on a manual clock."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from procactors import Limits, Options
from procactors.supervision.health import (
    Look,
    Standstill,
    interval_s,
    is_hung,
    is_late,
    is_over,
    standstill,
)


def busy(now, since, handled=0):
    return Look(now, handled, since, True)


def waiting(now, handled=0):
    return Look(now, handled, None, True)


def idle(now, handled=0):
    return Look(now, handled, None, False)


def watched(looks, timeout, awake_since=0.0):
    """The instant of the first look that finds the actor hung."""
    still = None
    for look in looks:
        still = standstill(still, look, awake_since)
        if is_hung(still, timeout, look.now):
            return look.now
    return None


def test_a_handler_counts_from_its_own_beginning_not_from_the_first_look():
    assert watched([busy(10.0, 9.5), busy(10.4, 9.5), busy(10.6, 9.5)], 1.0) == 10.6


def test_a_handler_may_take_exactly_its_time():
    assert watched([busy(10.0, 9.0)], 1.0) is None


def test_handlers_one_after_the_other_never_add_up():
    looks = [busy(0.9 * n, 0.9 * n - 0.8, handled=n) for n in range(1, 100)]
    assert watched(looks, 1.0) is None


def test_an_idle_actor_without_messages_is_never_hung():
    assert watched([idle(float(n)) for n in range(100)], 1.0) is None


def test_messages_that_wait_untaken_count_from_the_first_look_that_saw_them():
    assert watched([idle(0.0), waiting(0.5), waiting(1.4), waiting(1.6)], 1.0) == 1.6


def test_an_actor_that_moves_between_looks_is_not_hung_though_something_always_waits():
    assert watched([waiting(0.9 * n, handled=n) for n in range(100)], 1.0) is None


def test_the_wait_between_two_handlers_is_none():
    """The first look after a handler starts a new count."""
    looks = [busy(1.0, 0.2), waiting(1.1), busy(2.0, 1.2, handled=1)]
    assert watched(looks, 1.0) is None


def test_time_before_the_awakening_does_not_count():
    """The full time again from then, for a handler and for what waits."""
    assert watched([busy(100.0, 1.0), busy(100.9, 1.0)], 1.0, awake_since=100.0) is None
    assert watched([busy(101.1, 1.0)], 1.0, awake_since=100.0) == 101.1
    still = Standstill(0, 1.0, 1.0, False)
    assert standstill(still, waiting(100.0), 100.0).since == 100.0


def test_an_old_awakening_takes_nothing_from_a_new_message():
    assert standstill(None, busy(10.0, 9.0), 3.0).since == 9.0


def test_without_a_timeout_nothing_is_hung():
    assert not is_hung(Standstill(0, 0.0, 0.0, True), None, 1e9)


@given(
    now=st.integers(100, 10**6),
    age=st.integers(0, 100),
    timeout=st.integers(1, 100),
    awake=st.integers(0, 100),
)
def test_a_busy_actor_is_hung_after_its_time_in_the_handler_and_since_the_awakening(
    now, age, timeout, awake
):
    still = standstill(None, busy(now, now - age), now - awake)
    assert is_hung(still, timeout, now) is (age > timeout and awake > timeout)


@pytest.mark.parametrize(
    ("interval", "behind", "late"),
    [(0.05, 0.2, False), (0.05, 0.3, True), (0.5, 2.0, False), (0.5, 2.6, True), (0.1, 3600, True)],
)
def test_a_look_is_late_when_it_was_kept_from_coming(interval, behind, late):
    assert is_late(10.0, 10.0 + behind, interval) is late


def test_a_look_that_is_early_is_not_late():
    assert not is_late(10.0, 9.0, 0.1)


def test_only_more_than_the_limit_is_over_it():
    assert is_over(101, Limits(memory=100))
    assert not is_over(100, Limits(memory=100))
    assert not is_over(10**15, Limits())
    assert not is_over(10**15, None)


@pytest.mark.parametrize(
    ("options", "interval"),
    [
        (Options(), None),
        (Options(limits=Limits(threads=2, nice=1)), None),
        (Options(limits=Limits(memory=1)), 0.1),
        (Options(handle_timeout=1.0), 0.1),
        (Options(handle_timeout=0.001), 0.02),
        (Options(handle_timeout=3600.0), 0.5),
        (Options(handle_timeout=3600.0, limits=Limits(memory=1)), 0.1),
        (Options(handle_timeout=0.3, limits=Limits(memory=1)), 0.03),
    ],
)
def test_looks_come_as_often_as_the_options_need_and_not_at_all_without(options, interval):
    assert interval_s(options) == (None if interval is None else pytest.approx(interval))
