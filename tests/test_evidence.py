"""The evidence is there: each test that a page names exists, and each promise has its list."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.source import ROOT

EVIDENCE = ROOT / "tests" / "README.md"
PAGES = [EVIDENCE, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

#: How a page names a test: `tests/process/test_ask.py::test_name`, or the file alone.
TEST = re.compile(r"\b(tests/[\w/]+\.py)(?:::(\w+))?")
#: How a numbered promise is headed, on both pages.
PROMISE = re.compile(r"^## (\d\. .*)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_test_that_a_page_names_exists(page):
    missing = [
        f"{file}::{name}"
        for file, name in TEST.findall(page.read_text())
        if not (ROOT / file).exists() or (name and name not in _names_in(file))
    ]
    assert not missing


def test_each_numbered_promise_has_tests():
    _, *parts = PROMISE.split(EVIDENCE.read_text())
    tested = [
        title for title, text in zip(parts[::2], parts[1::2], strict=True) if TEST.search(text)
    ]
    assert tested == PROMISE.findall((ROOT / "docs" / "guarantees.md").read_text())
    assert len(tested) == 8


def _names_in(file):
    """The functions and classes at the top of a file, which is parsed and not imported."""
    return {
        node.name for node in ast.parse((ROOT / file).read_text()).body if hasattr(node, "name")
    }
