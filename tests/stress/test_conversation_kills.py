"""Whoever forwards, puts aside or answers later is killed: each caller is answered all the same."""

from __future__ import annotations

import pytest

from procactors import Delivery
from tests.stress.conversation_kills import Outcome, run

LOOPS = pytest.mark.parametrize("concurrency", [None, 1, 8], ids=["plain", "one", "eight"])
MODES = pytest.mark.parametrize("delivery", list(Delivery), ids=lambda mode: mode.value)


def assert_kept(outcome: Outcome, delivery: Delivery, concurrency: int | None) -> None:
    print(delivery, concurrency, outcome)
    assert outcome.wrong == 0
    assert outcome.answered > outcome.kills
    # Each kill has as many in hand as may be.
    assert outcome.twice <= outcome.kills * (concurrency or 1)
    # Negative: what is both in the log and a letter, since its actor was killed behind the log.
    assert outcome.unreported <= 0


@MODES
@LOOPS
def test_a_few_kills_leave_no_caller_waiting(system, tmp_path, seed, delivery, concurrency):
    assert_kept(run(system, tmp_path, 15, seed, delivery, concurrency), delivery, concurrency)


@pytest.mark.stress
@MODES
@LOOPS
def test_a_thousand_kills_leave_no_caller_waiting(system, tmp_path, seed, delivery, concurrency):
    assert_kept(run(system, tmp_path, 1000, seed, delivery, concurrency), delivery, concurrency)
