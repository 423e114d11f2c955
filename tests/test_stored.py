"""Files of older versions open: letters of a dead-letter file, and messages of crash reports.

What lies in `tests/data/version_0_1` was written by version 0.1 under CPython 3.11: two `Box`es, of
a class without code, which every Python opens, and values with code, whose names alone are read.
"""

from __future__ import annotations

import importlib
import pickletools
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from procactors import stored
from procactors.api.replay import surroundings_of
from procactors.deadletters.file import LetterFile
from procactors.wire import procstat
from procactors.wire.pickling.codec import encode, split
from tests.support.programs import environment

OLD = Path(__file__).parent / "data" / "version_0_1"


@pytest.fixture
def letters(tmp_path):
    path = tmp_path / "letters.sqlite"
    shutil.copy(OLD / "letters.sqlite", path)
    path.chmod(0o600)
    with LetterFile(str(path)) as file:
        yield file


def names_in(data):
    """Yield (module, name) of what a pickle names, and the pickles in it."""
    found, memo, before = [], [], ""
    for code, value, _ in pickletools.genops(data):
        if code.name in ("SHORT_BINUNICODE", "BINUNICODE"):
            found.append(value)
        elif code.name == "MEMOIZE":
            memo.append(found[-1] if "UNICODE" in before else "")
        elif code.name in ("BINGET", "LONG_BINGET"):
            found.append(memo[value])
        elif code.name == "STACK_GLOBAL":
            yield found[-2], found[-1]
        elif code.name in ("SHORT_BINBYTES", "BINBYTES") and value.startswith(b"\x80\x05\x95"):
            yield from names_in(value)
        before = code.name


def pickles(letters):
    """All pickles in the old files."""
    yield from (path.read_bytes() for path in OLD.glob("*.pickle"))
    for one in letters.letters():
        yield letters.letter(one.id).letter.head
        yield from letters.definitions(one.run).values()
        actor = letters.letter(one.id).letter.actor_id
        yield bytes(split(memoryview(letters.blueprint(one.run, actor)))[0])


def test_whatever_an_old_file_names_is_found(letters):
    found = {pair for data in pickles(letters) for pair in names_in(data)}
    ours = sorted(pair for pair in found if pair[0].startswith("procactors"))
    assert ("procactors.wire.rebuilding", "make_class") in ours
    assert ("procactors.wire.parcel", "open_parcel") in ours
    assert len(ours) > 15
    for module, name in ours:
        assert callable(getattr(__import__(module, fromlist=[name]), name)), f"{module}.{name}"


def test_an_old_letter_opens(letters):
    first, second, *_ = (letters.letter(one.id) for one in letters.letters())
    with surroundings_of(letters, first):
        box = first.letter.message
        assert (type(box).__qualname__, box.side, box.name) == ("Box", 3, "first")
        (again, other), kwargs = second.letter.message
        assert (type(again), again.name, other.name, kwargs) == (type(box), "first", "other", {})


def test_an_old_message_of_a_crash_report_opens_by_plain_pickle():
    code = (
        "import pickle, sys; box = pickle.load(open(sys.argv[1], 'rb')); print(box.name, box.side)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, OLD / "crash.pickle"],
        capture_output=True,
        check=True,
        env=environment(),
    )
    assert shown.stdout == b"first 3\n"


def test_todays_files_name_one_module_for_what_makes_values_again():
    """So that the next move of a module leaves them as they are."""
    inner = type("Inner", (), {"f": lambda self: self, "__module__": "__main__"})
    named = {module for module, _ in names_in(encode("nowhere", inner).head)}
    assert {name for name in named if name.startswith("procactors")} == {"procactors.stored"}


@pytest.mark.parametrize("name", stored.STORED)
def test_what_is_stored_is_found_under_its_name_and_says_so(name):
    home = importlib.import_module(stored.STORED[name])
    function = vars(home)[name]
    assert getattr(stored, name) is function
    assert (function.__module__, function.__qualname__) == ("procactors.stored", name)


def test_what_the_table_does_not_have_is_not_stored():
    with pytest.raises(AttributeError, match="nothing"):
        _ = stored.nothing


def test_a_module_that_moved_is_found_by_its_old_name(monkeypatch):
    monkeypatch.setitem(stored._MOVED, "procactors.wire.gone", "procactors.wire.procstat")
    monkeypatch.delitem(sys.modules, "procactors.wire.gone", raising=False)
    gone = __import__("procactors.wire.gone", fromlist=["stat_of"])
    assert gone.stat_of is procstat.stat_of
    with pytest.raises(AttributeError):
        _ = gone.nothing
    del sys.modules["procactors.wire.gone"]


def test_no_other_name_is_found_so():
    with pytest.raises(ModuleNotFoundError):
        __import__("procactors.wire.never")


def test_what_moved_is_where_the_table_says():
    for old, new in stored._MOVED.items():
        __import__(new)
        parent, _, name = old.rpartition(".")
        there = getattr(__import__(parent, fromlist=[name]), name, None)
        # An import sets the module in its package: not in the stead of a function of that name.
        assert there is None or isinstance(there, types.ModuleType), old
