"""A batch job loses no finished item to a SIGKILL, and repeats none that was journalled."""

from __future__ import annotations

import pytest

from tests.stress import map_kills


@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "as they come"])
def test_a_few_kills_change_nothing_in_the_output(tmp_path, seed, ordered):
    report = map_kills.run(tmp_path, seed, kills=3, items=1500, ordered=ordered)
    print(report)
    assert report.kills == 3
    assert report.skipped > 0


@pytest.mark.stress
@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "as they come"])
def test_twenty_kills_change_nothing_in_the_output(tmp_path, seed, ordered):
    report = map_kills.run(tmp_path, seed, kills=20, items=6000, ordered=ordered)
    print(report)
    assert report.kills >= 15
    assert report.skipped > 0
