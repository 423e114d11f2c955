"""The mailbox outlives its actor: actor and senders are killed while they are flooded."""

from __future__ import annotations

import pytest

from procactors import Delivery
from tests.stress.actor_kills import Outcome, run

MODES = pytest.mark.parametrize("delivery", list(Delivery), ids=lambda mode: mode.value)


def assert_kept(outcome: Outcome, delivery: Delivery) -> None:
    print(outcome)
    if delivery is Delivery.AT_MOST_ONCE:
        assert outcome.unreported == 0, "what is missing was reported"
        assert outcome.missing <= outcome.kills
        assert outcome.twice == 0
    else:
        assert outcome.missing == 0
        assert outcome.twice <= outcome.kills
    assert outcome.out_of_order == 0
    assert outcome.damaged == 0
    assert outcome.received > outcome.kills


@MODES
def test_a_few_kills_lose_nothing_that_is_not_reported(system, tmp_path, seed, delivery):
    assert_kept(run(system, tmp_path, 25, seed, delivery), delivery)


@pytest.mark.stress
@MODES
def test_five_hundred_kills_lose_nothing_that_is_not_reported(system, tmp_path, seed, delivery):
    assert_kept(run(system, tmp_path, 500, seed, delivery), delivery)
