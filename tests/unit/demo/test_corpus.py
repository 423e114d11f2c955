"""Which files the demo reads."""

from __future__ import annotations

import os

import pytest

from procactors.demo.corpus import sample, source_files, stdlib_folder


def test_source_files_are_found_in_order_without_other_peoples(tmp_path):
    """Installed packages and caches are skipped at any depth; the order is that of the paths."""
    for name in (
        "z.py",
        "a/b.py",
        "a/b.txt",
        "a/__pycache__/b.py",
        "site-packages/other.py",
        "a/dist-packages/other.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert source_files(str(tmp_path)) == [str(tmp_path / "a/b.py"), str(tmp_path / "z.py")]


def test_a_folder_that_does_not_exist_has_no_files(tmp_path):
    """An interpreter may come without source files."""
    assert source_files(str(tmp_path / "none")) == []


def test_the_standard_library_is_the_running_interpreters():
    """The module `os` was imported from there."""
    assert os.__file__ in source_files(stdlib_folder())


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(None, "abcdefghij"), (100, "abcdefghij"), (10, "abcdefghij"), (3, "adg"), (1, "a")],
)
def test_a_sample_is_spread_evenly(limit, expected):
    """A limit takes from the whole list, in order, and never the same file twice."""
    assert "".join(sample("abcdefghij", limit)) == expected
