"""Each way of the fault catalogue does what its row says."""

from __future__ import annotations

import multiprocessing
import pickle

import pytest

from tests.support import faults
from tests.support.faults import DEADLY, ERRORS, FAULTS, commit


@pytest.mark.parametrize("name", [name for name, way in FAULTS.items() if way.raises])
def test_a_way_that_raises_raises_its_error_and_leaves_the_process_whole(name):
    with pytest.raises(FAULTS[name].raises):
        commit(name)
    bytearray(2**27)  # no limit is left behind


@pytest.mark.parametrize("name", DEADLY)
def test_a_deadly_way_ends_the_process_with_its_exit_code(name):
    child = multiprocessing.get_context("spawn").Process(target=commit, args=(name,))
    child.start()
    child.join()
    assert child.exitcode == FAULTS[name].exit_code
    child.close()


def test_signals_have_names():
    assert FAULTS["segfault"].signal.name == "SIGSEGV"
    assert FAULTS["os._exit(7)"].signal is None


@pytest.mark.parametrize("how", ERRORS)
def test_a_value_breaks_where_it_is_pickled_or_loaded(how):
    with pytest.raises(FAULTS[how].raises):
        pickle.dumps(faults.BreaksWhenPickled(how))
    data = pickle.dumps(faults.BreaksWhenLoaded(how))
    with pytest.raises(FAULTS[how].raises):
        pickle.loads(data)


def test_a_value_that_breaks_in_one_process_is_itself_elsewhere():
    value = faults.BreaksWhenLoaded("exception", only_in=1)
    assert pickle.loads(pickle.dumps(value)) == value


def test_an_error_that_cannot_be_rebuilt_pickles_and_does_not_load():
    data = pickle.dumps(faults.Unrebuildable(7, "on purpose"))
    with pytest.raises(TypeError):
        pickle.loads(data)
