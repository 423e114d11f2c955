"""How often an item of a map is tried: what ended its worker and what it raised count together."""

from __future__ import annotations

import os

import pytest

from procactors import Actor
from procactors.errors import ActorDied, Quarantined


class Doer(Actor):
    def do(self, path):
        """Note that it was begun; then do what the file's name says of this time."""
        with open(path, "a") as notes:
            notes.write("x")
        plan = os.path.basename(path)
        if plan[os.path.getsize(path) - 1] == "e":
            os._exit(3)
        raise KeyError(path)


@pytest.mark.parametrize(
    ("plan", "retries", "tries", "error"),
    [
        ("eeeeeeeee", 1, 2, Quarantined),  # it has had its tries, and is not an exception to retry
        ("eeeeeeeee", 5, 3, Quarantined),  # the quarantine holds
        ("errrr", 2, 3, KeyError),
        ("rrrrr", 2, 3, KeyError),
        ("reeee", 1, 2, ActorDied),
    ],
)
def test_an_item_has_its_retries_and_no_more(system, tmp_path, plan, retries, tries, error):
    path = str(tmp_path / plan)
    with system.options(size=2).pool(Doer) as pool:
        results = pool.map(Doer.do, [path], on_error="collect", retries=retries, retry_on=Exception)
        assert [type(result) for result in results] == [error]
    assert os.path.getsize(path) == tries
