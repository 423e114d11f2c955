"""How often an item of a map is tried: what ended its worker and what it raised count together."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import types

import pytest

from procactors import Actor, ActorSystem
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


@pytest.fixture
def deadly(tmp_path, monkeypatch):
    """A function of a module that can be imported here, and ends the workers; notes how often."""
    notes = tmp_path / "notes"
    (tmp_path / "deadly.py").write_text(
        f"import os\nopen({str(notes)!r}, 'a').write('x')\nos._exit(9)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = types.ModuleType("deadly")
    module.__spec__ = importlib.util.spec_from_file_location("deadly", tmp_path / "deadly.py")
    exec("def work(item=0): return item", vars(module))
    monkeypatch.setitem(sys.modules, "deadly", module)
    module.notes = notes
    return module


def test_a_function_that_ends_its_workers_when_it_is_loaded_ends_three_of_them(deadly):
    """Not one for each item: and none of the items was begun."""
    with ActorSystem() as system, system.options(size=2).pool() as pool:
        results = list(pool.map(deadly.work, range(1000), on_error="collect", retries=10))
        assert [type(result) for result in results] == [Quarantined] * 1000
        assert re.match("work has ended [34] workers while it was loaded", str(results[0]))
        assert results[0].report.reason.code == 9
        assert 3 <= deadly.notes.stat().st_size <= 4  # the other worker may be at it as well
        with pytest.raises(Quarantined):
            pool.ask(deadly.work)
        assert pool.ask(abs, -3) == 3


def test_a_function_that_ends_a_worker_once_when_it_is_loaded_is_forgiven(deadly, tmp_path):
    """A lack of memory, say; a call without retries is done all the same: it was not begun."""
    path = tmp_path / "deadly.py"
    path.write_text(f"""
import os
if not os.path.exists({str(deadly.notes)!r}):
    open({str(deadly.notes)!r}, "x").close()
    os._exit(9)
def work(item=0):
    return item
""")
    with ActorSystem() as system, system.options(size=1).pool() as pool:
        assert pool.ask(deadly.work, 7) == 7
        assert list(pool.map(deadly.work, range(100))) == list(range(100))
