"""Streams and feeds under random kills: no gap, nobody waits, nothing is left."""

from __future__ import annotations

import pytest

from tests.stress.stream_kills import run
from tests.support.waiting import LONG_S


def test_forty_kills_leave_no_gap_and_nobody_waiting(system, seed):
    ends = run(system, 40, seed)
    print(ends)
    assert ends["whole"] > 0


@pytest.mark.stress
def test_two_thousand_kills_leave_no_gap_and_nobody_waiting(system, seed):
    ends = run(system, 2_000, seed, LONG_S / 2)
    print(ends)
    assert ends["kills"] > 200  # on a machine that is very busy
    assert ends["whole"] > 100
    assert ends["ActorDied"] > 50
