"""Histograms: quantiles near the truth, sums that add up."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, strategies as st

from procactors.metrics import Histogram
from procactors.metrics.histogram import BOUNDS_S
from procactors.metrics.prometheus import LE_S
from procactors.wire.meter_table import COLUMNS, SUM, index_of


def histogram_of(times_s):
    counts = [0] * COLUMNS
    for time_s in times_s:
        counts[index_of(round(time_s * 1e9)) - SUM - 1] += 1
    return Histogram(sum(times_s), tuple(counts))


@given(
    st.lists(st.floats(2e-6, 1000.0), min_size=1, max_size=200),
    st.floats(0.0, 1.0),
)
def test_a_quantile_is_at_most_an_eighth_beside_the_true_one(times, share):
    times.sort()
    true = times[max(0, math.ceil(share * len(times)) - 1)]
    found = histogram_of(times).quantile(share)
    assert true / 1.26 <= found <= true * 1.26


def test_the_median_of_many_even_times_is_within_a_few_percent(seed):
    chance = random.Random(seed)
    times = [chance.uniform(0.001, 0.002) for _ in range(10_000)]
    assert histogram_of(times).quantile(0.5) == pytest.approx(0.0015, rel=0.05)


def test_one_time_alone_stands_in_the_middle_of_its_column():
    low, high = BOUNDS_S[40], BOUNDS_S[41]
    found = histogram_of([low * 1.01])
    for share in (0.0, 0.4, 0.5, 0.99, 1.0):
        assert found.quantile(share) == pytest.approx((low + high) / 2)


@given(st.lists(st.floats(0.0, 0.01), min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_is_done_no_sooner(times, one, other):
    found = histogram_of(times)
    assert found.quantile(min(one, other)) <= found.quantile(max(one, other))


def test_what_is_empty_has_no_quantile_and_no_mean():
    assert Histogram().quantile(0.5) is None
    assert Histogram().mean is None
    assert Histogram().count == 0


def test_a_share_that_is_none_is_refused():
    with pytest.raises(ValueError, match="from 0 to 1"):
        Histogram().quantile(99)


def test_what_takes_longer_than_the_last_bound_counts_as_that():
    found = histogram_of([100_000.0])
    assert found.quantile(0.5) == BOUNDS_S[-1]


@given(st.lists(st.floats(0.0, 100.0), max_size=50), st.lists(st.floats(0.0, 100.0), max_size=50))
def test_two_together_have_what_both_have(these, those):
    both = histogram_of(these) + histogram_of(those)
    assert both.count == len(these) + len(those)
    assert both.sum_s == pytest.approx(sum(these) + sum(those))
    assert both.counts == histogram_of(these + those).counts


def test_nothing_and_something_is_something():
    found = histogram_of([1.0])
    assert Histogram() + found == found + Histogram() == found


@given(st.lists(st.floats(1e-6, 1000.0), max_size=100))
def test_the_buckets_of_an_exposition_are_cumulative_and_say_how_many_took_less(times):
    nanoseconds = [round(time_s * 1e9) for time_s in times]
    below = histogram_of(times).below(LE_S)
    assert below == tuple(sum(ns < round(le * 1e9) for ns in nanoseconds) for le in LE_S)


def test_a_bound_that_is_no_columns_is_refused():
    with pytest.raises(ValueError, match="not in tuple"):
        histogram_of([1.0]).below([0.7])
