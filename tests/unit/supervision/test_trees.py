"""Trees: order, strategies, escalation, orders at odd moments."""

from __future__ import annotations

import itertools

import pytest

from procactors.errors import (
    ActorStopped,
    InvalidSpec,
    NameTaken,
    SpawnError,
    SupervisionError,
)
from procactors.model import commands as c
from procactors.model.options import Backoff, Restart
from procactors.model.tree import AutoShutdown, Strategy
from tests.unit.supervision.plans import actor, tree
from tests.unit.supervision.world import WAITS, World

NAMES = ["a", "b", "c"]
STRATEGIES = [s for s in Strategy if s is not Strategy.DYNAMIC]


def grown(*children, is_late=False, **flags):
    """Return a world with a tree, and its supervisor's number."""
    world = World(is_late=is_late)
    info = world.supervise(tree(*(children or map(actor, NAMES)), **flags))
    world.take_log()
    return world, info.supervisor


def started(log):
    return [line.split()[1] for line in log if line.startswith("start")]


def ended(log):
    return [line.split()[1] for line in log if line.startswith("end")]


@pytest.mark.parametrize("is_late", [False, True])
def test_children_start_in_order_and_stop_in_reverse(is_late):
    world = World(is_late=is_late)
    info = world.supervise(tree(*map(actor, NAMES)))
    assert world.take_log() == ["start a", "start b", "start c"]
    assert str(world.get(c.StopSupervisor(info.supervisor, None))) == "stopped"
    assert ended(world.take_log()) == ["c", "b", "a"]
    assert not world.core.actors
    assert str(world.get(c.WaitSupervisor(info.supervisor))) == "stopped"


def test_each_child_waits_for_the_one_before_it():
    world = World()
    world.slow.add("b")
    call = world.ask(c.Supervise(tree(*map(actor, NAMES))))
    world.run()
    assert world.take_log() == ["start a", "start b"]
    world.hosts["b"].get_ready(world.hosts["b"].life.start)
    world.supervision.event(lambda: None)
    world.run()
    assert world.take_log() == ["start c"]
    assert world.answers[call].name.startswith("supervisor-")


@pytest.mark.parametrize("way", ["broken", "refuses"])
@pytest.mark.parametrize("failing", NAMES)
def test_a_start_that_fails_undoes_what_was_started(failing, way):
    world = World()
    getattr(world, way)[failing] = 1
    error = world.supervise(tree(*map(actor, NAMES)))
    assert type(error) is SpawnError
    assert f"({failing}) did not start" in str(error)
    assert not world.core.actors
    before = NAMES[: NAMES.index(failing)]
    assert ended(world.take_log())[-len(before) :] == before[::-1] if before else True
    assert world.supervise(tree(*map(actor, NAMES))).name  # all names are free again


def test_a_taken_name_fails_the_start():
    world = World()
    world.spawn("b")
    error = world.supervise(tree(*map(actor, NAMES)))
    assert isinstance(error, NameTaken)
    assert world.up_names() == ["b"]


@pytest.mark.parametrize("restart", Restart)
@pytest.mark.parametrize("end", ["leave", "stop", "crash", "kill", "exits"])
def test_restart_type_and_end_decide(restart, end):
    world, number = grown(*(actor(name, restart=restart) for name in "ab"))
    getattr(world, end)("a")
    by_itself = end in ("crash", "kill", "exits")
    comes_back = {
        Restart.PERMANENT: end != "stop",
        Restart.TRANSIENT: by_itself,
        Restart.TEMPORARY: False,
    }[restart]
    rows = {row.name: row.state for row in world.get(c.ListChildren(number))}
    forgotten = restart is Restart.TEMPORARY
    assert rows.pop("b") == "up"
    assert rows == ({} if forgotten else {"a": "up" if comes_back else "down"})
    assert (world.lives("a"), world.lives("b")) == (1 + comes_back, 1)


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("end", ["crash", "kill", "exits"])
@pytest.mark.parametrize(("strategy", "dead"), list(itertools.product(STRATEGIES, NAMES)))
def test_a_strategy_says_which_are_restarted(strategy, dead, end, is_late):
    world, _ = grown(strategy=strategy, is_late=is_late)
    getattr(world, end)(dead)
    expected = {
        Strategy.ONE_FOR_ONE: [dead],
        Strategy.ONE_FOR_ALL: NAMES,
        Strategy.REST_FOR_ONE: NAMES[NAMES.index(dead) :],
    }[strategy]
    log = world.take_log()
    assert started(log) == expected
    assert ended(log)[1:] == [name for name in reversed(expected) if name != dead]
    assert sorted(world.up_names()) == NAMES
    assert "close" not in " ".join(log)  # every mailbox is kept


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_more_restarts_than_allowed_end_the_system(strategy, allowed):
    world, number = grown(strategy=strategy, max_restarts=allowed)
    call = world.ask(c.WaitSupervisor(number))
    for _ in range(allowed):
        world.kill("b")
        assert sorted(world.up_names()) == NAMES
    world.kill("b")
    assert f"restart number {allowed + 1}" in str(world.failure)
    assert len(world.failure.history) == allowed + 1
    assert "gave up" in str(world.answers[call])
    assert world.up_names() == []
    assert all("its supervisor" in world.why[name] for name in NAMES)


def two_levels(**flags):
    """Return a world with `top` over (`x`, `inner` over (`a`, `b`))."""
    inner = tree(actor("a"), actor("b"), name="inner", max_restarts=0)
    return grown(actor("x"), inner, name="top", max_restarts=1, **flags)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_giving_up_escalates_to_the_supervisor_above(strategy):
    world, _ = two_levels(strategy=strategy)
    world.kill("a")
    log = world.take_log()
    assert started(log) == (["x"] if strategy is Strategy.ONE_FOR_ALL else []) + ["a", "b"]
    assert "close" not in " ".join(log)
    assert world.failure is None
    world.kill("b")
    assert "top" in str(world.failure)
    assert world.up_names() == []


def test_a_transient_supervisor_that_gives_up_stays_down():
    inner = tree(actor("a"), name="inner", max_restarts=0, restart=Restart.TRANSIENT)
    world, number = grown(actor("x"), inner)
    world.kill("a")
    assert world.up_names() == ["x"]
    rows = world.get(c.ListChildren(number))
    assert [(row.name, row.state) for row in rows] == [("x", "up"), ("inner", "down")]
    assert world.get(c.RestartChild(number, "inner")).name == "inner"
    assert sorted(world.up_names()) == ["a", "x"]


def test_another_child_that_dies_while_the_others_stop_is_no_further_restart():
    world, _ = grown(strategy=Strategy.ONE_FOR_ALL, max_restarts=1)
    world.stubborn.add("c")
    world.kill("a")
    world.kill("b")
    world.stubborn.clear()
    world.kill("c")
    assert sorted(world.up_names()) == NAMES
    assert world.failure is None


def test_a_child_that_dies_while_the_others_start_is_the_next_restart():
    world, _ = grown(strategy=Strategy.ONE_FOR_ALL, max_restarts=2)
    world.slow.add("c")
    world.kill("b")
    world.kill("a")  # up again, and dead again
    assert world.failure is None
    world.slow.clear()
    world.hosts["c"].get_ready(world.hosts["c"].life.start)
    world.supervision.event(lambda: None)
    world.run()
    assert sorted(world.up_names()) == NAMES
    assert world.lives("a") == 3


def test_a_sibling_that_will_not_stop_is_killed_in_its_own_time():
    world, _ = grown(actor("a"), actor("b", stop_timeout=4.0), strategy=Strategy.ONE_FOR_ALL)
    world.stubborn.add("b")
    world.deaf.add("b")
    world.hosts["b"].work("H.long")
    world.kill("a")
    world.wait(3.9)
    assert world.up_names() == ["b"]
    world.stubborn.clear()
    world.wait(0.2)
    assert world.up_names() == ["a", "b"]
    assert [(name, handler) for name, handler, _ in world.broken_off] == [("b", "H.long")]


@pytest.mark.parametrize("order", ["stop", "kill"])
def test_a_sibling_that_is_ended_while_its_group_stops_stays_down(order):
    world, number = grown(strategy=Strategy.ONE_FOR_ALL)
    world.stubborn |= {"b", "c"}
    world.kill("a")  # c is being stopped
    if order == "kill":
        call = world.ask(c.Kill(world.id_of("c")))
    else:
        call = world.ask(c.Stop(world.id_of("c"), 1.0))
        world.wait(1.1)
    world.run()
    world.stubborn.clear()
    world.kill("b")
    assert world.answers[call] is not WAITS
    assert world.up_names() == ["a", "b"]
    states = {row.name: row.state for row in world.get(c.ListChildren(number))}
    assert states == {"a": "up", "b": "up", "c": "down"}


def test_the_backoff_of_a_child_holds_up_its_group_once():
    world, _ = grown(
        *(actor(name, backoff=Backoff(1.0)) for name in NAMES),
        strategy=Strategy.ONE_FOR_ALL,
        max_restarts=9,
    )
    world.kill("b")
    world.kill("b")
    assert world.up_names() == []
    world.wait(0.9)
    assert world.up_names() == []
    world.wait(0.2)
    assert world.up_names() == NAMES


def test_a_restart_that_fails_is_tried_again_until_the_window_is_full():
    world, _ = grown(max_restarts=3)
    world.broken["b"] = 10
    world.kill("b")
    world.wait(0.11)
    assert world.failure is None
    world.wait(0.11)
    assert "restart number 4" in str(world.failure)


# -- commands -----------------------------------------------------------------------------------


def test_children_are_added_terminated_restarted_and_deleted():
    world, number = grown()
    assert world.get(c.StartChild(number, actor("d"))).name == "d"
    assert world.up_names() == [*NAMES, "d"]
    assert str(world.get(c.TerminateChild(number, "b"))) == "stopped"
    assert world.up_names() == ["a", "c", "d"]
    assert world.get(c.RestartChild(number, "b")).name == "b"
    assert "expected child 'b'" in str(world.get(c.DeleteChild(number, "b")))
    world.get(c.TerminateChild(number, "b"))
    assert world.get(c.DeleteChild(number, "b")) is None
    assert [row.name for row in world.get(c.ListChildren(number))] == ["a", "c", "d"]
    assert type(world.get(c.RestartChild(number, "b"))) is SupervisionError
    assert type(world.get(c.StartChild(number, actor("a")))) is NameTaken
    assert type(world.get(c.StartChild(number, None))) is InvalidSpec


@pytest.mark.parametrize("way", ["broken", "refuses"])
def test_an_added_child_that_cannot_start_is_gone(way):
    world, number = grown(max_restarts=0)
    getattr(world, way)["d"] = 1
    assert "did not start" in str(world.get(c.StartChild(number, actor("d"))))
    assert [row.name for row in world.get(c.ListChildren(number))] == NAMES
    assert world.failure is None


@pytest.mark.parametrize("way", ["broken", "refuses"])
def test_a_child_that_cannot_be_restarted_keeps_its_spec(way):
    world, number = grown(max_restarts=0)
    world.get(c.TerminateChild(number, "b"))
    getattr(world, way)["b"] = 1
    assert "did not start" in str(world.get(c.RestartChild(number, "b")))
    assert world.get(c.RestartChild(number, "b")).name == "b"


def test_dynamic_children_are_copies_that_stand_alone():
    world, number = grown(actor("w"), strategy=Strategy.DYNAMIC)
    names = [world.get(c.StartChild(number, None)).name for _ in range(3)]
    assert len(set(names)) == 3
    assert all(name.startswith("w-") for name in names)
    world.kill(names[1])
    assert started(world.take_log())[3:] == [names[1]]
    world.get(c.TerminateChild(number, names[0]))
    assert [row.name for row in world.get(c.ListChildren(number))] == names[1:]


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_command_waits_for_a_restart_to_be_done(comes_back):
    world, number = grown(strategy=Strategy.ONE_FOR_ALL, max_restarts=1)
    world.stubborn.add("c")
    world.kill("a")
    call = world.ask(c.StartChild(number, actor("d")))
    world.run()
    assert world.answers[call] is WAITS
    world.stubborn.clear()
    if comes_back:
        world.kill("c")
        assert world.answers[call].name == "d"
    else:
        world.ask(c.StopSupervisor(number, 0.0))
        world.wait(0.1)
        assert type(world.answers[call]) is ActorStopped


@pytest.mark.parametrize("timeout", [None, 2.0])
def test_a_supervisor_is_stopped_in_its_childrens_times_or_killed_by_its_own(timeout):
    world, number = grown(*(actor(name, stop_timeout=5.0) for name in NAMES))
    world.stubborn |= {"b", "c"}
    call = world.ask(c.StopSupervisor(number, timeout))
    world.wait(7.9 if timeout is None else 1.5)  # SIGTERM comes a fifth before the end
    assert world.answers[call] is WAITS
    world.wait(0.6)
    assert str(world.answers[call]) == "stopped"


@pytest.mark.parametrize("moment", ["giving up", "waiting"])
def test_a_supervisor_that_is_about_to_be_restarted_can_be_stopped(moment):
    inner = tree(actor("a"), actor("b"), name="inner", max_restarts=0)
    outer = tree(inner, max_restarts=9)
    world = World()
    world.supervise(outer)
    number = next(n for n, r in world.supervision.trees._live.items() if r.name == "inner")
    world.stubborn.add("b")
    world.kill("a")
    call = world.ask(c.StopSupervisor(number, None))
    world.stubborn.clear()
    world.kill("b")
    assert world.answers[call] is not WAITS
    world.wait(5.0)
    assert world.up_names() == []
    assert world.failure is None


# -- significant children -------------------------------------------------------------------------


@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
@pytest.mark.parametrize(
    ("auto", "ends_with"), [(AutoShutdown.ANY_SIGNIFICANT, 1), (AutoShutdown.ALL_SIGNIFICANT, 2)]
)
def test_the_ends_of_significant_children_end_the_tree(restart, auto, ends_with):
    children = (*(actor(name, True, restart=restart) for name in "ab"), actor("c"))
    world, number = grown(*children, auto_shutdown=auto)
    call = world.ask(c.WaitSupervisor(number))
    for name in "ab"[:ends_with]:
        assert world.answers[call] is WAITS
        world.leave(name)
    assert str(world.answers[call]) == "ended normally"
    assert (world.up_names(), world.failure) == ([], None)


def test_a_significant_child_that_is_terminated_ends_nothing():
    world, number = grown(
        actor("a", True, restart=Restart.TRANSIENT),
        actor("b"),
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    world.get(c.TerminateChild(number, "a"))
    assert world.up_names() == ["b"]


def test_files_and_names_go_with_a_tree():
    world, number = grown()
    world.get(c.StopSupervisor(number, None))
    assert world.spawn("a").name == "a"
    assert not world.supervision.trees._live
    assert set(world.core.entries) == {world.id_of("a")}
