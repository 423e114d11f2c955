"""Anything that may happen, in any order: all callers are answered, and nothing is left."""

from __future__ import annotations

import random

import pytest

from procactors.model import commands as c
from procactors.model.options import Backoff, Options, Restart
from procactors.model.tree import AutoShutdown, Strategy
from procactors.supervision.actor_record import Life
from tests.unit.supervision.plans import actor, tree
from tests.unit.supervision.world import WAITS, World

STEPS = 200
BACKOFFS = [None, Backoff(0.5, 2.0)]


class Chance:
    """One system in the hands of a random number generator."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.world = World(is_late=self.random.random() < 0.5)
        self.calls = []
        self.count = 0

    def new_name(self):
        self.count += 1
        name = f"n{self.count}"
        sets = (self.world.slow, self.world.stubborn, self.world.deaf)
        for chance, names in zip((0.05, 0.1, 0.2), sets, strict=True):
            if self.random.random() < chance:
                names.add(name)
        if self.random.random() < 0.4:
            self.world.decisions[name] = self.random.choice(["resume", "restart", "stop", "", None])
        return name

    def options(self):
        pick = self.random.choice
        return {
            "restart": pick(list(Restart)),
            "backoff": pick(BACKOFFS),
            "max_restarts": pick([0, 1, 3]),
            "stop_timeout": pick([None, 1.0]),
            "start_timeout": 4.0,
        }

    def plan(self, depth=0):
        pick = self.random.choice
        children = [
            self.plan(depth + 1)
            if depth < 2 and self.random.random() < 0.2
            else actor(self.new_name(), **self.options())
            for _ in range(self.random.randint(0, 3))
        ]
        return tree(
            *children,
            name=f"s{self.count}-{depth}-{self.random.random()}",
            strategy=pick([s for s in Strategy if s is not Strategy.DYNAMIC]),
            max_restarts=pick([0, 1, 3]),
            restart=pick(list(Restart)),
            auto_shutdown=pick(list(AutoShutdown)),
        )

    def ask(self, command):
        self.calls.append((command, self.world.ask(command)))

    def an_actor(self):
        """Return the id of an actor, mostly of one that lives."""
        live = list(self.world.core.actors)
        return self.random.choice(live) if live else self.random.randint(1, 9)

    def a_supervisor(self):
        live = list(self.world.supervision.trees._live)
        return self.random.choice(live) if live else self.random.randint(1, 9)

    def a_child(self, number):
        record = self.world.supervision.trees._live.get(number)
        names = [entry.name for entry in record.entries.values()] if record else []
        return self.random.choice(names) if names else "none"

    def a_command(self):
        pick, number = self.random.choice, self.a_supervisor()
        options = Options(name=self.new_name(), **self.options())
        parent = pick([0, self.an_actor()])
        if self.random.random() < 0.4:
            self.ask(c.Spawn("", "Actor", options, parent, pick([True, False])))
            return
        self.ask(
            pick(
                [
                    c.Supervise(self.plan()),
                    c.OpenInbox(self.new_name()),
                    c.Stop(self.an_actor(), pick([None, 0.5])),
                    c.Kill(self.an_actor()),
                    c.Wait(self.an_actor()),
                    c.Describe(self.an_actor()),
                    c.StopChildren(self.an_actor()),
                    c.Leave((self.an_actor(), self.an_actor()), 1.0),
                    c.Watch(self.an_actor(), self.an_actor(), True),
                    c.Unwatch(self.an_actor(), self.an_actor()),
                    c.Link(self.an_actor(), self.an_actor()),
                    c.StartChild(number, actor(self.new_name(), **self.options())),
                    c.StartChild(number, self.plan(2)),
                    c.TerminateChild(number, self.a_child(number)),
                    c.RestartChild(number, self.a_child(number)),
                    c.DeleteChild(number, self.a_child(number)),
                    c.ListChildren(number),
                    c.StopSupervisor(number, pick([None, 0.5])),
                    c.WaitSupervisor(number),
                ]
            )
        )

    def an_end(self):
        up = [host for host in self.world.hosts.values() if host.pid is not None]
        if up:
            host = self.random.choice(up)
            if self.random.random() < 0.3:
                host.work("H.work")
            way = self.random.choice(["kill", "crash", "leave", "exits", "recycle", "peak"])
            if way == "peak":
                host.exit(-9, peak_comes=True)
            elif way != "recycle" or host.words[5] == 1:
                ends = {"kill": (-9,), "crash": (1, 5, "Fault"), "leave": (0, 4), "exits": (3,)}
                host.exit(*ends.get(way, (0, 8)))

    def a_trouble(self):
        hosts = list(self.world.hosts)
        if hosts:
            counts = self.random.choice([self.world.broken, self.world.refuses])
            counts[self.random.choice(hosts)] = self.random.randint(0, 2)

    def an_event(self):
        events = self.world.events
        if events:
            self.world.supervision.event(events.popleft())

    def time(self):
        self.world.wait(self.random.choice([0.0, 0.1, 1.0, 3.0]))

    def step(self):
        steps = [self.a_command, self.a_command, self.an_end, self.an_end, self.time]
        self.random.choice([*steps, *[self.an_event] * 4, self.a_trouble])()
        self.check()

    def check(self):
        """Look at what always holds."""
        core = self.world.core
        for record in core.actors.values():
            assert core.entries[record.id].node is record
            assert record.life is not Life.OVER
            if record.life is Life.UP and not record.is_inbox:
                assert record.host.pid is not None
        for host in self.world.hosts.values():
            assert host.pid is None or host.id in core.actors, f"{host.name} was left running"
        assert not core.orders

    def end(self):
        # What still stands at an open question is answered, and what hangs is let go.
        self.world.refuses.clear()
        self.world.broken.clear()
        self.ask(c.StopAll(self.random.choice([0.0, 2.0, 30.0]), self.random.random() < 0.7))
        self.world.wait(60.0)


@pytest.mark.parametrize("seed", range(100))
def test_all_are_answered_and_nothing_is_left(seed):
    chance = Chance(seed)
    for _ in range(STEPS):
        chance.step()
    chance.end()
    world = chance.world
    assert [command for command, call in chance.calls if world.answers[call] is WAITS] == []
    assert world.finished
    assert not world.core.actors
    assert not world.core.entries
    assert not world.supervision.trees._live
    assert not world.core._names
    watch = world.supervision.death_watch
    assert (watch._watchers, watch._watched, watch._links, watch._pulled) == ({}, {}, {}, {})
    assert not world.supervision.stopping._rows
