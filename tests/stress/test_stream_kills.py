"""Streams and feeds under random kills: no gap, nobody waits, nothing is left."""

from __future__ import annotations

import pytest

from tests.stress.stream_kills import run


def test_forty_kills_leave_no_gap_and_nobody_waiting(system, seed):
    ends = run(system, 40, seed)
    print(ends)
    assert ends["whole"] > 0


@pytest.mark.stress
def test_two_thousand_kills_leave_no_gap_and_nobody_waiting(system, seed):
    ends = run(system, 2_000, seed)
    print(ends)
    assert ends["whole"] > 100
    assert ends["ActorDied"] > 100
