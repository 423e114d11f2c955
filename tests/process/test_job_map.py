"""A map by number: a source that need not block, a judge of failures, and a drain."""

from __future__ import annotations

import os
import threading

import pytest

from procactors import Actor
from procactors.errors import ActorDied, ItemTimeout, PoolBroken, Quarantined
from procactors.pool.job_map import ItemOutcome
from tests.support.gates import Gate


class Doer(Actor):
    def do(self, item):
        kind, value = item
        if kind == "raise":
            raise KeyError(value)
        if kind == "exit":
            os._exit(3)
        if kind == "once":  # ends its worker the first time
            try:
                os.mkdir(value)
            except FileExistsError:
                return "again"
            os._exit(4)
        if kind == "gate":
            value.wait()
        return value if kind == "value" else kind

    def pid(self):
        return os.getpid()


class ListSource:
    """A source that has everything at once."""

    def __init__(self, items):
        self.items = list(items)

    def take(self, size):
        taken, self.items = self.items[:size], self.items[size:]
        return taken or None


class Judge:
    """Notes what it is asked."""

    def __init__(self, tries=0, saved=None):
        self.tries = tries
        self.saved = saved
        self.asked: list[tuple[object, type, int]] = []

    def salvage(self, item, error):
        return self.saved if isinstance(error, ActorDied) else None

    def tries_again(self, item, error, tries):
        self.asked.append((item, type(error), tries))
        return tries <= self.tries


def run(pool, items, judge, **rules) -> list[ItemOutcome]:
    job = pool._job_map(Doer.do, ListSource(items), judge, **rules)
    return [outcome for batch in job.batches() for outcome in batch]


@pytest.mark.parametrize("ordered", [True, False])
def test_each_outcome_has_its_item(system, ordered):
    items = [("value", number) for number in range(300)]
    items[7] = ("raise", 7)
    items[9] = ("exit", 9)
    with system.options(size=2).pool(Doer) as pool:
        found = run(pool, items, Judge(), ordered=ordered)
    if ordered:
        assert [outcome.item for outcome in found] == items
    by_item = {outcome.item: outcome for outcome in found}
    assert by_item.keys() == set(items)
    for item, outcome in by_item.items():
        if item[0] == "value":
            assert outcome == (item, True, item[1], 1)
    assert type(by_item["raise", 7].value) is KeyError
    assert type(by_item["exit", 9].value) is ActorDied


@pytest.mark.parametrize("ordered", [True, False])
def test_the_judge_says_what_is_tried_again(system, tmp_path, ordered):
    once = ("once", str(tmp_path / "mark"))
    judge = Judge(tries=1)
    with system.options(size=2).pool(Doer) as pool:
        found = run(pool, [once, ("raise", 1), ("value", 2)], judge, ordered=ordered)
    assert sorted((outcome.item[0], outcome.tries) for outcome in found) == [
        ("once", 2),
        ("raise", 2),
        ("value", 1),
    ]
    assert {outcome.item[0]: outcome.value for outcome in found}["once"] == "again"
    assert sorted(judge.asked, key=str) == sorted(
        [(once, ActorDied, 1), (("raise", 1), KeyError, 1), (("raise", 1), KeyError, 2)], key=str
    )


def test_an_item_that_was_done_all_the_same_is_salvaged(system):
    judge = Judge(tries=5, saved="saved")
    with system.options(size=1).pool(Doer) as pool:
        (outcome,) = run(pool, [("exit", 0)], judge)
    assert outcome == (("exit", 0), True, "saved", 1)
    assert judge.asked == []


def test_the_quarantine_holds_whatever_the_judge_says(system):
    with system.options(size=2).pool(Doer) as pool:
        (outcome,) = run(pool, [("exit", 0)], Judge(tries=100))
    assert type(outcome.value) is Quarantined
    assert outcome.tries == 3


def test_an_item_that_takes_too_long_is_judged_too(system, gate):
    judge = Judge(tries=1)
    with system.options(size=1).pool(Doer) as pool:
        (outcome,) = run(pool, [("gate", gate)], judge, timeout=0.2)
    assert [(kind, tries) for _, kind, tries in judge.asked] == [(ItemTimeout, 1), (ItemTimeout, 2)]
    assert type(outcome.value) is ItemTimeout


class SlowSource:
    """A source that has something when the test says so."""

    def __init__(self):
        self.there = []
        self.is_over = False

    def take(self, size):
        taken, self.there = self.there, []
        return None if self.is_over and not taken else taken


def test_results_come_while_the_source_has_nothing(system):
    source = SlowSource()
    with system.options(size=2).pool(Doer) as pool:
        job = pool._job_map(Doer.do, source, Judge())
        batches = job.batches()
        for number in range(3):
            source.there = [("value", number)]
            job.wake()
            while not (found := next(batches)):
                pass
            assert [outcome.value for outcome in found] == [number]
        source.is_over = True
        job.wake()
        assert [outcome for batch in batches for outcome in batch] == []


def test_a_wake_and_a_wait_that_is_over_yield_nothing(system):
    with system.options(size=1).pool(Doer) as pool:
        job = pool._job_map(Doer.do, SlowSource(), Judge())
        job.wait_s = 0.01
        batches = job.batches()
        assert next(batches) == []
        job.wait_s = None
        threading.Thread(target=job.wake).start()
        assert next(batches) == []
        job.close()


@pytest.mark.parametrize("ordered", [True, False])
def test_a_drain_ends_what_is_in_hand_and_begins_nothing_more(system, gate: Gate, ordered):
    items = [("gate", gate), *(("value", number) for number in range(1000))]
    source = ListSource(items)
    with system.options(size=1).pool(Doer) as pool:
        job = pool._job_map(Doer.do, source, Judge(), ordered=ordered, chunk=10)
        batches = job.batches()
        job.feed()
        gate.arrival()
        job.drain()
        gate.open()
        found = [outcome for batch in batches for outcome in batch]
        assert [outcome.item for outcome in found] == items[:1]
        assert len(source.items) > 900
        # The pool is as good as before.
        assert pool.ask(Doer.do, ("value", 1)) == 1


@pytest.mark.parametrize("ordered", [True, False])
def test_what_was_done_behind_a_gap_comes_at_the_end_of_a_drain(system, gate: Gate, ordered):
    items = [("gate", gate), *(("value", number) for number in range(40))]
    with system.options(size=2).pool(Doer) as pool:
        source = ListSource(items)
        job = pool._job_map(Doer.do, source, Judge(), ordered=ordered, chunk=1)
        job.wait_s = 0.01
        found, batches = [], job.batches()
        while source.items or job.state.open > 1:
            found += next(batches)
        if ordered:
            assert found == []
        job.drain()
        gate.open()
        found += [outcome for batch in batches for outcome in batch]
        assert {outcome.value for outcome in found} == {"gate", *range(40)}
        assert len(found) == 41


def test_a_pool_that_breaks_ends_every_item(system):
    with system.options(size=1, max_restarts=0).pool(Doer) as pool:
        source, judge = SlowSource(), Judge(tries=9)
        job = pool._job_map(Doer.do, source, judge)
        (worker,) = pool.workers()
        worker.kill()
        source.there = [("value", 1)]
        with pytest.raises(PoolBroken):  # raised where the item is sent, or its outcome
            for batch in job.batches():
                raise batch[0].value
        assert judge.asked == []
