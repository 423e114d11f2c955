"""The mailbox survives all that use it: readers and senders are killed while it is flooded."""

from __future__ import annotations

import pytest

from tests.stress.mailbox_kills import Outcome, run

BOUNDS = pytest.mark.parametrize("maxsize", [0, 8], ids=["unbounded", "bounded"])


def assert_kept(outcome: Outcome) -> None:
    print(outcome)
    assert outcome.missing <= outcome.reader_kills
    assert outcome.twice == 0
    assert outcome.out_of_order == 0
    assert outcome.damaged == 0
    assert outcome.received > outcome.kills


@BOUNDS
def test_a_few_kills_lose_nothing_but_what_was_in_hand(maxsize, seed):
    assert_kept(run(40, seed, maxsize=maxsize))


@pytest.mark.stress
@BOUNDS
def test_five_hundred_kills_lose_nothing_but_what_was_in_hand(maxsize, seed):
    assert_kept(run(500, seed, senders=3, maxsize=maxsize))
