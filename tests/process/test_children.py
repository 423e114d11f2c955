"""Children: actors that an actor starts, and that end with it."""

from __future__ import annotations

import os
import signal

import pytest

from procactors import Actor, ExitKind
from procactors.errors import SpawnError
from tests.support.actors import Counter, Crasher, Echo
from tests.support.faults import Fault
from tests.support.waiting import eventually


class Parent(Actor):
    """Starts children, in a handler or in its constructor."""

    def __init__(self, names=(), deep=0):
        for name in names:
            self.context.options(name=name).spawn(Child)
        if deep:
            self.context.options(name=f"deep-{deep}").spawn(Parent, (), deep - 1)

    def hire(self, name=None):
        return self.context.options(name=name).spawn(Child)

    def hire_bad(self):
        self.context.spawn(Crasher, "__init__")

    def life(self):
        return self.context.incarnation, os.getpid()

    def leave(self):
        self.context.stop()

    def crash(self):
        raise Fault("on purpose")


class Child(Actor):
    def family(self):
        parent = self.context.parent
        return os.getpid(), parent.ask(Parent.life)[1] if parent is not None else None

    def parent(self):
        return self.context.parent


class LoggedParent(Actor):
    def __init__(self, log):
        self.log = log
        self.context.options(name="a").spawn(LoggedChild, log)
        self.context.options(name="b").spawn(LoggedChild, log)

    def on_stop(self, reason):
        with self.log.open("a") as file:
            file.write("parent\n")


class LoggedChild(Actor):
    def __init__(self, log):
        self.log = log

    def on_stop(self, reason):
        with self.log.open("a") as file:
            file.write(f"child {reason.kind.value}\n")


class StubbornChild(Actor):
    def hold(self, gate):
        gate.wait()


class StubbornParent(Actor):
    def __init__(self):
        self.child = self.context.options(stop_timeout=0.5).spawn(StubbornChild)

    def get(self):
        return self.child


def test_a_child_knows_its_parent_and_talks_to_it(system):
    parent = system.spawn(Parent)
    child = parent.ask(Parent.hire, "child")
    assert child.ask(Child.parent) == parent
    child_pid, parent_pid = child.ask(Child.family)
    assert parent_pid == parent.ask(Parent.life)[1] != child_pid
    assert system["child"] == child


def test_children_are_stopped_before_their_parents_on_stop(system, tmp_path):
    log = tmp_path / "log"
    parent = system.spawn(LoggedParent, log)
    assert parent.stop().kind is ExitKind.STOPPED
    told = "child parent gone"
    assert log.read_text().splitlines() == [told, told, "parent"]
    assert system.actors() == []


def test_an_actor_that_leaves_takes_its_children_along(system):
    parent = system.spawn(Parent, ["a", "b"])
    a = system["a"]
    parent.tell(Parent.leave)
    assert parent.wait().kind is ExitKind.NORMAL
    assert a.wait().kind is ExitKind.PARENT_GONE
    assert system.actors() == []


@pytest.mark.parametrize("how", ["SIGKILL", "exception"])
def test_a_crashed_parents_children_end_before_its_next_life(system, how):
    """The next life starts children of the same names, so the names were free again."""
    parent = system.spawn(Parent, ["a", "b"])
    before = {name: system[name] for name in ("a", "b")}
    if how == "SIGKILL":
        os.kill(parent.status().pid, signal.SIGKILL)
    else:
        parent.tell(Parent.crash)
    eventually(lambda: parent.status().incarnation == 2, "the second life")
    assert parent.ask(Parent.life)[0] == 2
    for name, old in before.items():
        assert old.wait().kind is ExitKind.PARENT_GONE
        new = system[name]
        assert new != old
        assert new.ask(Child.parent) == parent


def test_a_killed_parents_children_are_stopped_too(system):
    parent = system.spawn(Parent, ["a", "b"])
    a, b = system["a"], system["b"]
    assert parent.kill().signal_name == "SIGKILL"
    assert {a.wait().kind, b.wait().kind} == {ExitKind.PARENT_GONE}


def test_children_of_children_end_with_the_first_of_them(system):
    top = system.spawn(Parent, (), 4)
    line = [system[f"deep-{deep}"] for deep in (4, 3, 2, 1)]
    assert top.stop().kind is ExitKind.STOPPED
    assert [ref.wait().kind for ref in line] == [ExitKind.PARENT_GONE] * 4
    assert system.actors() == []


def test_the_middle_of_a_line_crashes_and_only_its_own_are_renewed(system):
    top = system.spawn(Parent, (), 2)
    middle, last = system["deep-2"], system["deep-1"]
    os.kill(middle.status().pid, signal.SIGKILL)
    eventually(lambda: middle.status().incarnation == 2, "the second life")
    assert middle.ask(Parent.life)[0] == 2
    assert last.wait().kind is ExitKind.PARENT_GONE
    assert system["deep-1"] != last
    assert top.status().incarnation == 1


def test_a_child_is_supervised_by_itself(system):
    """Its crash is its own: it comes back, and the parent does not notice."""
    parent = system.spawn(Parent)
    child = parent.ask(Parent.hire)
    os.kill(child.status().pid, signal.SIGKILL)
    eventually(lambda: child.status().incarnation == 2, "the second life")
    assert child.ask(Child.parent) == parent
    assert parent.status().incarnation == 1


def test_a_childs_name_is_free_when_it_has_stopped(system):
    parent = system.spawn(Parent)
    first = parent.ask(Parent.hire, "child")
    first.stop()
    assert parent.ask(Parent.hire, "child") != first


def test_a_child_that_does_not_start_is_the_parents_error(system):
    parent = system.spawn(Parent)
    with pytest.raises(SpawnError, match="did not start"):
        parent.ask(Parent.hire_bad)
    assert parent.ask(Parent.life)[0] == 1


def test_an_actor_whose_constructor_fails_leaves_no_children(system):
    system.options(name="taken").spawn(Counter)
    with pytest.raises(SpawnError, match="did not start"):
        system.spawn(Parent, ["fine", "taken"])
    eventually(lambda: system.find("fine") is None, "the end of the child")
    assert [ref.name for ref in system.actors()] == ["taken"]


def test_many_actors_spawn_at_once(system):
    parents = [system.spawn(Parent) for _ in range(4)]
    replies = [parent.submit(Parent.hire) for _ in range(4) for parent in parents]
    children = [reply.result() for reply in replies]
    assert len({child.ask(Child.family)[0] for child in children}) == 16
    assert len(system.actors()) == 20


def test_a_child_that_will_not_stop_is_killed_by_its_own_deadline(system, gate):
    parent = system.spawn(StubbornParent)
    child = parent.ask(StubbornParent.get)
    child.tell(StubbornChild.hold, gate)
    gate.arrival()
    assert parent.stop().kind is ExitKind.STOPPED
    assert child.wait().kind is ExitKind.KILLED


def test_actors_find_each_other_by_name(system):
    system.options(name="counter").spawn(Counter, 3)
    assert system.spawn(Finder).ask(Finder.look) == (3, None, ["counter", "finder-2"])


class Finder(Actor):
    def look(self):
        found = self.context.system.find("counter")
        names = [ref.name for ref in self.context.system.actors()]
        return found.ask(Counter.get_value), self.context.system.find("nobody"), names


def test_an_actor_spawned_from_inside_by_the_system_is_nobodys_child(system):
    maker = system.spawn(Maker)
    made = maker.ask(Maker.make)
    maker.stop()
    assert made.ask(Echo.echo, 1) == 1


class Maker(Actor):
    def make(self):
        return self.context.system.spawn(Echo)
