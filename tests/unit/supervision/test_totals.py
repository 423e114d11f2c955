"""The totals: what an actor that is over has counted is there, once."""

from __future__ import annotations

import pytest

from procactors.metrics.reading import _read_totals
from procactors.supervision.totals import Totals
from procactors.wire.mailbox.black_box import EXPIRED, HANDLED, HANDLED_OWN, INCARNATION, METRICS
from procactors.wire.meter_table import BASE, ERRORS, SECOND, SUM, MeterTable, read_table


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "actors" / "5"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def totals(tmp_path):
    totals = Totals(str(tmp_path))
    yield totals
    totals.close()


def words(**values):
    found = dict.fromkeys(range(64), 0)
    found.update({INCARNATION: 1})
    return {**found, **values.pop("of", {})}


def counted(folder, key, count, waited=0, errors=0):
    table = MeterTable(str(folder / "metrics"), 4, 2, "counter-5", "Counter")
    row = table.row(key)
    row[SUM] += count * 1000
    row[SUM + 5] += count
    row[SECOND + 7] += waited
    row[ERRORS] += errors
    table.close()


def test_what_an_actor_has_counted_is_added_to_its_group_and_its_tables_go(
    tmp_path, folder, totals
):
    for _ in range(2):
        counted(folder, b"module:Counter.add", 10, waited=3, errors=1)
        box = words(of={INCARNATION: 3, EXPIRED: 2, HANDLED: 12, HANDLED_OWN: 2})
        totals.take(5, "counter-5", "Counter", box, str(folder))
        assert not any(folder.iterdir())
    ((group,), calls) = _read_totals(str(tmp_path))
    assert (group.name, group.class_name, group.restarts, group.expired) == (
        "counter-*",
        "Counter",
        4,
        4,
    )
    (method,) = group.methods
    assert (method.name, method.handled, method.errors, method.waiting.count) == (
        "Counter.add",
        20,
        2,
        6,
    )
    assert method.handling.sum_s == pytest.approx(20e-6)
    assert calls == []


def test_what_a_killed_one_had_handled_and_not_counted_is_added(tmp_path, folder, totals):
    counted(folder, b"module:Counter.add", 10)
    counted(folder, b"module:Counter.get", 1)
    box = words(of={HANDLED: 15, METRICS: 2})
    totals.take(5, "counter-5", "Counter", box, str(folder))
    ((group,), _) = _read_totals(str(tmp_path))
    assert {method.name: method.handled for method in group.methods} == {
        "Counter.add": 10,
        "Counter.get": 5,
    }


def test_round_trips_are_kept_apart_by_their_caller(tmp_path, folder, totals):
    table = MeterTable(str(folder / "trips"), 4, 1, "web", "Web")
    table.row(b"module:Counter.add")[SUM + 3] = 4
    table.close()
    totals.take(5, "web", "Web", words(), str(folder))
    groups, (call,) = _read_totals(str(tmp_path))
    assert (call.caller, call.method, call.round_trip.count) == ("web", "Counter.add", 4)
    assert groups == ()


def test_one_that_has_counted_nothing_leaves_nothing(tmp_path, folder, totals):
    totals.take(5, "counter-5", "Counter", words(), str(folder))
    assert not (tmp_path / "metrics").exists()


def test_the_number_of_changes_is_even_when_nothing_changes(tmp_path, folder, totals):
    counted(folder, b"module:Counter.add", 1)
    totals.take(5, "counter-5", "Counter", words(of={HANDLED: 1}), str(folder))
    assert read_table(str(tmp_path / "metrics")).base == 2
    assert totals._table.words[BASE] == 2


def test_behind_their_end_nothing_is_added(tmp_path, folder, totals):
    totals.close()
    counted(folder, b"module:Counter.add", 1)
    totals.take(5, "counter-5", "Counter", words(of={HANDLED: 1}), str(folder))
    assert not (tmp_path / "metrics").exists()
