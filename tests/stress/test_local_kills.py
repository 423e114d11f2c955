"""Actors in threads, killed at any moment: nothing is lost, done twice, or waited for in vain."""

from __future__ import annotations

import logging

import pytest

from tests.stress.local_kills import run


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_a_hundred_kills_lose_nothing(seed):
    outcome = run(seed, 100, 60)
    assert outcome.wrong == []


@pytest.mark.stress
def test_thousands_of_kills_lose_nothing(seed):
    for round_ in range(10):
        outcome = run(seed + round_, 400)
        assert outcome.wrong == []
        assert outcome.kills > 0
