"""All that can be done with a message, at once, while all are killed: each caller has one end."""

from __future__ import annotations

import pytest

from tests.stress.seam_kills import Outcome, missing, run


def assert_kept(outcome: Outcome) -> None:
    print(outcome)
    assert outcome.wrong == []
    assert outcome.ends["answered"] > outcome.kills


def test_a_few_kills_amid_everything(system, tmp_path, seed):
    assert_kept(run(system, tmp_path, 12, seed))


@pytest.mark.stress
def test_hundreds_of_kills_amid_everything(system, tmp_path, seed):
    assert_kept(run(system, tmp_path, 400, seed))


@pytest.mark.parametrize("place", range(7))
def test_what_is_sent_is_handled_late_taken_back_or_waits(system, tmp_path, seed, place):
    assert missing(system, tmp_path, place, seed, 80) == 0
