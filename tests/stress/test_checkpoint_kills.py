"""Effectively once: whatever kills a state, it has each message, and each caller its answer."""

from __future__ import annotations

import pytest

from tests.stress.checkpoint_kills import Outcome, run


def assert_exact(outcome: Outcome) -> None:
    print(outcome)
    assert outcome.counted == outcome.sent
    assert outcome.twice == 0
    assert outcome.wrong_answers == 0
    assert outcome.answered > outcome.kills / 2


def test_a_few_kills_of_a_counter_lose_nothing_and_count_nothing_twice(system, seed):
    assert_exact(run(system, 25, seed))


@pytest.mark.stress
@pytest.mark.parametrize("padding", [100, 10_000, 200_000], ids=["page", "pages", "large"])
@pytest.mark.parametrize("lasting", [False, True], ids=["with-the-actor", "file"])
def test_a_thousand_kills_of_a_counter_count_exactly_what_was_told(
    system, seed, tmp_path, padding, lasting
):
    kills = 1000 if padding == 100 else 200
    assert_exact(run(system, kills, seed, padding, str(tmp_path / "state") if lasting else None))
