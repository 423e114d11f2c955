"""Meter tables: each time in its column, each row whole, each count found again."""

from __future__ import annotations

import errno
import itertools
import os

import pytest
from hypothesis import given, strategies as st

from procactors.wire import meter_table
from procactors.wire.meter_table import (
    COLUMNS,
    ERRORS,
    FINE_NS,
    FINE_SHIFT,
    INDEX,
    ITEMS,
    OTHER,
    SECOND,
    SUM,
    MeterTable,
    bound_ns,
    index_of,
    read_table,
)
from tests.support.steps import LINES, deaths


@pytest.fixture
def new_table(tmp_path):
    made = []

    def make(most=4, histograms=2, name="name", base=0):
        made.append(MeterTable(str(tmp_path / "table"), most, histograms, name, "Class", base))
        return made[-1]

    yield make
    for table in made:
        table.close()


@given(st.integers(0, 1 << 45))
def test_a_time_is_in_the_column_whose_bounds_it_lies_between(took):
    column = index_of(took) - SUM - 1
    assert 0 <= column < COLUMNS
    if column < COLUMNS - 1:
        assert took < bound_ns(column)
    if column:
        assert took >= bound_ns(column - 1)


@given(st.integers(0, FINE_NS - 1))
def test_the_short_way_to_a_column_leads_to_the_same_one(took):
    assert INDEX[took >> FINE_SHIFT] == index_of(took)


def test_a_column_is_at_most_a_quarter_wider_than_its_lower_bound():
    bounds = [bound_ns(column) for column in range(COLUMNS - 1)]
    assert bounds == sorted(set(bounds))
    assert all(high <= low * 1.25 for low, high in itertools.pairwise(bounds))


def test_what_is_written_is_read_and_found_again(new_table, tmp_path):
    table = new_table(name="näme")
    row = table.row(b"module:Class.method")
    row[ERRORS], row[ITEMS], row[SUM], row[SUM + 1], row[SECOND + 2] = 1, 2, 3, 4, 5
    facts = read_table(str(tmp_path / "table"))
    assert (facts.name, facts.class_name, facts.base) == ("näme", "Class", 0)
    (found,) = facts.rows
    assert found[:3] == (b"module:Class.method", 1, 2)
    assert (found.first[0], found.first[1]) == (3, 4)
    assert found.second[2] == 5
    again = new_table(name="another life's")
    assert list(again.rows) == [b"module:Class.method"]
    assert again.handled() == 4
    assert read_table(str(tmp_path / "table")).name == "näme"


def test_what_has_no_row_of_its_own_goes_to_the_last_one(new_table):
    table = new_table(most=3)
    for key in (b"a", b"b", b"c", b"d", b"a"):
        table.row(key)[SUM + 1] += 1
    assert list(table.rows) == [b"a", b"b", OTHER]
    assert [row[SUM + 1] for row in table.rows.values()] == [2, 1, 2]


def test_one_histogram_is_enough_where_one_is_asked_for(new_table, tmp_path):
    new_table(histograms=1).row(b"a")[SUM + COLUMNS] = 7
    (row,) = read_table(str(tmp_path / "table")).rows
    assert row.first[COLUMNS] == 7
    assert row.second == ()


def test_a_file_that_is_none_yet_has_nothing(tmp_path):
    path = tmp_path / "table"
    assert read_table(str(path)) is None
    path.write_bytes(bytes(100))
    assert read_table(str(path)) is None
    path.write_bytes(bytes(4096))
    assert read_table(str(path)) is None


def test_no_row_is_used_whose_space_is_not_reserved(new_table, tmp_path, monkeypatch):
    table = new_table(most=64)
    first = os.stat(tmp_path / "table").st_blocks
    table.row(b"a")[SUM] = 1
    assert os.stat(tmp_path / "table").st_blocks == first, "the first one's is"

    def refuse(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(meter_table.os, "posix_fallocate", refuse)
    with pytest.raises(OSError, match="full"):
        table.row(b"b")
    assert list(table.rows) == [b"a"]
    monkeypatch.undo()
    assert table.row(b"b")[SUM] == 0
    assert len(read_table(str(tmp_path / "table")).rows) == 2


def test_a_writer_killed_at_any_line_leaves_whole_rows(tmp_path):
    path = str(tmp_path / "table")
    keys = [b"a", b"bb", b"ccc"]

    def live(_: int) -> None:
        table = MeterTable(path, 4, 2, "name", "Class")
        for key in keys:
            table.row(key)[SUM + 1] += 1

    functions = (MeterTable.__init__, MeterTable._begin, MeterTable.row, MeterTable._reserve)
    for step in deaths(live, functions, LINES):
        facts = read_table(path)
        found = [row.key for row in facts.rows] if facts is not None else []
        assert found == keys[: len(found)], f"step {step}"
        table = MeterTable(path, 4, 2, "name", "Class")
        before = table.handled()
        for key in keys:
            table.row(key)[SUM + 1] += 1
        assert list(table.rows) == keys, f"step {step}"
        assert before <= len(keys)
        table.close()
        os.unlink(path)
