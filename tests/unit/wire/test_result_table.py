"""Result tables: what is marked is done, whatever came after."""

from __future__ import annotations

import contextlib
import os
import pickle

import pytest

from procactors.errors import DecodeError
from procactors.runner.batches import (
    CALL,
    INLINE,
    ITEMS,
    STAR,
    STORED,
    BatchRunner,
    Outcome,
    WireSpan,
    by_reference,
    by_value,
    method_named,
    pack_batch,
)
from procactors.wire.result_table import (
    LIMIT,
    LOADING,
    MOST_ITEMS,
    SINCE,
    STARTED,
    ResultTables,
    Sealed,
)
from tests.support.faults import BreaksWhenLoaded, Fault


@pytest.fixture
def room(store):
    room = ResultTables(store)
    yield room
    room.close()


class Bench:
    """A worker's side and a pool's side on one table."""

    def __init__(self, store, room, limit=None):
        self.store = store
        self.result_table = room.lease()
        self.room = room
        self.spent = []
        self.limit = limit
        self.runner = BatchRunner(store, self.find, lambda: self.limit, self.spent.append)
        self.batch = 0

    def close(self):
        """What a worker's end does."""
        for result_table in self.runner._result_tables.values():
            result_table.close()
        self.room.give_back(self.result_table)

    def find(self, key):
        return {b"double": lambda item: 2 * item}[key]

    def run(self, *spans, flags=0, limit=None):
        self.batch += 1
        count = sum(span.stop - span.start for span in spans)
        self.result_table.prepare(self.batch, count)
        if limit is not None:
            self.result_table.lower(limit)
        packed = pack_batch(
            self.store.process, self.result_table.number, self.batch, 0, flags, spans
        )
        outcome = ran(self.runner, packed)
        done = self.result_table.done(count)
        assert done == outcome.done
        return (
            [opened(value) for value in self.result_table.take(self.store, 0, done)[0]]
            if done
            else []
        )


def opened(value):
    if type(value) is not Sealed:
        return value
    good, value = value.open()
    return value if good else ("failed", value)


def ran(runner, packed):
    """Run a batch as the worker's loop does."""
    args, kwargs = pickle.loads(packed)
    return Outcome(*runner.run(*args, **kwargs))


@pytest.fixture
def bench(store, room):
    with contextlib.closing(Bench(store, room)) as bench:
        yield bench


def items(function, values, start=0, stop=None, form=ITEMS):
    named = (
        method_named(function) if isinstance(function, bytes) else by_value(pickle.dumps(function))
    )
    stop = len(values) if stop is None else stop
    return WireSpan(named, pickle.dumps(values), INLINE, form, start, stop, len(values) == 1)


def answer(item):
    """One of each kind of outcome."""
    if item == "raise":
        raise Fault("on purpose")
    return item


def test_every_kind_of_result_comes_back_as_it_was(bench):
    values = [0, -1, 2**63 - 1, -(2**63), 2**63, True, 1.5, float("inf"), None, "x", b"y", [1], {}]
    found = bench.run(items(answer, values))
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    "values",
    [
        list(range(100)),
        [0.5] * 7,
        ["", "a", "bc", "d" * 4000],
        ["a", "é", "", "\U0001f600", "\ud800", "\ud83d\ude00"],
        ["x" * 5000, "é" * 3000, "y"],
        [True, False, True],
        [(1, "a"), (), (2, "b")],
    ],
    ids=["whole", "float", "text", "any-text", "long-text", "bool", "pickled"],
)
@pytest.mark.parametrize("behind", [[], [None, "z", 7, [1]]], ids=["alone", "mixed"])
def test_runs_of_one_kind_come_back(bench, values, behind):
    found = bench.run(items(answer, values + behind))
    assert found == values + behind
    assert [type(value) for value in found] == [type(value) for value in values + behind]


def test_outcomes_are_taken_from_any_place(bench):
    values = ["ab", "c", 3, "d", (4,), "ef"]
    bench.run(items(answer, values))
    for start in range(len(values)):
        for stop in range(start + 1, len(values) + 1):
            found, is_plain = bench.result_table.take(bench.store, start, stop)
            assert [opened(value) for value in found] == values[start:stop]
            assert is_plain is ((4,) not in values[start:stop])


@pytest.mark.parametrize(
    "values",
    [
        [-(2**63), -1, 0, 1, 2**63 - 1],
        [float("-inf"), -0.0, 0.0, 5e-324],
        [7, 0.5, None, "text", 8, True, 9, -1, 0.0, [1], 0],
    ],
    ids=["whole", "float", "mixed"],
)
def test_numbers_are_their_own_marks(bench, values):
    """Whatever they are, zero too: an item is done as soon as its number is there."""
    table, done = bench.result_table, []

    def looks(at):
        done.append(table.done(len(values)))
        return values[at]

    bench.find = lambda key: looks
    bench.runner = BatchRunner(bench.store, bench.find, lambda: None, bench.spent.append)
    try:
        assert bench.run(items(b"looks", list(range(len(values))))) == values
    finally:
        for other in bench.runner._result_tables.values():
            other.close()
        bench.runner._result_tables.clear()
    assert done == list(range(len(values)))


def test_a_failure_stands_in_its_place_with_its_traceback(bench):
    first, (failed, error), last = bench.run(items(answer, [1, "raise", 3]))
    assert (first, failed, last) == (1, "failed", 3)
    assert type(error) is Fault
    assert 'raise Fault("on purpose")' in str(error.__cause__)
    assert "batch.py" not in str(error.__cause__)


def test_methods_are_found_by_name_and_tuples_are_spread(bench):
    assert bench.run(items(b"double", [1, 2])) == [2, 4]
    assert bench.run(items(max, [(1, 2), (5, 3)], form=STAR)) == [2, 5]


def test_a_call_has_arguments_of_its_own(bench):
    call = WireSpan(
        by_value(pickle.dumps(sorted)),
        pickle.dumps((([2, 1],), {"reverse": True})),
        INLINE,
        CALL,
        0,
        1,
        True,
    )
    assert bench.run(call, call) == [[2, 1], [2, 1]]


def test_only_the_items_of_the_span_are_run(bench):
    assert bench.run(items(answer, list(range(10)), 3, 5)) == [3, 4]


def test_nothing_is_begun_at_or_behind_the_limit(bench):
    assert bench.run(items(answer, list(range(10))), limit=4) == [0, 1, 2, 3]
    assert bench.run(items(answer, [1, 2]), items(answer, [3, 4]), limit=3) == [1, 2, 3]
    assert bench.run(items(answer, [1, 2]), limit=0) == []


def test_a_life_that_makes_way_handles_no_more_than_its_bound(store, room):
    with contextlib.closing(Bench(store, room, limit=3)) as bench:
        assert bench.run(items(answer, list(range(10)))) == [0, 1, 2]
        assert bench.spent == [3]


def test_a_large_result_goes_to_a_segment_and_is_freed(bench):
    large = bytes(300_000)
    assert bench.run(items(len, [large])) == [300_000]
    assert bench.run(items(bytes, [300_000, 5])) == [large, bytes(5)]


def test_results_that_fill_the_area_end_the_batch_early(bench):
    found = bench.run(items(answer, ["x" * 3000] * 100))
    assert 50 < len(found) < 100
    assert set(found) == {"x" * 3000}


def test_a_payload_in_a_segment_is_read_and_left_to_the_pool(bench, store):
    reference = store.store(store.encode(list(range(2000))), 0)
    span = WireSpan(by_value(pickle.dumps(answer)), reference, STORED, ITEMS, 0, 2000, False)
    assert bench.run(span) == list(range(2000))
    assert bench.run(span) == list(range(2000))
    store.free(reference)


def test_a_function_in_a_segment_is_loaded_once(bench, store):
    reference = store.store(store.encode(len), 0)
    span = WireSpan(by_reference(reference), pickle.dumps(["ab", "c"]), INLINE, ITEMS, 0, 2, False)
    assert bench.run(span) == [2, 1]
    store.free(reference)
    assert bench.run(span) == [2, 1]


def test_items_that_cannot_be_loaded_together_are_told_as_a_whole(bench):
    bench.result_table.prepare(1, 2)
    span = items(answer, [1, BreaksWhenLoaded("exception")])
    packed = pack_batch(bench.store.process, bench.result_table.number, 1, 0, 0, [span])
    outcome = ran(bench.runner, packed)
    assert outcome.done == 0
    assert "could not be unpickled in the worker: Fault" in outcome.trouble
    assert bench.result_table.words[LOADING] == 0


def test_one_item_that_cannot_be_loaded_has_failed(bench):
    [(failed, error)] = bench.run(items(answer, [BreaksWhenLoaded("exception")]))
    assert failed == "failed"
    assert type(error) is DecodeError


def test_a_result_that_cannot_be_pickled_fails_its_item_alone(bench):
    found = bench.run(items(make, ["good", "lock", "good"]))
    assert (found[0], found[2]) == ("good", "good")
    assert "its result cannot be sent" in str(found[1][1])


def make(what):
    import threading

    return threading.Lock() if what == "lock" else what


def test_a_result_that_breaks_at_loading_fails_where_it_is_opened(bench):
    bench.result_table.prepare(1, 1)
    [sealed] = take(bench, items(breaking, ["sys.exit(3)"]))
    good, error = sealed.open()
    assert not good
    assert "SystemExit" in str(error)


def breaking(how):
    return BreaksWhenLoaded(how)


def take(bench, span):
    packed = pack_batch(bench.store.process, bench.result_table.number, 1, 0, 0, [span])
    ran(bench.runner, packed)
    return bench.result_table.take(bench.store, 0, 1)[0]


def test_an_exit_leaves_what_was_done_before_it(bench):
    bench.result_table.prepare(1, 3)
    span = items(exits_at, [1, 2, 3])
    packed = pack_batch(bench.store.process, bench.result_table.number, 1, 0, 0, [span])
    with pytest.raises(SystemExit):
        ran(bench.runner, packed)
    assert bench.result_table.done(3) == 1
    assert bench.result_table.words[STARTED] == 1


def exits_at(item):
    if item == 2:
        raise SystemExit(3)
    return item


def test_times_are_noted_only_where_they_are_asked_for(bench):
    bench.run(items(answer, [1]))
    assert bench.result_table.words[SINCE] == 0
    bench.run(items(answer, [1]), flags=1)
    assert bench.result_table.words[SINCE] > 0


def test_a_sheet_of_another_batch_is_refused(bench):
    bench.result_table.prepare(2, 1)
    packed = pack_batch(
        bench.store.process, bench.result_table.number, 1, 0, 0, [items(answer, [1])]
    )
    with pytest.raises(RuntimeError, match="expected batch 1 on its result table, found 2"):
        ran(bench.runner, packed)


def test_a_full_sheet_is_done(bench):
    assert bench.run(items(answer, list(range(MOST_ITEMS)))) == list(range(MOST_ITEMS))


def test_done_is_found_from_any_start(bench):
    bench.run(items(answer, list(range(10))), limit=6)
    assert [bench.result_table.done(10, start) for start in (0, 3, 6)] == [6, 6, 6]
    assert bench.result_table.done(6) == 6


def test_a_sheet_is_used_again_and_goes_with_its_room(store):
    room = ResultTables(store)
    result_table = room.lease()
    room.give_back(result_table)
    assert room.lease() is result_table
    path = os.path.join(
        store.path, "result_tables", f"{store.process:016x}", str(result_table.number)
    )
    assert os.path.exists(path)
    room.close()
    assert os.path.exists(path)
    room.give_back(result_table)
    assert not os.path.exists(path)


def test_a_batch_that_ends_while_it_is_looked_at_is_done(room):
    result_table = room.lease()
    result_table.prepare(1, 3)
    result_table.marks[0] = result_table.marks[1] = 1
    result_table.marks = EndsBehindALook(result_table.marks)
    assert result_table.done(3) == 3
    result_table.marks = result_table.marks.marks
    room.give_back(result_table)


def test_a_worker_leaves_the_limit_to_the_pool(bench):
    """Its own bound is its own: storing it would undo what the pool has just lowered."""
    bench.limit = 2
    span = items(abs, [1, 2, 3, 4])
    assert bench.run(span) == [1, 2]
    assert bench.result_table.words[LIMIT] == 4


class EndsBehindALook:
    """Marks of which the worker sets the last just behind the first look at it."""

    def __init__(self, marks):
        self.marks = marks

    def __getitem__(self, at):
        seen = self.marks[at]
        if at == 2:
            self.marks[2] = 1
        return seen
