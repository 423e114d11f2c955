"""Trees of actors under random kills end as the model says."""

from __future__ import annotations

import pytest

from tests.stress import tree_kills


def test_a_small_tree_under_random_kills_is_whole_in_the_end(seed):
    report = tree_kills.run(seed, seconds=2.0, levels=2, width=2, leaves=3)
    assert report.actors == 6
    assert report.kills > 10


@pytest.mark.stress
def test_a_tree_of_five_levels_and_200_actors_under_60_s_of_random_kills(seed):
    report = tree_kills.run(seed, seconds=60.0)
    print(report)
    assert report.actors == 208
    assert len(report.by_way) == len(tree_kills.WITHIN) + len(tree_kills.OUTSIDE)
