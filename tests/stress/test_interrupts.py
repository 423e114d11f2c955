"""1500 calls under a timer of a millisecond that raises at random moments."""

from __future__ import annotations

import pytest

from tests.support.alarms import CALLS, Alarm, Stop, storm

pytestmark = pytest.mark.stress


@pytest.mark.parametrize("kind", [Alarm, Stop])
@pytest.mark.parametrize("how", CALLS)
def test_no_call_has_anothers_answer_and_nothing_is_left(system, how, kind, seed):
    found = storm(system, how, kind, 1500, seed)
    assert found.rung
    assert found.rung + found.answered == 1500
