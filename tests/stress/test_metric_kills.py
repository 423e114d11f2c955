"""However often actors are killed, what is counted for their methods is what they have handled."""

from __future__ import annotations

import pytest

from tests.stress.metric_kills import Outcome, run


def assert_exact(outcome: Outcome) -> None:
    print(outcome)
    assert outcome.counted == outcome.handled > 0
    assert outcome.backwards == 0


def test_a_few_kills_leave_each_message_counted_once(system, seed):
    assert_exact(run(system, 15, seed))


@pytest.mark.stress
def test_a_thousand_kills_leave_each_message_counted_once(system, seed):
    assert_exact(run(system, 1000, seed))
