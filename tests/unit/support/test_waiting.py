"""Waiting ends with the fact, or with words that say what was missing."""

from __future__ import annotations

import threading
from concurrent.futures import TimeoutError as FutureTimeout

import pytest

from tests.support.waiting import eventually, within


def test_the_value_that_was_awaited_is_returned():
    values = iter([None, 0, "there"])
    assert eventually(lambda: next(values), "a value") == "there"


def test_what_did_not_come_is_named_with_what_came_instead():
    with pytest.raises(AssertionError, match=r"waited 0 s for a miracle, but found \[\]"):
        eventually(list, "a miracle", timeout=0)


def test_a_call_that_is_over_in_time_gives_its_value_or_its_error():
    assert within(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        within(divmod, 7, 0)
    with pytest.raises(FutureTimeout, match="its own"):
        within(_raise, FutureTimeout("its own"))


def _raise(error):
    raise error


def test_a_call_that_is_not_over_in_time_is_named():
    over = threading.Event()
    with pytest.raises(AssertionError, match=r"waited 0 s for Event.wait\(\) to be over"):
        within(over.wait, timeout=0)
    over.set()
