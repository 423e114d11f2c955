"""Waiting ends with the fact, or with words that say what was missing."""

from __future__ import annotations

import pytest

from tests.support.waiting import eventually


def test_the_value_that_was_awaited_is_returned():
    values = iter([None, 0, "there"])
    assert eventually(lambda: next(values), "a value") == "there"


def test_what_did_not_come_is_named_with_what_came_instead():
    with pytest.raises(AssertionError, match=r"waited 0 s for a miracle, but found \[\]"):
        eventually(list, "a miracle", timeout=0)
