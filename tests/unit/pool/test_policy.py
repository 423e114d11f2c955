"""What a pool decides without a process: sizes of batches, of the pool, and who gets a key."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from procactors import Options, errors
from procactors.pool.batch import Batch, Span
from procactors.pool.map_options import checked_options
from procactors.pool.routing import Ring, key_bytes
from procactors.pool.scaling import WAIT_S, Demand, wanted
from procactors.pool.sizing import TARGET_S, Pace, Paces
from procactors.wire.result_table import MOST_ITEMS


def test_the_first_batch_is_one_item():
    assert Pace().size(None, 4) == 1
    assert Pace().takes_s(10) is None


def test_a_batch_is_meant_to_take_ten_milliseconds():
    pace = Pace()
    for _ in range(20):
        pace.seen(100, 0.1)
    assert pace.size(None, 2) == pytest.approx(TARGET_S / 0.001, abs=1)
    assert pace.takes_s(10) == pytest.approx(0.01)


def test_slow_items_go_one_by_one():
    pace = Pace()
    pace.seen(1, 3.0)
    assert pace.size(None, 2) == 1


def test_one_fast_item_does_not_make_a_huge_batch():
    pace = Pace()
    pace.seen(1, 1e-6)
    assert pace.size(None, 2) == 256
    pace.seen(256, 256e-6)
    assert pace.size(None, 2) == MOST_ITEMS


def test_a_batch_counts_by_its_items():
    pace = Pace()
    pace.seen(1, 30e-6)  # its function was loaded, too
    pace.seen(256, 256e-6)
    assert pace.cost_s == pytest.approx(1e-6, rel=0.2)
    pace.seen(1, 1.0)
    assert pace.cost_s == pytest.approx(0.5, rel=0.1)  # slow ones count at once


def test_another_map_of_a_function_begins_with_what_the_last_has_seen():
    paces = Paces()
    first = paces.begin(b"f")
    first.seen(4096, 4096e-6)
    assert paces.begin(b"other").size(20_000, 2) == 1
    again = paces.begin(b"f")
    assert again.size(None, 2) == MOST_ITEMS
    assert again.size(8, 2) == 2  # these may be others: they are shared
    again.seen(2, 2e-6)
    assert again.size(8, 2) == 1000


def test_all_calls_of_a_function_share_its_pace():
    paces = Paces()
    assert paces.of(b"f") is paces.of(b"f")
    assert paces.of(b"f") is not paces.of(b"g")


def test_tiny_chunks_share_a_message_up_to_a_millisecond_of_work():
    pace = Pace()
    assert pace.together(1) == 1
    pace.seen(100, 100 * 50e-6)
    assert (pace.together(1), pace.together(4), pace.together(100)) == (20, 5, 1)
    pace.seen(100_000, 0.01)
    assert pace.together(1) == 64


def test_items_of_which_none_was_seen_are_shared_in_equal_parts():
    paces = Paces()
    paces.begin(b"f").seen(4096, 4096e-6)
    again, left, sizes = paces.begin(b"f"), 8000, []
    for sent in range(4):
        sizes.append(again.size(left, 2, sent))
        left -= sizes[-1]
    assert sizes == [1000] * 4
    assert again.size(80_000, 2) == MOST_ITEMS
    assert again.size(40_000, 2) == 5000  # four for each worker
    assert again.size(6000, 2) == 1000  # not less than a millisecond,
    assert again.size(2000, 2) == 500  # but two for each


def test_a_pool_does_not_remember_every_function():
    paces = Paces()
    paces.begin(b"f").seen(1000, 0.001)
    for number in range(256):
        paces.begin(b"%d" % number)
    assert paces.begin(b"f").cost_s is None


def test_tiny_items_fill_a_sheet_at_most():
    pace = Pace()
    for size in (1, 256, 4096):
        pace.seen(size, size * 1e-8)
    assert pace.size(None, 2) == MOST_ITEMS


def test_the_end_of_the_input_is_shared():
    pace = Pace()
    for _ in range(20):
        pace.seen(1000, 1.0)
    assert pace.size(8, 2) == 2
    assert pace.size(1, 2) == 1


def test_the_end_of_the_input_is_not_cut_into_crumbs():
    pace = Pace()
    for size in (1, 256, 4096):
        pace.seen(size, size * 1e-6)
    assert pace.size(400, 2) == 1000


@given(
    st.lists(st.tuples(st.integers(1, 4096), st.floats(1e-9, 100)), max_size=10),
    st.none() | st.integers(1, 10**6),
    st.integers(1, 64),
)
def test_a_batch_always_has_an_item_and_fits_a_sheet(seen, waiting, workers):
    pace = Pace()
    for items, seconds in seen:
        pace.seen(items, seconds)
    assert 1 <= pace.size(waiting, workers) <= MOST_ITEMS


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=5),
    st.integers(0, 50),
    st.integers(0, 50),
)
def test_a_batch_is_cut_into_parts_that_have_items(spans, start, stop):
    batch = Batch.__new__(Batch)  # nothing of it is used but its spans
    load: Any = None
    batch.spans = [Span(load, b"", b"", load, 0, at, at + count) for at, count in spans]
    numbers = [(span, at) for span in batch.spans for at in range(span.start, span.stop)]
    parts = list(batch.parts(start, stop))
    assert all(part.stop > part.start for part, _ in parts)
    found = [at for part, _ in parts for at in range(part.start, part.stop)]
    assert found == [at for _, at in numbers[start:stop]]
    assert [place for _, place in parts] == sorted(place for _, place in parts)


def test_work_that_waits_adds_workers_up_to_the_bound():
    assert wanted(Demand(2, 10, WAIT_S, 0), 1, 8) == 4
    assert wanted(Demand(2, 1, WAIT_S, 0), 1, 8) == 3
    assert wanted(Demand(6, 10, WAIT_S, 0), 1, 8) == 8


def test_work_that_has_only_just_come_adds_nobody():
    assert wanted(Demand(2, 10, WAIT_S / 2, 0), 1, 8) == 2


def test_the_idle_go_down_to_the_bound():
    assert wanted(Demand(6, 0, 0.0, 5), 2, 8) == 2
    assert wanted(Demand(6, 0, 0.0, 1), 2, 8) == 5


def test_nobody_goes_while_work_waits():
    assert wanted(Demand(6, 1, 0.0, 1), 2, 8) == 6


def test_a_pool_that_has_lost_workers_gets_them_back():
    assert wanted(Demand(1, 0, 0.0, 0), 2, 8) == 2


@given(
    st.integers(0, 20), st.integers(0, 100), st.floats(0, 10), st.integers(0, 20), st.integers(1, 9)
)
@example(20, 0, 0.0, 10, 1)  # more than the bound, and of them too few idle
def test_the_bounds_hold(workers, waiting, waited_s, idle, least):
    size = wanted(Demand(workers, waiting, waited_s, min(idle, workers)), least, 9)
    assert least <= size <= 9


def test_equal_keys_mean_the_same_worker_in_every_ring():
    for key in ("a", b"a", 7, ("a", 7), None):
        first, second = Ring([0, 1, 2]), Ring([2, 1, 0])
        assert first.worker(key_bytes(key)) == second.worker(key_bytes(key))


def test_one_and_one_are_different_keys_by_type():
    assert len({key_bytes(key) for key in (1, "1", b"1", 1.0)}) == 4


def test_a_worker_more_moves_few_keys():
    keys = [key_bytes(f"key-{number}") for number in range(5000)]
    before, after = Ring(range(9)), Ring(range(10))
    moved = [key for key in keys if before.worker(key) != after.worker(key)]
    assert all(after.worker(key) == 9 for key in moved)
    assert len(moved) < 2 * len(keys) / 10


def test_keys_are_spread():
    ring = Ring(range(10))
    counts = Counter(ring.worker(key_bytes(number)) for number in range(20_000))
    assert len(counts) == 10
    assert max(counts.values()) < 2 * 20_000 / 10


def test_a_key_that_cannot_be_pickled_is_named():
    with pytest.raises(errors.EncodeError, match="a key that can be pickled"):
        key_bytes(lambda: None)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"in_flight": 0}, "in_flight"),
        ({"chunk": 0}, "chunk"),
        ({"chunk": "many"}, "chunk"),
        ({"retries": -1}, "retries"),
        ({"retries": True}, "retries"),
        ({"on_error": "ignore"}, "'collect'"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "1"}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
    ],
)
def test_an_argument_of_a_map_that_makes_no_sense_is_named(given, text):
    with pytest.raises(errors.InvalidSpec, match=text):
        checked_options(False, None, given)


def test_an_argument_of_a_map_that_is_not_known_is_named():
    with pytest.raises(TypeError, match="chunksize"):
        checked_options(False, None, {"chunksize": 1})


@pytest.mark.parametrize("size", [0, -1, True, "2", 1.5, (1,), (0, 2), (3, 2), (1, 2, 3)])
def test_a_size_that_makes_no_sense_is_an_error(size):
    with pytest.raises(errors.InvalidSpec, match="size"):
        Options(size=size)
