"""What was started for a caller that a signal handler broke off: nobody knows of it, so it ends."""

from __future__ import annotations

import pytest

from procactors.model import commands as c
from procactors.model.options import Options
from procactors.supervision.stopping import Stopping
from tests.unit.supervision.plans import actor, tree
from tests.unit.supervision.world import WAITS, World

START = {
    "actor": c.Spawn("", "Actor", Options(name="a"), 0, False),
    "tree": c.Supervise(tree(actor("a"))),
}


@pytest.fixture
def orders(monkeypatch):
    """The spawned actors that were ordered to stop, one entry each time."""
    real, ordered = Stopping.order, []

    def order(stopping, actor):
        ordered.append(actor.name)
        real(stopping, actor)

    monkeypatch.setattr(Stopping, "order", order)
    return ordered


def begun(what):
    """Order a start; return the world and the number of the call."""
    world = World()
    return world, world.ask(START[what])


def give_up(world, call):
    world.get(c.GivenUp(1, call))


@pytest.mark.parametrize("what", START)
def test_it_ends_where_the_answer_was_not_looked_at(what):
    world, call = begun(what)
    world.run()
    assert world.answers[call] is not WAITS
    give_up(world, call)
    assert world.up_names() == []


@pytest.mark.parametrize("is_told_first", [False, True], ids=["given up first", "told first"])
def test_it_is_ordered_to_stop_once_where_the_answer_came_too_late(orders, is_told_first):
    world, call = begun("actor")
    world.gone.add(call)
    if is_told_first:
        while not orders:
            world.supervision.event(world.events.popleft())
    give_up(world, call)
    assert orders == ["a"]
    assert world.up_names() == []


def test_it_ends_in_its_next_life_too(orders):
    world, call = begun("actor")
    world.run()
    world.kill("a")
    assert world.up_names() == ["a"]
    give_up(world, call)
    assert orders == ["a"]
    assert world.up_names() == []


def test_others_go_on():
    world, call = begun("actor")
    world.spawn("b")
    give_up(world, call + 1000)
    assert world.up_names() == ["a", "b"]
