"""Stops: their order, their deadlines, and the end of the whole system."""

from __future__ import annotations

import pytest

from procactors.errors import SpawnError
from procactors.model import commands as c
from procactors.model.options import Backoff
from procactors.supervision.system_stop import SystemStop
from tests.unit.supervision.plans import actor, tree
from tests.unit.supervision.world import WAITS, World


def ended(log):
    return [line.split()[1] for line in log if line.startswith("end")]


def family(**options):
    """Return a world with `top` and its children `a`, `b`, `c`, and one that is none of them."""
    world = World()
    world.spawn("other")
    world.spawn("top", **options)
    for name in "abc":
        world.spawn(name, parent="top", **options)
    world.take_log()
    return world


def stop_children(world, name):
    """As an actor does that is about to stop."""
    return world.ask(c.StopChildren(world.id_of(name)))


def test_a_stop_is_answered_behind_the_end():
    world = World()
    world.spawn("a")
    world.stubborn.add("a")
    calls = [world.ask(c.Stop(world.id_of("a"), None)), world.ask(c.Wait(world.id_of("a")))]
    world.run()
    assert [world.answers[call] for call in calls] == [WAITS, WAITS]
    world.stubborn.clear()
    world.hosts["a"].exit(0, 3)
    world.run()
    assert {str(world.answers[call]) for call in calls} == {"stopped"}
    assert str(world.get(c.Stop(world.id_of("a"), None))) == "stopped"  # of one that is over


@pytest.mark.parametrize("own", [None, 2.0, 30.0])
@pytest.mark.parametrize("asked", [None, 5.0])
@pytest.mark.parametrize("deaf", [False, True])
def test_a_stop_is_done_by_its_deadline(own, asked, deaf):
    """SIGTERM shortly before it, and SIGKILL at it: its own, or the system's of ten seconds."""
    world = World()
    world.spawn("a", stop_timeout=own)
    world.stubborn.add("a")
    if deaf:
        world.deaf.add("a")
    limit = asked or own or 10.0
    call = world.ask(c.Stop(world.id_of("a"), asked))
    world.wait(limit - min(1.0, limit / 5) - 0.01)
    assert world.answers[call] is WAITS
    world.wait(0.02)
    assert (world.answers[call] is WAITS) is deaf
    world.wait(1.0)
    signal = "SIGKILL" if deaf else "SIGTERM"
    assert str(world.answers[call]) == f"was killed by the runtime with {signal}"


def test_a_later_stop_never_moves_a_deadline_back():
    world = World()
    world.spawn("a")
    world.stubborn.add("a")
    world.deaf.add("a")
    calls = [world.ask(c.Stop(world.id_of("a"), seconds)) for seconds in (5.0, 60.0, 2.0)]
    world.wait(2.1)
    assert {str(world.answers[call]) for call in calls} == {
        "was killed by the runtime with SIGKILL"
    }


def test_an_actor_that_comes_up_is_stopped_when_it_is_ready():
    world = World()
    world.slow.add("a")
    spawn = world.ask(c.Spawn("", "Actor", actor("a").options, 0))
    world.run()
    call = world.ask(c.Stop(world.id_of("a"), None))
    world.hosts["a"].stop()
    world.run()
    assert world.answers[call] is WAITS
    world.hosts["a"].get_ready(world.hosts["a"].life.start)
    world.supervision.event(lambda: None)
    world.run()
    assert world.answers[spawn].name == "a"
    assert str(world.answers[call]) == "stopped"


def test_an_actor_that_is_killed_before_its_process_is_known_ends_with_it():
    world = World(is_late=True)
    spawn = world.ask(c.Spawn("", "Actor", actor("a").options, 0))
    call = world.ask(c.Kill(world.id_of("a")))
    assert world.answers[call] is WAITS
    world.run()
    assert "killed" in str(world.answers[call])
    assert isinstance(world.answers[spawn], SpawnError)


# -- children of actors ---------------------------------------------------------------------------


def test_children_stop_one_by_one_the_last_first():
    world = family()
    call = stop_children(world, "top")
    world.run()
    assert ended(world.take_log()) == ["c", "b", "a"]
    assert world.answers[call] is None
    assert {world.end_of(name) for name in "abc"} == {"was stopped because its parent ended"}


def test_an_earlier_child_goes_on_until_it_is_its_turn():
    world = family()
    world.stubborn.add("b")
    call = stop_children(world, "top")
    world.run()
    assert world.up_names() == ["other", "top", "a", "b"]
    world.kill("a")  # before its turn, and ordered by nobody: it comes back
    assert world.lives("a") == 2
    world.stubborn.clear()
    world.hosts["b"].exit(0, 3)
    world.run()
    assert world.answers[call] is None
    assert world.up_names() == ["other", "top"]


def test_children_that_hang_are_all_stopped_after_half_of_their_time():
    world = family(stop_timeout=4.0)
    world.stubborn |= {"a", "b", "c"}
    call = stop_children(world, "top")
    world.wait(2.1)
    assert all(world.core.actors[world.id_of(name)].stop_by for name in "abc")
    world.wait(4.0)
    assert world.answers[call] is None


def test_the_children_of_a_stopping_actor_end_in_time_for_it():
    world = family(stop_timeout=10.0)
    world.stubborn |= {"top", "a", "b", "c"}
    world.ask(c.Stop(world.id_of("top"), 10.0))
    call = stop_children(world, "top")
    world.wait(7.3)  # four fifths of the nine seconds until its SIGTERM
    assert world.answers[call] is None
    assert world.up_names() == ["other", "top"]


@pytest.mark.parametrize("end", ["kill", "crash"])
def test_a_dead_actors_children_end_before_its_next_life(end):
    world = family()
    world.stubborn.add("a")
    getattr(world, end)("top")
    assert world.up_names() == ["other", "a"]
    assert world.state("top").state == "restarting"
    refused = world.spawn("late", parent="top")
    assert "its parent has ended" in str(refused)
    world.stubborn.clear()
    world.hosts["a"].exit(0, 3)
    world.run()
    assert (world.lives("top"), world.up_names()) == (2, ["other", "top"])


def test_a_dead_actor_that_stays_down_takes_its_children_along():
    world = family(max_restarts=0)
    world.kill("top")
    assert world.up_names() == ["other"]
    assert {world.end_of(name) for name in "abc"} == {"was stopped because its parent ended"}


def test_grandchildren_end_before_their_parents():
    world = World()
    world.spawn("a")
    world.spawn("b", parent="a")
    world.spawn("c", parent="b")
    world.get(c.Kill(world.id_of("a")))
    assert world.up_names() == []
    assert not world.core.actors


# -- the whole system -----------------------------------------------------------------------------


def test_a_system_stops_latest_started_first_and_trees_as_one():
    world = World()
    world.spawn("first")
    inbox = world.get(c.OpenInbox("inbox"))
    world.supervise(tree(actor("a"), tree(actor("b"), actor("c"))))
    world.spawn("last")
    world.spawn("child", parent="first")
    call = world.stop_all()
    world.run()
    assert ended(world.take_log()) == ["last", "c", "b", "a", "first", "child"]
    assert world.answers[call] is None
    assert world.finished
    assert inbox.name not in world.up_names()
    assert {reason for _, reason in world.ends} == {
        "stopped",
        "was stopped because its parent ended",
    }
    assert not world.core.entries


def test_a_system_without_actors_ends_at_once():
    world = World()
    call = world.stop_all()
    assert world.answers[call] is None
    assert world.finished


def test_a_system_ends_by_its_one_deadline():
    """Also with an actor whose own time is longer."""
    world = World()
    for name in "abc":
        world.spawn(name, stop_timeout=60.0)
    world.stubborn |= {"a", "b", "c"}
    world.deaf |= {"a", "b", "c"}
    call = world.stop_all(8.0)
    world.wait(7.9)
    assert world.answers[call] is WAITS
    world.wait(0.2)
    assert world.answers[call] is None
    assert len(world.ends) == 3


def test_half_of_the_time_is_for_the_order_the_rest_for_all_at_once():
    world = World()
    for name in "abc":
        world.spawn(name)
    world.stubborn.add("c")
    world.stop_all(8.0)
    world.wait(3.9)
    assert world.up_names() == ["a", "b", "c"]
    world.wait(0.2)
    assert world.up_names() == ["c"]


@pytest.mark.parametrize("drain", [True, False])
def test_a_kill_of_the_system_leaves_nothing(drain):
    world = World()
    world.spawn("a")
    world.spawn("b", backoff=Backoff(9.0), max_restarts=9)
    world.supervise(tree(actor("t"), actor("u")))
    for _ in range(2):
        world.kill("b")
    world.stubborn |= {"a", "t"}
    world.hosts["a"].work("H.long")
    call = world.stop_all(0.0, drain)
    world.wait(0.1)
    assert world.answers[call] is None
    assert not world.core.actors


def test_leaving_a_system_waits_for_handlers_to_unwind():
    world = World()
    for name in "ab":
        world.spawn(name)
    world.hosts["a"].work("H.long")
    call = world.stop_all(1.0, drain=False)
    world.run()
    assert dict(world.ends) == {"a": "was killed by the runtime with SIGTERM", "b": "stopped"}
    assert world.answers[call] is None


def test_an_impatient_second_stop_shortens_the_first():
    world = World()
    world.spawn("a")
    world.stubborn.add("a")
    world.deaf.add("a")
    calls = [world.stop_all(60.0), world.stop_all(1.0, drain=False)]
    world.wait(1.1)
    assert [world.answers[call] for call in calls] == [None, None]


def test_actors_that_leave_do_not_finish_their_mailboxes():
    world = World()
    for name in "ab":
        world.spawn(name)
    ids = tuple(map(world.id_of, "ab"))
    assert world.get(c.Leave(ids, 1.0)) is None
    assert world.up_names() == []


def test_nothing_is_started_once_the_intake_is_closed():
    world = World()
    world.supervise(tree(actor("t"), name="top"))
    number = next(iter(world.supervision.trees._live))
    world.core.intake_closed = True
    for command in (
        c.Spawn("", "Actor", actor("a").options, 0),
        c.Supervise(tree(actor("b"))),
        c.StartChild(number, actor("d")),
    ):
        assert "the system is stopping" in str(world.get(command))


def test_the_cost_of_a_systems_stop_goes_with_the_number_of_its_actors(monkeypatch):
    looks = []
    has_parent = SystemStop._has_parent
    monkeypatch.setattr(
        SystemStop, "_has_parent", lambda self, actor: looks.append(1) or has_parent(self, actor)
    )
    world = World()
    for number in range(100):
        world.spawn(f"a{number}")
    world.take_log()
    world.stop_all(10.0)
    world.run()
    assert ended(world.take_log()) == [f"a{number}" for number in reversed(range(100))]
    assert len(looks) <= 200
