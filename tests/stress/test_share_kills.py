"""Shared data under attack."""

from __future__ import annotations

import pytest

from procactors import ActorSystem
from tests.stress.share_kills import run

pytestmark = pytest.mark.stress


def test_thousands_of_shares_are_right_or_refused_while_all_are_killed(start_method, seed):
    with ActorSystem(start_method=start_method, preload=["numpy"]) as system:
        outcome = run(system, steps=4000, seed=seed)
    print(outcome)
    assert outcome.wrong == []
    assert outcome.kills > 100
    assert outcome.refused > 100
