"""However much is logged, and whoever is killed over it: what was handed over comes, in order."""

from __future__ import annotations

import pytest

from tests.stress.log_floods import Outcome, run


def assert_whole(outcome: Outcome, each: int) -> None:
    assert outcome.disorder == []
    for name, noted in outcome.noted.items():
        missing = noted - outcome.came.get(name, 0)
        if name not in outcome.killed:
            assert (noted, missing) == (each, 0), name
        # Killed between its own note and the runtime's, the record is nobody's yet.
        assert 0 <= missing - outcome.told.get(name, 0) <= 1, name
        assert missing <= 1, name


def test_a_flood_comes_whole_but_for_what_the_killed_were_at(system, tmp_path, seed):
    assert_whole(run(system, tmp_path, 8, 1000, 3, seed), 1000)


@pytest.mark.stress
def test_a_million_records_come_whole_in_bounded_memory(system, tmp_path, seed):
    outcome = run(system, tmp_path, 20, 50_000, 5, seed)
    assert_whole(outcome, 50_000)
    assert outcome.grown < 100 * 1024 * 1024
