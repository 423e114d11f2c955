"""Items of a batch job: every format, what is wrong in it, and where it stood."""

from __future__ import annotations

import os

import pytest

from procactors.batch.intake import Intake
from procactors.batch.items import Entry, Inputs
from procactors.errors import InvalidSpec
from tests.support.waiting import eventually


def read(path, data: bytes, form: str = "auto") -> list[Entry]:
    path.write_bytes(data)
    return list(Inputs([str(path)], form).entries())


def items(entries: list[Entry]) -> list[object]:
    assert [entry.number for entry in entries] == list(range(len(entries)))
    assert not any(entry.error for entry in entries)
    return [entry.item for entry in entries]


def test_lines_are_items_without_their_ends_and_blank_ones_are_none(tmp_path):
    path = tmp_path / "list.txt"
    entries = read(path, b"\xef\xbb\xbfone\r\n\n \t\n two \nthree")
    assert items(entries) == ["one", " two ", "three"]
    assert [(entry.file, entry.line) for entry in entries] == [
        (str(path), 1),
        (str(path), 4),
        (str(path), 5),
    ]


def test_lines_that_are_no_utf_8_keep_their_bytes(tmp_path):
    (item,) = items(read(tmp_path / "list", b"a\xff\n"))
    assert item == "a\udcff"
    assert os.fsencode(item) == b"a\xff"


@pytest.mark.parametrize("name", ["list.jsonl", "list.ndjson", "list.JSONL"])
def test_json_lines_are_known_by_their_suffix(tmp_path, name):
    assert items(read(tmp_path / name, b'{"a": 1}\n\n[2]\n"three"\nnull\n')) == [
        {"a": 1},
        [2],
        "three",
        None,
    ]


def test_a_line_that_is_no_json_is_one_bad_item(tmp_path):
    good, bad, last, constant = read(tmp_path / "list.jsonl", b"1\n{oops\n3\n[NaN]\n")
    assert (good.item, last.item) == (1, 3)
    assert constant.error == "no JSON: NaN is none of its values"
    assert (bad.number, bad.item, bad.line) == (1, "{oops", 2)
    assert bad.error.startswith("no JSON: Expecting property name")


def test_csv_rows_are_objects_by_the_header(tmp_path):
    rows = b'\xef\xbb\xbfname,note\nann,"a, b"\n\nbob,"two\nlines"\n'
    entries = read(tmp_path / "list.csv", rows)
    assert items(entries) == [
        {"name": "ann", "note": "a, b"},
        {"name": "bob", "note": "two\nlines"},
    ]
    assert [entry.line for entry in entries] == [2, 5]


def test_a_row_with_another_number_of_fields_is_one_bad_item(tmp_path):
    good, bad, last = read(tmp_path / "list.csv", b"a,b\n1,2\n3\n5,6\n")
    assert (good.item, last.item) == ({"a": "1", "b": "2"}, {"a": "5", "b": "6"})
    assert (bad.item, bad.line, bad.error) == (["3"], 3, "expected 2 fields, found 1")


def test_a_header_that_names_a_column_twice_is_a_mistake(tmp_path):
    (bad,) = read(tmp_path / "list.csv", b"a,a\n1,2\n")
    assert bad.error == "the header names a column twice; no row is read"


def test_paths_separated_by_nul_may_hold_anything_else(tmp_path):
    entries = read(tmp_path / "list", b"a\nb\0c d\0\0\xff", "nul")
    assert items(entries) == ["a\nb", "c d", "\udcff"]


def test_patterns_give_sorted_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.txt", "a.txt", "deep/er/c.txt", "other"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    inputs = Inputs(["*.txt", "**/c.txt"], "glob")
    assert items(list(inputs.entries())) == ["a.txt", "b.txt", "deep/er/c.txt"]
    assert inputs.count() == 3
    assert not inputs.may_block


def test_several_files_are_one_input(tmp_path):
    (tmp_path / "a").write_text("1\n2\n")
    (tmp_path / "b.jsonl").write_text("3\n")
    inputs = Inputs([str(tmp_path / "a"), str(tmp_path / "b.jsonl")], "auto")
    assert items(list(inputs.entries())) == ["1", "2", 3]
    assert inputs.count() == 3


@pytest.mark.parametrize(
    ("form", "data", "count"),
    [("lines", b"", 0), ("lines", b"a", 1), ("csv", b"a\n1\n2\n", 2), ("nul", b"a\0b\0c", 3)],
)
def test_items_are_counted(tmp_path, form, data, count):
    (tmp_path / "list").write_bytes(data)
    inputs = Inputs([str(tmp_path / "list")], form)
    assert inputs.count() == count == len(list(inputs.entries()))


def test_a_file_that_has_gone_is_one_bad_item(tmp_path):
    (tmp_path / "a").write_text("1\n")
    (tmp_path / "b").write_text("2\n")
    inputs = Inputs([str(tmp_path / "a"), str(tmp_path / "b")], "auto")
    (tmp_path / "a").unlink()
    bad, good = inputs.entries()
    assert bad.error == "the file cannot be read: No such file or directory"
    assert good.item == "2"


@pytest.mark.parametrize(
    ("names", "form", "says"),
    [
        (["missing"], "auto", "missing: no such file"),
        (["."], "auto", ". is a directory; --input glob takes './*'"),
        (["-", "-"], "auto", "the standard input can be read once only"),
        (["*.none"], "glob", "the pattern '*.none' fits no path"),
        ([], "glob", "--input glob needs at least one pattern"),
    ],
)
def test_mistakes_are_found_before_anything_is_read(tmp_path, monkeypatch, names, form, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidSpec) as raised:
        Inputs(names, form)
    assert str(raised.value) == says


def test_an_intake_of_a_file_gives_what_is_asked_for():
    intake = Intake(iter([Entry(0, "a", "", 1), Entry(1, "b", "", 2)]), may_block=False)
    assert [entry.item for entry in intake.take(1) or []] == ["a"]
    assert [entry.item for entry in intake.take(5) or []] == ["b"]
    assert intake.take(1) is None


def test_an_intake_of_a_pipe_gives_what_is_there_and_tells_of_more():
    reader, writer = os.pipe()
    woken = []
    with open(reader, "rb") as stream:
        entries = (Entry(0, line, "", 0) for line in stream)
        intake = Intake(entries, may_block=True)
        intake.begin(lambda: woken.append(1))
        assert intake.take(5) == []
        os.write(writer, b"one\n")
        eventually(lambda: woken, "the wake-up")
        assert [entry.item for entry in intake.take(5) or []] == [b"one\n"]
        assert intake.take(5) == []
        os.close(writer)
        eventually(lambda: len(woken) == 2, "the news of the end")
        assert intake.take(5) is None


def test_an_intake_does_not_read_far_ahead():
    read = []

    def endless():
        number = 0
        while True:
            read.append(number)
            yield Entry(number, number, "", 0)
            number += 1

    intake = Intake(endless(), may_block=True)
    intake.begin(lambda: None)
    eventually(lambda: len(read) >= 8192, "the reading ahead")
    assert len(intake.take(10_000) or []) <= len(read)
    intake.close()
    assert len(read) < 3 * 8192
