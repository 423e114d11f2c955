"""A fault in each function of supervision, and of its backend, at each step: all are answered."""

from __future__ import annotations

import itertools
from contextlib import contextmanager, nullcontext
from unittest import mock

import pytest

from procactors.model import commands as c
from procactors.model.options import Options, Restart
from procactors.model.tree import Strategy
from procactors.supervision.actor_record import ActorRecord
from procactors.supervision.backend import Backend
from procactors.supervision.child_failures import ChildFailures
from procactors.supervision.core import Core
from procactors.supervision.death_watch import DeathWatch
from procactors.supervision.lifecycle import Lifecycle
from procactors.supervision.stopping import Stopping
from procactors.supervision.supervisor_record import SupervisorRecord
from procactors.supervision.system_stop import SystemStop
from procactors.supervision.tree_commands import TreeCommands
from procactors.supervision.trees import Trees
from procactors.supervision.watchdog import Watchdog
from tests.support.mishaps import Boom, methods
from tests.unit.supervision.plans import actor, tree
from tests.unit.supervision.world import WAITS, FakeHost, World

PARTS = (
    *(Core, Stopping, DeathWatch, ChildFailures, Watchdog, Lifecycle, Trees, TreeCommands),
    *(SystemStop, ActorRecord, SupervisorRecord, FakeHost),
)
#: What catches, and what the tests themselves do: a fault in there would be in its own net.
NET = {
    *("at", "after", "carry_out", "_take_up", "go_on", "abandon"),
    *("note", "come_up", "get_ready", "exit", "gone", "work"),
}
FUNCTIONS = [(part, name) for part in PARTS for name in methods(part) if name not in NET]
FUNCTIONS += [(World, name) for name in methods(Backend) if name != "__init__"]


class Scene:
    """A family, a tree, watches and links, from their starts to the end of the system."""

    def __init__(self, is_late):
        self.world = World(is_late)
        self.calls = []
        self.in_hand = set()

    def ask(self, command):
        self.calls.append(self.world.ask(command))
        self.world.run()

    def spawn(self, name, parent=""):
        above = self.world.id_of(parent) if parent in self.world.hosts else 0
        options = Options(name=name, restart=Restart.PERMANENT, max_restarts=9, handle_timeout=60.0)
        self.ask(c.Spawn("", "Actor", options, above))

    def kill(self, name):
        if self.is_up(name):
            handler = f"H.handler_{len(self.in_hand)}"
            self.in_hand.add(handler)
            self.world.hosts[name].work(handler)
            self.world.hosts[name].exit(-9, peak_comes=True)
            self.world.run()

    def is_up(self, name):
        return name in self.world.up_names()

    def start(self):
        self.world.decisions["top"] = "resume"
        self.spawn("top")
        self.spawn("child", "top")
        self.spawn("friend")
        plan = tree(actor("one"), actor("two"), strategy=Strategy.ONE_FOR_ALL, max_restarts=9)
        self.ask(c.Supervise(plan))
        if self.is_up("top") and self.is_up("friend"):
            pair = self.world.id_of("top"), self.world.id_of("friend")
            self.ask(c.Watch(*pair, True))
            self.ask(c.Link(*pair))

    def live(self):
        for name in ("child", "one", "top", "friend"):
            self.kill(name)
            self.world.wait(1.0)
        if self.is_up("top"):
            self.world.recycle("top")

    def stop(self):
        for name in ("child", "friend"):
            if self.is_up(name):
                self.ask(c.Stop(self.world.id_of(name), 2.0))
                self.world.wait(1.0)
        if self.is_up("two"):
            self.ask(c.Kill(self.world.id_of("two")))

    def end(self):
        self.spawn("last")
        self.ask(c.StopAll(8.0))
        self.world.wait(20.0)


@contextmanager
def raising_once(part, name):
    original, done = vars(part)[name], []

    def patched(*args, **kwargs):
        if not done:
            done.append(True)
            raise Boom(f"{part.__name__}.{name}")
        return original(*args, **kwargs)

    if isinstance(original, property):
        yield
        return
    with mock.patch.object(part, name, patched):
        yield


STEPS = ("start", "live", "stop", "end")


@pytest.mark.parametrize(("part", "name"), FUNCTIONS)
def test_a_fault_in_any_function_leaves_no_caller_and_no_actor(part, name):
    for step, is_late in itertools.product(STEPS, (False, True)):
        scene = Scene(is_late)
        for other in STEPS:
            with raising_once(part, name) if other == step else nullcontext():
                getattr(scene, other)()
        scene.ask(c.StopAll(0.0))  # should the fault have come upon the first
        scene.world.wait(20.0)
        world, at = scene.world, f"the fault came at {step}"
        assert WAITS not in [world.answers[call] for call in scene.calls], at
        assert scene.in_hand <= {handler for _, handler, _ in world.broken_off}, at
        assert not world.core.actors, at
        assert world.finished, at
        assert not [host.name for host in world.hosts.values() if host.pid is not None], at
