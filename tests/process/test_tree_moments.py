"""Orders and deaths that come to a tree in an odd moment: each caller is answered, once."""

from __future__ import annotations

import os
import signal

import pytest

from procactors import (
    Actor,
    ActorSystem,
    Backoff,
    ExitKind,
    Restart,
    Strategy,
    Supervisor,
    errors,
    spec,
)
from tests.support.actors import Counter, Echo, Sleeper
from tests.support.gates import Gate, new_gate
from tests.support.waiting import SHORT_S, aside, eventually


class Slow(Actor):
    """Stands at a gate in its second start, or in each `on_stop`."""

    def __init__(self, starting: Gate | None = None, ending: Gate | None = None) -> None:
        self.starting, self.ending = starting, ending

    def on_start(self) -> None:
        if self.starting is not None and self.context.incarnation > 1:
            self.starting.wait()

    def on_stop(self, reason: object) -> None:
        if self.ending is not None:
            self.ending.wait()


def kill(ref):
    os.kill(ref.status().pid, signal.SIGKILL)


def states(tree):
    return {child.name: child.state for child in tree.children()}


@pytest.fixture
def second_gate(tmp_path):
    with new_gate(tmp_path / "second") as gate:
        yield gate


# -- while all children are restarted -----------------------------------------------------------


def test_a_sibling_that_is_killed_while_its_group_is_lowered_stays_down(system, gate):
    tree = system.supervise(
        Supervisor(
            spec(Sleeper).options(name="stuck"),
            spec(Echo).options(name="echo"),
            strategy=Strategy.ONE_FOR_ALL,
        )
    )
    stuck = system["stuck"]
    reply = stuck.submit(Sleeper.sleep, gate)
    gate.arrival()
    kill(system["echo"])
    eventually(lambda: stuck.status().state == "stopping", "the order to stop")
    assert aside(stuck.kill).result(SHORT_S).kind is ExitKind.KILLED
    assert isinstance(reply.exception(), errors.ActorDied)
    eventually(lambda: states(tree) == {"stuck": "down", "echo": "up"}, "the end of the restart")
    assert tree.restart_child("stuck").ask(Sleeper.pid) > 0


@pytest.mark.parametrize("restart", [Restart.PERMANENT, Restart.TRANSIENT])
def test_a_stop_that_is_under_way_as_its_group_is_restarted_is_answered(system, gate, restart):
    tree = system.supervise(
        Supervisor(
            spec(Slow, ending=gate).options(name="slow", restart=restart),
            spec(Echo).options(name="echo"),
            spec(Echo).options(name="last"),
            strategy=Strategy.ONE_FOR_ALL,
        )
    )
    stopped = aside(system["slow"].stop)
    gate.arrival()
    kill(system["echo"])
    eventually(lambda: states(tree)["last"] == "restarting", "the restart")
    gate.open()
    assert stopped.result(SHORT_S).kind is ExitKind.STOPPED
    eventually(
        lambda: states(tree) == {"slow": "down", "echo": "up", "last": "up"},
        "the end of the restart",
    )


def test_a_child_that_is_killed_while_it_comes_up_again_stays_down(system, gate):
    tree = system.supervise(
        Supervisor(
            spec(Slow, gate).options(name="slow"),
            spec(Echo).options(name="echo"),
            strategy=Strategy.ONE_FOR_ALL,
        )
    )
    slow = system["slow"]
    kill(system["echo"])
    gate.arrival()
    assert aside(slow.kill).result(SHORT_S).kind is ExitKind.KILLED
    eventually(lambda: states(tree) == {"slow": "down", "echo": "up"}, "the end of the restart")


def test_a_child_that_is_killed_while_its_supervisor_comes_up_again_stays_down(system, gate):
    inner = Supervisor(
        spec(Slow, gate).options(name="slow"),
        spec(Echo).options(name="echo"),
        max_restarts=0,
        name="inner",
    )
    tree = system.supervise(Supervisor(inner))
    inner = tree.children()[0].ref
    slow = system["slow"]
    kill(system["echo"])
    gate.arrival()
    assert aside(slow.kill).result(SHORT_S).kind is ExitKind.KILLED
    eventually(lambda: states(tree) == {"inner": "up"}, "the supervisor's restart")
    assert states(inner) == {"slow": "down", "echo": "up"}


# -- supervisors that are stopped ---------------------------------------------------------------


def test_a_supervisor_that_gives_up_can_be_stopped_meanwhile(system, gate):
    inner = Supervisor(
        spec(Sleeper).options(name="stuck"),
        spec(Echo).options(name="echo"),
        max_restarts=0,
        name="inner",
    )
    tree = system.supervise(Supervisor(inner))
    inner = tree.children()[0].ref
    system["stuck"].tell(Sleeper.sleep, gate)
    gate.arrival()
    kill(system["echo"])
    eventually(lambda: system["stuck"].status().state == "stopping", "the giving up")
    stopped = aside(inner.stop)
    # Answered behind the order to stop: that has come.
    tree.children()
    eventually(lambda: system["stuck"].status().state == "stopping", "the order to stop")
    gate.open()
    assert stopped.result(SHORT_S).kind is ExitKind.STOPPED
    assert states(tree) == {"inner": "down"}


def test_a_supervisor_that_a_restart_stops_can_be_stopped_meanwhile(system, gate):
    inner = Supervisor(spec(Sleeper).options(name="stuck"), name="inner")
    tree = system.supervise(
        Supervisor(inner, spec(Echo).options(name="echo"), strategy=Strategy.ONE_FOR_ALL)
    )
    inner = tree.children()[0].ref
    system["stuck"].tell(Sleeper.sleep, gate)
    gate.arrival()
    kill(system["echo"])
    eventually(lambda: system["stuck"].status().state == "stopping", "the restart")
    assert aside(inner.stop, 0.2).result(SHORT_S).kind is ExitKind.STOPPED
    eventually(lambda: states(tree) == {"inner": "down", "echo": "up"}, "the end of the restart")


def test_a_supervisor_that_waits_for_its_restart_can_be_stopped(system, gate):
    """While the children are raised, before its turn: it stays down, the others go on."""
    inner = Supervisor(spec(Echo).options(name="leaf"), name="inner")
    tree = system.supervise(
        Supervisor(
            spec(Slow, gate).options(name="slow"),
            inner,
            spec(Echo).options(name="echo"),
            strategy=Strategy.ONE_FOR_ALL,
        )
    )
    inner = tree.children()[1].ref
    kill(system["echo"])
    gate.arrival()
    assert aside(inner.stop).result(SHORT_S).kind is ExitKind.STOPPED
    gate.open()
    eventually(
        lambda: states(tree) == {"slow": "up", "inner": "down", "echo": "up"},
        "the end of the restart",
    )


# -- what a supervisor forgets ------------------------------------------------------------------


def test_a_child_that_was_added_and_is_down_goes_with_its_supervisors_restart(system):
    inner = Supervisor(spec(Echo).options(name="echo"), max_restarts=0, name="inner")
    tree = system.supervise(Supervisor(inner))
    inner = tree.children()[0].ref
    inner.start_child(spec(Counter).options(name="x"))
    inner.terminate_child("x")
    folder = system._endpoint.path + "/actors"
    files = [name for name in os.listdir(folder) if name.startswith("new-")]
    kill(system["echo"])
    eventually(lambda: system["echo"].status().incarnation == 2, "the restart")
    eventually(lambda: states(tree) == {"inner": "up"}, "the restart")
    with pytest.raises(errors.SupervisionError, match="no child 'x'"):
        aside(inner.terminate_child, "x").result(SHORT_S)
    left = [name for name in os.listdir(folder) if name.startswith("new-")]
    assert len(left) == len(files) - 1
    assert inner.start_child(spec(Counter, 5).options(name="x")).ask(Counter.get_value) == 5


def test_a_child_for_a_supervisor_that_has_ended_leaves_no_file(system):
    folder = system._endpoint.path + "/actors"
    tree = system.supervise(Supervisor(spec(Counter), strategy=Strategy.DYNAMIC))
    other = system.supervise(Supervisor(spec(Counter)))
    tree.stop()
    other.stop()
    before = sorted(os.listdir(folder))
    with pytest.raises(errors.ActorStopped):
        tree.start_child(5)
    with pytest.raises(errors.ActorStopped):
        other.start_child(Supervisor(spec(Counter)))
    assert sorted(os.listdir(folder)) == before


# -- the system's end ---------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [None, 0.0])
def test_who_waits_for_a_tree_without_children_is_told_of_the_systems_end(start_method, timeout):
    with ActorSystem(start_method=start_method) as system:
        tree = system.supervise(Supervisor(spec(Echo), strategy=Strategy.DYNAMIC))
        waiting = aside(tree.wait)
        eventually(lambda: tree.children() == [], "an answer")
        system.stop(*([] if timeout is None else [timeout]))
        assert waiting.result(SHORT_S).kind is ExitKind.STOPPED


def test_the_systems_end_finds_a_supervisor_that_waits_for_its_restart(start_method):
    """A nested one is parked, its child in its backoff: nobody is started any more."""
    with ActorSystem(start_method=start_method) as system:
        wait = Backoff(initial=60.0, maximum=60.0)
        inner = Supervisor(spec(Echo).options(name="leaf", backoff=wait), name="inner")
        tree = system.supervise(Supervisor(inner, max_restarts=9))
        for life in (1, 2):
            eventually(
                lambda life=life: (
                    system["leaf"].status().incarnation == life and system["leaf"].status().pid
                ),
                "the life",
            )
            kill(system["leaf"])
        eventually(lambda: system["leaf"].status().state == "restarting", "the wait")
        waiting = aside(tree.wait)
        assert states(tree) == {"inner": "up"}
    assert waiting.result(SHORT_S).kind is ExitKind.STOPPED
