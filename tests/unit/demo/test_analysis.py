"""Counting in one source file, and adding up over many."""

from __future__ import annotations

import itertools
import warnings

import pytest

from procactors.demo.analysis import Failure, FileStats, Function, Totals, analyse, total

SOURCE = """\
import os


class Outer:
    class Inner:
        async def wait(self):
            async for item in self:
                yield item

    def method(self, value):
        if value:
            return [x for x in value]
        elif value is None:
            try:
                return 1 if os else 2
            except OSError:
                pass
        while value:
            assert value


@decorator
def last(): return lambda: 1
"""


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_functions_classes_branches_and_the_longest_are_counted(tmp_path):
    """Methods and async functions count, lambdas do not; decorators add no length."""
    path = write(tmp_path, "module.py", SOURCE)
    assert analyse(path) == FileStats(
        path,
        lines=23,
        functions=3,
        classes=2,
        # async for, if, elif, comprehension, conditional, except, while, assert
        branches=8,
        longest=Function(10, "method", path, 10),
    )


def test_a_case_of_a_match_is_a_branch(tmp_path):
    """Each case of a match statement counts once."""
    path = write(tmp_path, "module.py", "match x:\n    case 1: pass\n    case _: pass\n")
    assert analyse(path).branches == 2


def test_an_empty_file_has_nothing_and_no_error(tmp_path):
    """No function means no longest one."""
    path = write(tmp_path, "empty.py", b"")
    assert analyse(path) == FileStats(path)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"x = 1\ndef f(:\n", "SyntaxError: invalid syntax (line 2)"),
        (b"# -*- coding: uft-8 -*-\n", "SyntaxError: unknown encoding: uft-8"),
        (b"if x:\npass\n", "IndentationError: expected an indented block"),
        (b"x = '\xf6'\n", "SyntaxError: "),
    ],
    ids=["syntax", "unknown encoding", "indentation", "not utf-8"],
)
def test_a_file_that_does_not_parse_is_data(tmp_path, content, error):
    """The parser's error is kept in words, with its type; lines are counted all the same."""
    path = write(tmp_path, "bad.py", content)
    stats = analyse(path)
    assert stats.error is not None
    assert stats.error.startswith(error)
    assert stats == FileStats(path, lines=content.count(b"\n"), error=stats.error)


def test_null_bytes_are_data(tmp_path):
    """Some Pythons raise ValueError for them, others SyntaxError."""
    error = analyse(write(tmp_path, "null.py", b"x = 1\0\n")).error
    assert error is not None
    assert "null bytes" in error


def test_nesting_beyond_the_parser_is_data(tmp_path):
    """Whatever the parser's way to refuse deep nesting is, it becomes a reason."""
    error = analyse(write(tmp_path, "deep.py", "-" * 100_000 + "1\n")).error
    assert error is not None
    name, _, reason = error.partition(": ")
    assert name in {"RecursionError", "MemoryError", "SyntaxError"}
    assert reason


def test_a_file_that_is_gone_is_data(tmp_path):
    """A file removed between listing and reading is one failure, not the end of the job."""
    error = analyse(str(tmp_path / "gone.py")).error
    assert error == "FileNotFoundError: No such file or directory"


def test_the_declared_encoding_is_honoured(tmp_path):
    """The parser sees bytes, and with them the encoding line."""
    path = write(tmp_path, "latin.py", "# coding: latin-1\nx = 'ö'\n".encode("latin-1"))
    assert analyse(path).error is None


def test_warnings_of_the_parser_are_not_shown(tmp_path):
    """A bad escape warns; the filters are as before afterwards."""
    path = write(tmp_path, "escape.py", "x = '\\d'\n")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert analyse(path).error is None
        warnings.warn("still on", stacklevel=1)
    assert [str(warning.message) for warning in seen] == ["still on"]


def test_totals_do_not_depend_on_the_order_of_files():
    """Every order of the same files gives equal totals, ties for the longest included."""
    stats = [
        FileStats("a.py", 5, 2, 1, 3, Function(4, "f", "a.py", 1)),
        FileStats("b.py", 7, 1, 0, 2, Function(4, "g", "b.py", 1)),
        FileStats("c.py", 1, error="SyntaxError: no"),
        FileStats("d.py", 1, error="ValueError: no"),
    ]
    results = {total(order) for order in itertools.permutations(stats)}
    assert results == {
        Totals(
            files=4,
            lines=14,
            functions=3,
            classes=1,
            branches=5,
            longest=Function(4, "g", "b.py", 1),
            failures=(Failure("c.py", "SyntaxError: no"), Failure("d.py", "ValueError: no")),
        )
    }


def test_the_total_of_no_files_is_empty():
    """It is the neutral element of adding."""
    some = Totals.of(FileStats("a.py", 5, 2))
    assert total([]) == Totals()
    assert some + Totals() == Totals() + some == some
