"""The journal: what it keeps, what it does not believe, and which runs it does not let in."""

from __future__ import annotations

import json

import pytest

from procactors.batch.journal import Appender, Journal, Keys
from procactors.errors import InvalidSpec

TARGET = "module:function"


def keep(path, *records) -> None:
    """Write (key, result) pairs down, as a worker would."""
    appender = Appender(str(path))
    for number, (key, result) in enumerate(records):
        appender.append(key, number, 0.5, json.dumps(result).encode())
    appender.close()


def results(journal: Journal, *keys: str) -> list[object]:
    places = [journal.find(key) for key in keys]
    return [None if place is None else json.loads(journal.result(place)) for place in places]


def test_what_a_worker_has_written_is_found_in_the_next_run(tmp_path):
    path = tmp_path / "journal"
    with Journal(str(path), TARGET, False):
        keep(path, ("a", {"x": [1, ', "result": ']}), ("b", None))
    with Journal(str(path), TARGET, False) as journal:
        assert len(journal) == 2
        assert results(journal, "a", "b", "c") == [{"x": [1, ', "result": ']}, None, None]
        assert journal.find("a") is None  # each is asked for once


def test_what_workers_write_meanwhile_is_found_when_it_is_looked_for(tmp_path):
    path = tmp_path / "journal"
    with Journal(str(path), TARGET, False) as journal:
        keep(path, ("a", 1))
        assert journal.find("a") is None
        journal.refresh()
        assert results(journal, "a") == [1]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_line_costs_itself_alone(tmp_path, cut):
    path = tmp_path / "journal"
    with Journal(str(path), TARGET, False):
        keep(path, ("a", 1), ("torn", "x" * 20))
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(str(path), TARGET, False) as journal:
        keep(path, ("b", 2))
        journal.refresh()
        expected = ["x" * 20] if cut == 1 else [None]  # but for its newline it is whole
        assert results(journal, "a", "torn", "b") == [1, *expected, 2]


def test_a_line_on_its_way_is_read_when_it_is_whole(tmp_path):
    path = tmp_path / "journal"
    with Journal(str(path), TARGET, False) as journal:
        keep(path, ("a", "value"))
        whole = path.read_bytes()
        path.write_bytes(whole[:-10])
        journal.refresh()
        assert len(journal) == 0
        path.write_bytes(whole)
        journal.refresh()
        assert results(journal, "a") == ["value"]


@pytest.mark.parametrize("length", range(0, 70, 10))
def test_a_journal_whose_first_line_is_torn_is_begun_anew(tmp_path, length):
    path = tmp_path / "journal"
    with Journal(str(path), TARGET, False):
        whole = path.read_bytes()
    path.write_bytes(whole[:length])
    with Journal(str(path), TARGET, False):
        assert path.read_bytes() == whole
        keep(path, ("a", 1))
    with Journal(str(path), TARGET, False) as journal:
        assert results(journal, "a") == [1]


@pytest.mark.parametrize("content", [b"my only copy\n", b"{}\n", b'{"a": 1}', b"[1]\n", b"\n\n"])
def test_another_file_is_not_touched(tmp_path, content):
    path = tmp_path / "data"
    path.write_bytes(content)
    with pytest.raises(InvalidSpec, match="is no journal of procactors map"):
        Journal(str(path), TARGET, False)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("target", "spread", "says"),
    [
        ("other:function", False, "its target is 'module:function', not 'other:function'"),
        (TARGET, True, "its spread is False, not True"),
    ],
)
def test_another_jobs_journal_is_refused(tmp_path, target, spread, says):
    path = tmp_path / "journal"
    Journal(str(path), TARGET, False).close()
    with pytest.raises(InvalidSpec, match="is of another job: ") as raised:
        Journal(str(path), target, spread)
    assert says in str(raised.value)


def test_a_journal_in_use_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("procactors.batch.journal._STRAGGLERS_S", 0.0)
    path = str(tmp_path / "journal")
    with Journal(path, TARGET, False):
        with pytest.raises(InvalidSpec, match="is in use by another run"):
            Journal(path, TARGET, False)
        appender = Appender(path)
    with pytest.raises(InvalidSpec, match="is in use by another run"):
        Journal(path, TARGET, False)  # a worker of the run that ended is still there
    appender.close()
    Journal(path, TARGET, False).close()


def test_a_journal_that_cannot_be_opened_is_a_mistake(tmp_path):
    with pytest.raises(InvalidSpec, match="cannot be opened: Is a directory"):
        Journal(str(tmp_path), TARGET, False)


def test_equal_items_have_keys_of_their_own_whatever_stands_between_them():
    ours, theirs = Keys(), Keys()
    keys = {ours.key(item) for item in ("a", "b", "a", "a")}
    assert len(keys) == 4
    assert {theirs.key(item) for item in ("a", "a", "new", "a", "b")} > keys


def test_a_key_is_of_the_value_not_of_its_spelling():
    assert Keys().key({"a": 1, "b": [2]}) == Keys().key({"b": [2], "a": 1})
    different = [1, "1", 1.0, [1], None, "null", {"a": 1}, {"a": "1"}, True, "\udcff"]
    assert len({Keys().key(item) for item in different}) == len(different)
