"""However many messages are in hand at a kill: each is answered for, once."""

from __future__ import annotations

import pytest

from procactors import Delivery
from tests.stress.hand_kills import Outcome, run
from tests.support.segments import in_use
from tests.support.waiting import eventually

MODES = pytest.mark.parametrize("delivery", list(Delivery), ids=lambda mode: mode.value)


def assert_kept(system, outcome: Outcome) -> None:
    print(outcome)
    assert outcome.lost == outcome.twice == outcome.damaged == outcome.made_up == 0
    assert outcome.too_often == 0
    assert outcome.answered > outcome.kills
    eventually(lambda: not in_use(system._endpoint.path), "all payloads to be freed")


@MODES
def test_a_few_kills_leave_no_message_without_an_end(system, tmp_path, seed, delivery):
    assert_kept(system, run(system, tmp_path, 15, seed, delivery, most=20))


@pytest.mark.stress
@MODES
@pytest.mark.parametrize("most", [1, 3, 50])
def test_five_hundred_kills_leave_no_message_without_an_end(system, tmp_path, seed, delivery, most):
    assert_kept(system, run(system, tmp_path, 500, seed, delivery, most))
