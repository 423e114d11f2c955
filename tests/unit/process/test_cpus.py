"""How many processors there are for us."""

from __future__ import annotations

import os

from procactors import usable_cpus


def test_it_is_never_more_than_the_affinity_allows():
    allowed = os.sched_getaffinity(0)
    assert 1 <= usable_cpus() <= len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, allowed)
