"""What `cancel` says is so: it races with begins, ends, kills of the actor and of the canceller."""

from __future__ import annotations

import pytest

from procactors import Delivery
from tests.stress.cancel_races import Outcome, run, run_pool

MODES = pytest.mark.parametrize("delivery", list(Delivery), ids=lambda mode: mode.value)


def assert_exact(outcome: Outcome, delivery: Delivery, most: int = 1) -> None:
    print(outcome)
    assert outcome.ran_all_the_same == 0, "what was said never to run has run"
    assert outcome.not_run == 0, "what has brought a result has run"
    assert outcome.open == 0, "each reply ends"
    if delivery is Delivery.AT_MOST_ONCE:
        assert outcome.twice == 0
    else:
        assert outcome.twice <= most * outcome.kills
    assert outcome.taken
    assert outcome.begun


def test_a_few_cancellations_without_a_death_are_exact(system, tmp_path, seed):
    outcome = run(system, tmp_path, 20, seed, Delivery.AT_MOST_ONCE, kills=False)
    assert_exact(outcome, Delivery.AT_MOST_ONCE)
    assert outcome.died == 0


@MODES
def test_a_few_cancellations_among_kills_are_exact(system, tmp_path, seed, delivery):
    assert_exact(run(system, tmp_path, 20, seed, delivery), delivery)


@MODES
def test_a_few_cancellations_of_coroutines_among_kills_are_exact(system, tmp_path, seed, delivery):
    outcome = run(system, tmp_path, 15, seed, delivery, at_once=4)
    # Several were in hand at each death.
    assert_exact(outcome, delivery, most=4)


@pytest.mark.parametrize("kills", [False, True], ids=["alive", "killed"])
def test_a_few_cancellations_of_what_is_forwarded_are_exact(system, tmp_path, seed, kills):
    outcome = run(system, tmp_path, 15, seed, Delivery.AT_MOST_ONCE, kills=kills, through=1)
    assert_exact(outcome, Delivery.AT_MOST_ONCE)


@pytest.mark.stress
@pytest.mark.parametrize("kills", [False, True], ids=["alive", "killed"])
@pytest.mark.parametrize("through", [1, 3])
def test_thousands_of_cancellations_of_what_is_forwarded_are_exact(
    system, tmp_path, seed, kills, through
):
    outcome = run(system, tmp_path, 200, seed, Delivery.AT_MOST_ONCE, kills=kills, through=through)
    assert_exact(outcome, Delivery.AT_MOST_ONCE)


@pytest.mark.stress
@MODES
def test_thousands_of_cancellations_of_coroutines_are_exact(system, tmp_path, seed, delivery):
    assert_exact(run(system, tmp_path, 150, seed, delivery, at_once=4), delivery, most=4)


@pytest.mark.stress
def test_thousands_of_cancellations_are_exact(system, tmp_path, seed):
    outcome = run(system, tmp_path, 600, seed, Delivery.AT_MOST_ONCE, kills=False)
    assert_exact(outcome, Delivery.AT_MOST_ONCE)
    assert outcome.died == 0


@pytest.mark.stress
@MODES
def test_thousands_of_cancellations_among_kills_are_exact(system, tmp_path, seed, delivery):
    assert_exact(run(system, tmp_path, 400, seed, delivery), delivery)


@pytest.mark.parametrize("kills", [False, True], ids=["alive", "killed"])
def test_some_calls_of_a_pool_are_cancelled_or_run(system, tmp_path, seed, kills):
    assert_exact(run_pool(system, tmp_path, 25, seed, kills=kills), Delivery.AT_MOST_ONCE)


@pytest.mark.stress
@pytest.mark.parametrize("kills", [False, True], ids=["alive", "killed"])
def test_thousands_of_calls_of_a_pool_are_cancelled_or_run(system, tmp_path, seed, kills):
    assert_exact(run_pool(system, tmp_path, 500, seed, kills=kills), Delivery.AT_MOST_ONCE)
