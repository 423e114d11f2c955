"""The order of a stop: children before their parents, the last started first, one by one."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from procactors import Actor, ActorSystem, ExitKind, StopOutcome
from tests.support.gates import new_gate
from tests.support.notes import note
from tests.support.waiting import eventually


class Noted(Actor):
    """Notes when its end begins and when it is over; `gate` holds it in between."""

    def __init__(self, log, names=(), gate=None, **options):
        self.log, self.gate = log, gate
        for name, below in dict(names).items():
            self.context.options(name=name, **options).spawn(Noted, log, below)

    def on_stop(self, reason):
        name = self.context.ref.name
        note(self.log, f"{name} begins")
        if self.gate is not None:
            self.gate.wait()
        note(self.log, f"{name} ends")

    def hire(self, name, gate=None, stop_timeout=None):
        spawner = self.context.options(name=name, stop_timeout=stop_timeout)
        return spawner.spawn(Noted, self.log, (), gate)

    def hold_against_sigterm(self, gate):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        gate.wait()

    def leave(self):
        self.context.stop()

    def crash(self):
        raise ValueError("on purpose")


def lines_for(*names):
    return [f"{name} {what}" for name in names for what in ("begins", "ends")]


def lines_of(log):
    return log.read_text().splitlines() if log.exists() else []


TREE = {"a": {"a1": {}, "a2": {"deep": {}}}, "b": {}, "c": {"c1": {}}}
#: Each behind all of its own children, and one after the other: no two at once.
REVERSED = ("c1", "c", "b", "deep", "a2", "a1", "a", "top")


@pytest.mark.parametrize("how", ["stop", "leave", "system"])
def test_children_stop_one_by_one_in_reverse_order_before_their_parent(start_method, tmp_path, how):
    log = tmp_path / "log"
    with ActorSystem(start_method=start_method, stop_timeout=60.0) as system:
        top = system.options(name="top").spawn(Noted, log, TREE)
        if how == "stop":
            assert top.stop().kind is ExitKind.STOPPED
        elif how == "leave":
            top.tell(Noted.leave)
            assert top.wait().kind is ExitKind.NORMAL
    assert lines_of(log) == lines_for(*REVERSED)
    if how == "system":
        report = system.stop()
        assert [actor.name for actor in report.actors] == list(REVERSED)
        assert report.clean


def test_a_crashed_actors_children_stop_in_reverse_order_before_its_next_life(system, tmp_path):
    log = tmp_path / "log"
    top = system.options(name="top").spawn(Noted, log, {"a": {}, "b": {}, "c": {}})
    top.tell(Noted.crash)
    eventually(lambda: top.status().incarnation == 2, "the second life")
    assert lines_of(log) == lines_for("c", "b", "a")


@pytest.mark.methods
def test_a_killed_actors_children_stop_in_reverse_order(system, tmp_path):
    log = tmp_path / "log"
    top = system.options(name="top").spawn(Noted, log, {"a": {}, "b": {}, "c": {}})
    children = [system[name] for name in "abc"]
    top.kill()
    assert [child.wait().kind for child in children] == [ExitKind.PARENT_GONE] * 3
    assert lines_of(log) == lines_for("c", "b", "a")


def test_actors_that_are_stopped_right_after_their_start_end_in_order(
    system, start_method, tmp_path
):
    """An actor may be up before the zygote has told its number: it is not taken for an inbox."""
    log = tmp_path / "log"
    rounds = 40 if start_method == "forkserver" else 3  # the others have no zygote to outrun
    names = [f"round-{number}" for number in range(rounds)]
    for name in names:
        assert system.options(name=name).spawn(Noted, log).stop().kind is ExitKind.STOPPED
    assert lines_of(log) == lines_for(*names)


def test_an_earlier_child_goes_on_until_it_is_its_turn(system, tmp_path, gate):
    """The last one's on_stop is not over: the first is not even told."""
    log = tmp_path / "log"
    top = system.options(name="top").spawn(Noted, log)
    first = top.ask(Noted.hire, "first")
    top.ask(Noted.hire, "last", gate)
    stopping = threading.Thread(target=top.stop, args=(200.0,))
    stopping.start()
    gate.arrival()
    assert lines_of(log) == ["last begins"]
    assert first.status().state == "idle"
    gate.open()
    stopping.join()
    assert lines_of(log) == lines_for("last", "first", "top")


def test_a_child_that_crashes_before_its_turn_is_no_trouble(system, tmp_path, gate):
    log = tmp_path / "log"
    top = system.options(name="top").spawn(Noted, log)
    first = top.ask(Noted.hire, "first")
    middle = top.ask(Noted.hire, "middle")
    top.ask(Noted.hire, "last", gate)
    stopping = threading.Thread(target=top.stop, args=(200.0,))
    stopping.start()
    gate.arrival()
    middle.kill()  # for good
    os.kill(first.status().pid, signal.SIGKILL)  # it is respawned, and then stopped
    eventually(lambda: first.status().incarnation == 2, "the second life")
    gate.open()
    stopping.join()
    assert lines_of(log) == lines_for("last", "first", "top")


def test_a_child_that_hangs_costs_its_own_time_and_its_parent_ends_in_order(system, tmp_path):
    log = tmp_path / "log"
    with new_gate(tmp_path / "stuck") as stuck:
        top = system.options(name="top").spawn(Noted, log)
        top.ask(Noted.hire, "first")
        hanging = top.ask(Noted.hire, "hanging", None, 0.3)
        hanging.tell(Noted.hold_against_sigterm, stuck)
        stuck.arrival()
        assert top.stop(timeout=200.0).kind is ExitKind.STOPPED
        assert hanging.wait().kind is ExitKind.KILLED
        assert lines_of(log) == lines_for("first", "top")


def test_hanging_children_do_not_cost_their_parent_its_orderly_end(system, tmp_path):
    """All of them together have less time than the parent, whatever their own is."""
    log = tmp_path / "log"
    with new_gate(tmp_path / "stuck") as stuck:
        top = system.options(name="top").spawn(Noted, log)
        hanging = [top.ask(Noted.hire, f"hanging-{n}", None, 600.0) for n in range(3)]
        for child in hanging:
            child.tell(Noted.hold_against_sigterm, stuck)
            stuck.arrival()
        assert top.stop(timeout=3.0).kind is ExitKind.STOPPED
        assert [child.wait().kind for child in hanging] == [ExitKind.KILLED] * 3
        assert lines_of(log) == lines_for("top")


def test_hanging_children_of_an_actor_that_leaves_by_itself_do_not_outlast_the_systems_stop(
    start_method, tmp_path
):
    """It waits for them without a deadline of its own; then the system's stop brings one."""
    log = tmp_path / "log"
    with new_gate(tmp_path / "stuck") as stuck:
        system = ActorSystem(start_method=start_method)
        top = system.options(name="top").spawn(Noted, log)
        hanging = [top.ask(Noted.hire, f"hanging-{n}", None, 600.0) for n in range(2)]
        for child in hanging:
            child.tell(Noted.hold_against_sigterm, stuck)
            stuck.arrival()
        top.tell(Noted.leave)
        eventually(lambda: hanging[-1].status().state == "stopping", "the last child's turn")
        report = system.stop(timeout=3.0)
        outcomes = {actor.name: actor.how for actor in report.actors}
        assert outcomes == {
            "hanging-0": StopOutcome.KILLED,
            "hanging-1": StopOutcome.KILLED,
            "top": StopOutcome.LEFT,
        }
        assert lines_of(log) == lines_for("top")
