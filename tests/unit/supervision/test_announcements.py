"""What listeners hear of actors' lives: each turn, once, in order. On a clock moved by hand."""

from __future__ import annotations

import random

import pytest

from procactors.crash import ExitKind
from procactors.model import commands as c
from procactors.model.choices import Strategy
from procactors.model.life_events import (
    Crashed,
    GaveUp,
    Restarting,
    SlowHandler,
    Started,
    Stopped,
)
from procactors.model.options import Backoff, Restart
from procactors.observe.events import Events
from procactors.supervision.announcements import Announcements
from procactors.supervision.slow_handlers import SlowHandlers
from tests.unit.supervision.plans import actor, tree
from tests.unit.supervision.world import World


@pytest.fixture(params=[False, True], ids=["at-once", "late"])
def world(request):
    world = World(is_late=request.param)
    world.hub = Events()
    world.heard = world.hub.stream()
    world.core.announce = Announcements(world.hub, world.core.clock)
    yield world
    world.hub.close(0.0)


def heard(world):
    """Return the events so far, shortened: kind, actor, and the life or the reason."""
    world.hub.close(0.0)
    return [shown(event) for event in world.heard]


def shown(event):
    kind = type(event).__name__
    if isinstance(event, (Started, Restarting, Crashed)):
        return f"{kind} {event.actor} {event.incarnation}"
    return f"{kind} {event.actor}: {event.reason}"


def test_a_life_that_is_stopped(world):
    world.spawn("a")
    world.stop("a")
    assert heard(world) == ["Started a 1", "Stopped a: stopped"]


def test_a_kill_is_followed_by_the_next_life(world):
    world.spawn("a", backoff=Backoff(initial=2.0))
    pid = world.hosts["a"].pid
    world.kill("a")
    world.wait(5.0)
    world.stop("a")
    world.hub.close(0.0)
    events = list(world.heard)
    assert [shown(event) for event in events] == [
        "Started a 1",
        "Crashed a 1",
        "Restarting a 2",
        "Started a 2",
        "Stopped a: stopped",
    ]
    started, crashed, restarting, again, _ = events
    assert started.pid == pid != again.pid
    assert str(crashed.reason) == str(restarting.reason) == "ended by signal SIGKILL"
    assert crashed.report.incarnation == 1
    assert restarting.wait_s == pytest.approx(again.time - restarting.time)


def test_one_that_is_not_restarted(world):
    world.spawn("a", restart=Restart.TEMPORARY)
    world.crash("a")
    assert heard(world) == [
        "Started a 1",
        "Crashed a 1",
        "Stopped a: raised Fault: on purpose",
    ]


def test_one_that_dies_too_often(world):
    world.spawn("a", max_restarts=1, backoff=Backoff(initial=0.0))
    world.kill("a")
    world.wait(1.0)
    world.kill("a")
    assert heard(world) == [
        "Started a 1",
        "Crashed a 1",
        "Restarting a 2",
        "Started a 2",
        "Crashed a 2",
        "GaveUp a: restart number 2 within 5.0 s, allowed are 1",
        "Stopped a: ended by signal SIGKILL",
    ]


def test_a_tree_that_gives_up_names_its_supervisor(world):
    world.supervise(tree(actor("a"), actor("b"), name="root", max_restarts=0))
    world.kill("a")
    world.wait(30.0)
    events = heard(world)
    assert events[:3] == ["Started a 1", "Started b 1", "Crashed a 1"]
    assert [event for event in events if event.startswith("GaveUp")] == [
        "GaveUp root: restart number 1 within 5.0 s, allowed are 0"
    ]
    assert [event.split(":")[0] for event in events[-2:]] == ["Stopped b", "Stopped a"]


def test_a_recycling_is_no_crash(world):
    world.spawn("a")
    world.recycle("a")
    world.stop("a")
    world.hub.close(0.0)
    events = list(world.heard)
    assert [shown(event) for event in events] == [
        "Started a 1",
        "Restarting a 2",
        "Started a 2",
        "Stopped a: stopped",
    ]
    assert events[1].reason.kind is ExitKind.RECYCLED


def test_a_start_that_fails_is_a_crash(world):
    world.broken["a"] = 10
    world.spawn("a", max_restarts=1, backoff=Backoff(initial=0.0))
    world.wait(5.0)
    events = heard(world)
    assert events[0] == "Crashed a 1"
    assert events[-1].startswith("Stopped a")


def test_of_an_inbox_nothing_is_said(world):
    world.get(c.OpenInbox("box"))
    world.stop_all()
    world.wait(20.0)
    assert heard(world) == []


def slow_handlers(world):
    slow = SlowHandlers(world.core, world.hub, world.core.announce, 1.0)
    slow.listeners_changed()
    return slow


def work(world, name, since):
    world.hosts[name].work("Actor.work")
    world.busy_since[name] = since


def test_a_slow_handler_is_reported_once_for_each_message(world):
    world.spawn("a")
    world.spawn("b")
    slow_handlers(world)
    work(world, "a", world.now)
    world.wait(0.9)
    work(world, "b", world.now)
    world.wait(0.9)
    work(world, "b", world.now)  # the next message of it
    world.wait(5.0)
    work(world, "a", world.now)
    world.wait(1.5)
    world.hub.close(0.0)
    events = [event for event in world.heard if isinstance(event, SlowHandler)]
    assert [event.actor for event in events] == ["a", "b", "a"]
    assert {event.handler for event in events} == {"Actor.work"}
    assert all(1.0 <= event.busy_s <= 1.5 for event in events)


def test_without_a_listener_nobody_looks(world):
    slow = slow_handlers(world)
    world.wait(1.0)
    assert world.core.timers
    world.heard.close()
    world.wait(1.0)
    assert not world.core.timers
    world.heard = world.hub.stream((SlowHandler,))
    for _ in range(3):
        slow.listeners_changed()
    assert len(world.core.timers) == 1


STRATEGIES = [Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_each_life_is_told_in_order(world, seed):
    """Kills, crashes, ends and time at random: what is heard of one actor is one story."""
    chance, names = random.Random(seed), ["a", "b", "c"]
    strategy = chance.choice(STRATEGIES)
    world.supervise(tree(*map(actor, names), max_restarts=4, within=3.0, strategy=strategy))
    for _ in range(40):
        name = chance.choice(names)
        if world.hosts[name].pid:
            getattr(world, chance.choice(["kill", "crash", "exits", "recycle"]))(name)
        world.wait(chance.random() * 2)
    world.stop_all()
    world.wait(60.0)
    world.hub.close(0.0)
    events = list(world.heard)
    assert [event.time for event in events] == sorted(event.time for event in events)
    for name in names:
        assert_is_a_story([event for event in events if event.actor == name])


#: What may follow what, for one actor.
FOLLOWS = {
    None: {Started, Crashed, Stopped},
    Started: {Crashed, Restarting, Stopped},
    Crashed: {Restarting, Stopped, GaveUp},
    Restarting: {Started, Crashed, Stopped},
    GaveUp: {Stopped},
    Stopped: set(),
}


def assert_is_a_story(events):
    before, life = None, 1
    for event in events:
        assert type(event) in FOLLOWS[before], [shown(one) for one in events]
        if isinstance(event, Restarting):
            life += 1
        if isinstance(event, (Started, Crashed, Restarting)):
            assert event.incarnation == life
        before = type(event)
    assert before is Stopped
