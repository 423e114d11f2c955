"""Pools under attack: nothing lost, nothing twice."""

from __future__ import annotations

import pytest

from procactors import ActorSystem
from tests.stress.pool_kills import run

pytestmark = pytest.mark.stress


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize("chunk", ["auto", 1])
def test_60_000_items_end_once_each_while_workers_are_killed(
    start_method, tmp_path, seed, retries, ordered, chunk
):
    with ActorSystem(start_method=start_method) as system:
        outcome = run(system, tmp_path, 60_000, seed, retries, ordered, chunk)
    print(outcome)
    assert (outcome.wrong, outcome.twice, outcome.missing) == (0, 0, 0)
    assert outcome.kills > 20
    assert outcome.died <= outcome.kills
