"""Maps: what is taken, in what order it comes, and what an error does."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import signal
import sys
import threading
import weakref
from collections import Counter

import pytest

from procactors import ActorSystem, ExitKind, Progress, errors
from procactors.pool.map_state import Chunk
from tests.support.faults import BreaksWhenPickled, Fault, Unrebuildable
from tests.support.gates import Gate, new_gate
from tests.support.poolwork import (
    Tally,
    breaks,
    gate_or_square,
    note,
    once_bad,
    once_raises,
    pid,
    report,
    square,
)
from tests.support.terminals import Terminal, screen
from tests.support.waiting import SHORT_S, aside, eventually


@pytest.fixture
def pool(system):
    with system.options(size=2).pool(Tally) as pool:
        yield pool


class Source:
    """An input that says how much was taken of it."""

    def __init__(self, items):
        self._items = iter(items)
        self.taken = 0

    def __iter__(self):
        return self

    def __next__(self):
        item = next(self._items)
        self.taken += 1
        return item


SQUARES = [number * number for number in range(3000)]


@pytest.mark.parametrize("chunk", ["auto", 1, 7, 5000])
def test_results_come_in_the_order_of_the_items(pool, chunk):
    count = 300 if chunk == 1 else 3000
    assert list(pool.map(square, range(count), chunk=chunk)) == SQUARES[:count]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("chunk", ["auto", 1, 7])
def test_what_breaks_when_it_is_opened_stands_among_results_that_do_not(pool, chunk, ordered):
    items = [("result load", "exception") if at % 50 == 7 else (at,) for at in range(300)]
    words = {"chunk": chunk, "ordered": ordered, "on_error": "collect"}
    for _ in range(2):  # by now it is known what an item costs: many of them share a message
        found = list(pool.map(breaks, items, **words))
        bad = [at for at, value in enumerate(found) if isinstance(value, errors.DecodeError)]
        assert len(bad) == 6
        assert sorted(value for value in found if type(value) is tuple) == [
            (at,) for at in range(300) if at % 50 != 7
        ]
        if ordered:
            assert bad == list(range(7, 300, 50))


@pytest.mark.parametrize("ordered", [True, False])
def test_a_result_that_was_opened_is_nobody_elses(pool, ordered):
    """Results of a run are opened as they are asked for, and none is kept when it is handed out."""
    results = pool.map(tagged, range(200), ordered=ordered)
    for result in results:
        held = weakref.ref(result)
        del result
        assert held() is None


class Tagged:
    def __init__(self, number):
        self.number = number


def tagged(number):
    return Tagged(number)


def test_results_come_as_they_are_done_where_no_order_is_asked_for(pool, gate):
    results = pool.map(gate_or_square, [gate, *range(500)], ordered=False)
    first = list(itertools.islice(results, 500))
    assert sorted(first) == SQUARES[:500]
    gate.open()
    assert list(results) == ["gate"]


@pytest.mark.methods
def test_methods_closures_and_tuples_of_arguments(pool):
    assert list(pool.map(Tally.double, range(5))) == [0, 2, 4, 6, 8]
    offset = 10
    assert list(pool.map(lambda number: number + offset, range(3))) == [10, 11, 12]
    assert list(pool.starmap(Tally.add, [(1, 2), (3,)])) == [3, 3]
    assert list(pool.starmap(max, zip(range(100), range(99, -1, -1), strict=True))) == [
        max(number, 99 - number) for number in range(100)
    ]


def test_a_large_closure_travels_once_and_is_let_go(pool):
    table = list(range(50_000))
    assert list(pool.map(lambda at: table[at], range(300))) == table[:300]
    assert pool.ask(lambda at: table[at], 7) == 7


def test_an_empty_input_has_no_results(pool):
    assert list(pool.map(square, [])) == []


def test_an_endless_input_is_taken_as_needed(pool):
    source = Source(itertools.count())
    results = pool.map(square, source)
    assert list(itertools.islice(results, 100)) == SQUARES[:100]
    results.close()
    taken = source.taken
    assert taken < 100_000
    assert list(results) == []
    assert source.taken == taken


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("in_flight", [1, 2, 5])
def test_no_more_is_taken_than_may_be_in_flight(pool, in_flight, ordered):
    source = Source(range(200))
    results = pool.map(square, source, in_flight=in_flight, ordered=ordered)
    assert source.taken <= in_flight
    for given, _ in enumerate(results, 1):
        # The one that is being given counts as given.
        assert source.taken - given < in_flight + 1
    assert source.taken == 200


def test_nothing_is_taken_while_nobody_takes_the_results(pool):
    source = Source(itertools.count())
    results = pool.map(square, source, in_flight=10)
    eventually(lambda: not pool._dispatcher.is_busy(), "the first items")
    assert source.taken <= 10
    next(results)
    assert source.taken <= 11
    results.close()


def test_a_slow_item_delays_no_other(pool, gate):
    results = pool.map(gate_or_square, [*range(100), gate, *range(100, 1000)], ordered=False)
    assert sorted(itertools.islice(results, 1000)) == SQUARES[:1000]
    gate.open()
    assert list(results) == ["gate"]


def test_a_slow_item_in_the_middle_of_a_chunk_delays_no_other(pool, gate):
    items = [*range(10), gate, *range(10, 40)]
    results = pool.map(gate_or_square, items, ordered=False, chunk=41)
    assert sorted(itertools.islice(results, 40)) == SQUARES[:40]
    gate.open()
    assert list(results) == ["gate"]


def test_in_order_what_is_done_before_a_slow_item_comes_before_it(pool, gate):
    results = pool.map(gate_or_square, [*range(10), gate, *range(10, 40)], chunk=41)
    assert list(itertools.islice(results, 10)) == SQUARES[:10]
    gate.open()
    assert list(results) == ["gate", *SQUARES[10:40]]


def test_the_first_error_is_raised_behind_the_results_before_it(pool):
    found = []
    with pytest.raises(Fault, match="on purpose") as raised:
        found.extend(pool.map(breaks, [1, 2, ("run", "exception"), 4]))
    assert found == [1, 2]
    assert "item 2 of breaks" in str(getattr(raised.value, "__notes__", "item 2 of breaks"))
    assert "commit" in str(raised.value.__cause__)
    assert list(pool.map(square, range(10))) == SQUARES[:10]


@pytest.mark.parametrize("ordered", [True, False])
def test_errors_stand_in_their_places_where_they_are_collected(pool, ordered):
    items = [1, ("run", "exception"), 2, ("run", "unrebuildable"), ("run", "SIGKILL"), 3]
    found = list(pool.map(breaks, items, on_error="collect", ordered=ordered))
    kinds = [type(value) for value in found]
    wanted = [int, Fault, int, errors.RemoteError, errors.ActorDied, int]
    assert kinds == wanted if ordered else Counter(kinds) == Counter(wanted)
    assert sorted(value for value in found if isinstance(value, int)) == [1, 2, 3]
    assert Unrebuildable.__name__ in str(next(v for v in found if type(v) is errors.RemoteError))


def test_errors_may_be_left_out_with_a_word(pool, caplog):
    assert list(pool.map(breaks, [1, ("run", "exception"), 2], on_error="skip")) == [1, 2]
    assert "item 1 of breaks failed and is skipped: Fault: on purpose" in caplog.text


def test_an_item_that_ends_its_worker_is_tried_again_where_that_is_asked_for(pool, tmp_path):
    seen = [str(tmp_path / str(number)) for number in range(5)]
    found = list(pool.map(once_bad, seen, retries=1))
    assert found == ["good"] * 5


def test_an_item_that_ends_every_worker_is_quarantined(pool, tmp_path):
    items = [1, ("run", "SIGKILL"), 2]
    found = list(pool.map(breaks, items, on_error="collect", retries=100))
    assert (found[0], found[2]) == (1, 2)
    assert type(found[1]) is errors.Quarantined
    assert "ended 3 workers" in str(found[1])


def test_exceptions_are_tried_again_only_where_they_are_named(pool, tmp_path):
    seen = [str(tmp_path / str(number)) for number in range(5)]
    with pytest.raises(Fault):
        list(pool.map(once_raises, [str(tmp_path / "other")], retries=1))
    assert list(pool.map(once_raises, seen, retries=1, retry_on=Fault)) == ["good"] * 5
    found = list(
        pool.map(breaks, [("run", "exception")], retries=2, retry_on=(Fault,), on_error="collect")
    )
    assert [type(value) for value in found] == [Fault]


def test_unordered_retries_come_once(pool, tmp_path):
    seen = [str(tmp_path / str(number)) for number in range(30)]
    results = pool.map(once_raises, seen, retries=1, retry_on=Fault, ordered=False)
    assert list(results) == ["good"] * 30


def test_an_item_over_its_timeout_is_ended_and_the_others_are_not(pool, gate):
    items = [*range(50), gate, *range(50, 100)]
    found = list(pool.map(gate_or_square, items, timeout=0.3, on_error="collect"))
    assert found[:50] + found[51:] == SQUARES[:100]
    assert type(found[50]) is errors.ItemTimeout
    assert found[50].report.reason.kind is ExitKind.HANG
    assert "gate_or_square" in found[50].report.native_stack
    gate.open()


def test_a_timeout_counts_for_each_item_and_not_for_the_batch(pool):
    found = list(pool.map(nap, [0.02] * 40, timeout=0.5, chunk=40))
    assert found == [0.02] * 40


def nap(seconds):
    threading.Event().wait(seconds)
    return seconds


def test_an_item_that_cannot_be_pickled_has_failed_and_no_other(pool):
    items = [1, threading.Lock(), 2, BreaksWhenPickled("exception"), 3]
    found = list(pool.map(breaks, items, on_error="collect"))
    bad = errors.EncodeError
    assert [type(value) for value in found] == [int, bad, int, bad, int]
    with pytest.raises(errors.EncodeError, match="lock"):
        list(pool.map(breaks, [1, threading.Lock()]))


def test_an_input_that_raises_ends_the_map_behind_what_came_before(pool):
    def source():
        yield from range(10)
        raise Fault("no more")

    found = []
    with pytest.raises(Fault, match="no more"):
        found.extend(pool.map(square, source()))
    assert found == SQUARES[:10]


def test_closing_gives_up_what_has_not_begun(system, tmp_path, gate):
    log = str(tmp_path / "log")
    with system.options(size=1).pool() as pool:
        items = [(gate, None), *((log, str(number)) for number in range(100))]
        results = pool.starmap(gate_or_note, items, chunk=50)
        gate.arrival()
        results.close()
        gate.open()
        assert pool.ask(square, 2) == 4
    assert not os.path.exists(log)


def test_closing_in_the_middle_of_a_batch_ends_the_loop(pool):
    list(pool.map(square, range(3000)))  # from here on batches are large
    results = pool.map(square, range(3000), chunk=1000)
    found = []
    for result in results:
        found.append(result)
        if len(found) == 10:
            results.close()
    assert found == SQUARES[:10]


def test_a_function_that_was_mapped_before_is_not_measured_from_one_item_on(pool):
    sizes = []
    for _ in range(2):
        results = pool.map(square, Source(range(3000)))
        sizes.append(len(results._job._waiting[0].outcomes))  # they stay when it has ended
        assert list(results) == SQUARES
    assert sizes[0] == 1
    assert sizes[1] > 100


def gate_or_note(where, text):
    if isinstance(where, Gate):
        where.wait()
        return "gate"
    return note(where, text)


def test_a_map_that_is_left_does_no_harm(pool):
    for _ in range(5):
        next(pool.map(square, itertools.count()))
    assert list(pool.map(square, range(100))) == SQUARES[:100]


def test_several_maps_share_the_workers(pool):
    def run(number):
        return list(pool.map(square, range(1000 + number)))

    threads = [aside(run, number) for number in range(6)]
    for number, thread in enumerate(threads):
        assert thread.result(SHORT_S) == SQUARES[: 1000 + number]


def test_calls_get_in_between_the_items_of_a_map(pool):
    results = pool.map(nap, [0.01] * 200)
    next(results)
    assert pool.submit(square, 5).result(SHORT_S) == 25
    results.close()


def test_a_worker_that_is_killed_from_outside_costs_one_item_at_most(pool):
    results = pool.map(slow_pid, range(300), on_error="collect", ordered=False)
    found = [next(results)]
    os.kill(found[0], signal.SIGKILL)
    found += results
    assert len(found) == 300
    assert sum(isinstance(value, errors.ActorDied) for value in found) <= 1


def slow_pid(_):
    threading.Event().wait(0.001)
    return os.getpid()


def test_all_workers_take_part(pool):
    assert len(set(pool.map(slow_pid, range(200)))) == 2


def test_the_pools_end_ends_its_maps(start_method, gate):
    with ActorSystem(start_method=start_method) as system:
        pool = system.options(size=1).pool()
        results = pool.map(gate_or_square, [1, gate, *range(1000)])
        assert next(results) == 1
        gate.arrival()
        stopping = aside(pool.stop, 0.2)
        with pytest.raises(errors.ActorDied):
            list(results)
        stopping.result(SHORT_S)
        with pytest.raises(errors.ActorStopped):
            pool.map(square, [1])


def test_progress_is_told_as_events(pool, system):
    heard = []
    with system.events.subscribe(heard.append, kinds=(Progress,)):
        assert len(list(pool.map(square, range(500)))) == 500
        pool.ask(report, 3, 4)
        eventually(lambda: any(event.done == 3 for event in heard), "the worker's report")
    mine = [event for event in heard if event.actor == pool.name]
    assert (mine[-1].done, mine[-1].total, mine[-1].what) == (500, 500, "square")
    assert [event.done for event in mine] == sorted(event.done for event in mine)
    [theirs] = [event for event in heard if event.actor != pool.name]
    assert (theirs.done, theirs.total) == (3, 4)
    assert theirs.actor in {ref.name for ref in pool.workers()}


def test_what_a_loop_prints_goes_above_the_bar_of_its_map(pool, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with contextlib.closing(Terminal()) as terminal:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, terminal.stream)
        for result in pool.map(square, range(200), progress=True):
            print("result", result)
        assert sys.stdout is terminal.stream
        next(pool.map(square, range(200), progress=True))
        print("left alone")
        eventually(lambda: sys.stdout is terminal.stream, "the bar's end")
        *lines, last = screen(terminal.shown())
    assert lines[:200] == [f"result {number**2}" for number in range(200)]
    assert "200 of 200 items, 100 %" in lines[200]
    assert "left alone" in lines[201:]
    assert last == ""


def test_a_map_shows_its_progress_in_a_file(pool, tmp_path, monkeypatch):
    with open(tmp_path / "log", "w+") as file:
        monkeypatch.setattr("sys.stderr", file)
        list(pool.map(square, range(100), progress=True))
        file.seek(0)
        text = file.read()
    assert "square" in text
    assert "100" in text


def test_two_pools_do_not_disturb_each_other(system, tmp_path):
    with (
        new_gate(tmp_path / "one") as gate,
        system.options(size=1).pool() as first,
        system.options(size=1).pool() as second,
    ):
        stuck = first.map(gate_or_square, [gate])
        gate.arrival()
        assert list(second.map(square, range(100))) == SQUARES[:100]
        gate.open()
        assert list(stuck) == ["gate"]
        assert first.ask(pid) != second.ask(pid)


def test_a_stop_ends_a_map_behind_what_it_has_taken(start_method):
    with ActorSystem(start_method=start_method) as system:
        pool = system.options(size=2).pool()
        results = pool.map(square, itertools.count())
        assert next(results) == 0
        stopping = aside(pool.stop)
        found = [0]
        with pytest.raises(errors.ActorStopped):
            found.extend(results)
        stopping.result(SHORT_S)
        assert found == [number * number for number in range(len(found))]


def test_a_slow_input_holds_up_no_result(pool):
    source = Source(nap(0.02) for _ in itertools.count())
    results = pool.map(square, source)
    assert next(results) > 0
    assert source.taken <= 8
    results.close()


@pytest.mark.parametrize("ordered", [True, False])
def test_whoever_takes_results_slowly_is_not_run_ahead_of_by_far(pool, ordered):
    """Neither results nor what tells of them pile up, in order or not."""
    source = Source(itertools.count())
    results = pool.map(slow_pid, source, ordered=ordered)
    for number in range(1, 100):
        next(results)
        nap(0.002)
        assert source.taken - number < 500
    assert sum(isinstance(thing, Chunk) for thing in gc.get_objects()) < 50
    results.close()


def test_large_items_go_one_by_one(pool):
    source = Source(bytes(3_000_000) for _ in range(60))
    found = 0
    for size in pool.map(len, source, ordered=False):  # in order, more may be taken
        assert size == 3_000_000
        found += 1
        assert source.taken - found <= 16
    assert found == 60


def test_what_is_to_be_tried_again_is_checked_at_the_call(pool):
    assert list(pool.map(square, [1], retry_on=[ValueError, OSError], retries=1)) == [1]
    with pytest.raises(errors.InvalidSpec, match="retry_on names exception classes, not 'no'"):
        pool.map(square, [1], retry_on=["no"])


def test_a_map_may_be_closed_by_another_thread(pool, gate):
    results = pool.map(gate_or_square, [1, gate, 2])
    assert next(results) == 1
    waiting = aside(list, results)
    gate.arrival()
    results.close()
    assert waiting.result(SHORT_S) == []
    gate.open()
    assert pool.ask(square, 2) == 4


class Counting:
    """A callable with a state."""

    def __init__(self):
        self.calls = 0

    def __call__(self, item):
        self.calls += 1
        return self.calls


def test_the_state_of_a_function_is_no_other_batchs(pool):
    # Not [1, 2] each time: what waits behind a slow item is taken back, and begins anew.
    assert set(pool.map(Counting(), range(20), chunk=2)) <= {1, 2}


def test_an_item_that_there_is_no_room_for_has_failed_and_no_other(pool, monkeypatch):
    from procactors.wire.payload_store import PayloadStore

    store = PayloadStore.store

    def refuse(self, encoded, target):
        if encoded.size > 1_000_000:
            raise errors.StorageFull("no room for that")
        return store(self, encoded, target)

    monkeypatch.setattr(PayloadStore, "store", refuse)
    items = [b"a", bytes(2_000_000), b"bc"]
    found = list(pool.map(len, items, on_error="collect", chunk=3))
    assert (found[0], type(found[1]), found[2]) == (1, errors.StorageFull, 2)
