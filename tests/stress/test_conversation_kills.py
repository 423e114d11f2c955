"""Whoever forwards, puts aside or answers later is killed: each caller is answered all the same."""

from __future__ import annotations

import pytest

from procactors import Delivery
from tests.stress.conversation_kills import Outcome, run

MODES = pytest.mark.parametrize("delivery", list(Delivery), ids=lambda mode: mode.value)


def assert_kept(outcome: Outcome, delivery: Delivery) -> None:
    print(outcome)
    assert outcome.wrong == 0
    assert outcome.answered > outcome.kills
    assert outcome.twice <= outcome.kills
    # Negative: what is both in the log and a letter, since its actor was killed behind the log.
    assert outcome.unreported <= 0


@MODES
def test_a_few_kills_leave_no_caller_waiting(system, tmp_path, seed, delivery):
    assert_kept(run(system, tmp_path, 15, seed, delivery), delivery)


@pytest.mark.stress
@MODES
def test_a_thousand_kills_leave_no_caller_waiting(system, tmp_path, seed, delivery):
    assert_kept(run(system, tmp_path, 1000, seed, delivery), delivery)
