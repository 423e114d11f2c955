"""A profile of a live actor names what it is busy with; nothing of it stays behind."""

from __future__ import annotations

import os

import pytest

from procactors.outside.flames import as_speedscope
from procactors.outside.profile import IDLE, UNSEEN, profile_of, self_times
from procactors.outside.visit import NotAtHome
from procactors.wire.endpoint import actor_path
from tests.support.stuck import Busy, Somewhere
from tests.support.waiting import SHORT_S, aside, eventually


@pytest.fixture(autouse=True)
def own_sampler(monkeypatch):
    monkeypatch.setattr("procactors.outside.py_spy._program", lambda: None)


def folder(ref):
    return actor_path(ref._runtime_dir, ref._actor)


@pytest.mark.methods
def test_the_hot_function_has_the_most_weight(system, gate):
    ref = system.spawn(Busy)
    reply = ref.submit(Busy.work, gate)
    gate.arrival()
    gate.open()
    found = profile_of(folder(ref), 1.0, 200)
    (gate.folder / "enough").touch()
    reply.result(SHORT_S)
    assert found.source == "sampler"
    assert found.pid == ref.status().pid
    # A busy machine keeps the sampler from its work, and it says so.
    times = [(function, time) for function, time in self_times(found) if function != UNSEEN]
    function, seconds = times[0]
    assert function.startswith("hot (")
    assert seconds > 0.6 * sum(time for _, time in times)
    assert sum(found.stacks.values()) <= found.seconds + 0.5
    assert "hot" in as_speedscope(found, "busy")


def test_an_idle_actor_waits(system):
    ref = system.spawn(Somewhere)
    found = profile_of(folder(ref), 0.5, 100)
    assert max(found.stacks, key=found.stacks.get)[-1] == IDLE
    assert ref.ask(Somewhere.count_to, 3) == 3


def test_c_code_that_holds_the_interpreters_lock_is_seen_by_dumps(system, gate):
    ref = system.spawn(Somewhere)
    ref.submit(Somewhere.hold_the_lock, gate)
    gate.arrival()
    gate.open()
    found = profile_of(folder(ref), 1.5, 100)
    function, _ = self_times(found)[0]
    assert function.startswith("hold_the_lock (")
    assert "faulthandler" in found.note
    ref.kill()


def test_a_visitor_that_goes_takes_the_sampler_along(system, gate):
    from time import monotonic

    from procactors.outside.stacks import process_of
    from procactors.outside.visit import Visit

    ref = system.spawn(Somewhere)
    threads = f"/proc/{ref.status().pid}/task"
    before = len(os.listdir(threads))
    with process_of(folder(ref), monotonic() + SHORT_S) as process:
        with Visit(folder(ref), "profile.100.3600000") as visit:
            connection = visit.knock(process, monotonic() + SHORT_S)
            connection.recv(1)
            assert len(os.listdir(threads)) == before + 1
            connection.close()
    eventually(lambda: len(os.listdir(threads)) == before, "the sampler's end")
    assert not [name for name in os.listdir(folder(ref)) if "door" in name]


def test_an_actor_that_dies_leaves_what_was_seen(system, gate):
    ref = system.spawn(Busy)
    ref.submit(Busy.work, gate)
    gate.arrival()
    gate.open()
    sampled = aside(profile_of, folder(ref), 3600.0, 100)
    threads = f"/proc/{ref.status().pid}/task"
    eventually(lambda: len(os.listdir(threads)) > 1, "the sampler")
    stamp = folder(ref)
    eventually(lambda: not any("door" in name for name in os.listdir(stamp)), "the visit")
    eventually(lambda: not sampled.done(), "the profile")
    ref.kill()
    error = sampled.exception(SHORT_S)
    if error is None:
        assert sampled.result().stacks
    else:  # nothing had been told by then
        assert isinstance(error, NotAtHome)
        assert "has ended" in str(error)
