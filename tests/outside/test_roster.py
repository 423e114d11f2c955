"""The roster shows who is in a system and what each does, and no actor is told of it."""

from __future__ import annotations

import os
import signal

import pytest

from procactors import Actor, ActorRef, Backoff, Strategy, Supervisor, spec
from procactors.outside.roster import NoActor, Roster
from procactors.outside.systems import NoSystem
from tests.support.actors import Counter, Sleeper
from tests.support.gates import Gate
from tests.support.programs import running
from tests.support.waiting import SHORT_S, aside, eventually


class Asker(Actor):
    def ask(self, other: ActorRef[Sleeper], gate: Gate) -> None:
        other.ask(Sleeper.sleep, gate)


class Slow(Actor):
    def __init__(self, gate: Gate) -> None:
        gate.wait()


@pytest.fixture
def roster(system):
    with Roster(system._dir.path) as roster:
        yield roster


def looked(roster, name, what, condition):
    """Look until an actor is as it should be; return it."""

    def look():
        roster.refresh()
        view = roster.find(name)
        return view if condition(view) else None

    return eventually(look, f"{name} to be {what}")


def test_an_idle_actor_shows_what_it_is_and_what_it_did(system, roster):
    ref = system.options(name="one", mailbox=7).spawn(Counter)
    for _ in range(3):
        ref.ask(Counter.increment)
    view = looked(roster, "one", "idle", lambda view: view.state == "idle")
    status = ref.status()
    assert (view.pid, view.handled, view.incarnation) == (status.pid, 3, 1)
    assert (view.class_name, view.kind, view.parent, view.supervisor) == ("Counter", "actor", 0, 0)
    assert view.memory > 1_000_000
    assert (view.restarts, view.mailbox, view.in_hand, view.capacity) == (0, 0, (), 7)
    assert (view.waiting_on, view.last_crash) == (None, None)
    assert (view.suspended, view.pooled) == (False, False)


def test_a_busy_actor_shows_its_message_and_an_asker_whom_it_waits_for(system, roster, gate):
    sleeper = system.options(name="sleeper").spawn(Sleeper)
    asker = system.options(name="asker").spawn(Asker)
    asker.tell(Asker.ask, sleeper, gate)
    gate.arrival()
    sleeper.tell(Sleeper.pid)
    sleeper.tell(Sleeper.pid)
    view = looked(roster, "sleeper", "behind", lambda view: view.mailbox == 2)
    assert view.state == "busy"
    assert [handler for handler, _ in view.in_hand] == ["Sleeper.sleep"]
    first = roster.find("asker")
    assert (first.waiting_on, first.waiting_for) == ("sleeper", view.id)
    grown = view.in_hand[0][1]
    looked(roster, "sleeper", "older", lambda view: view.in_hand[0][1] > grown)
    gate.open()
    looked(roster, "asker", "done", lambda view: view.waiting_on is None and view.state == "idle")


def test_a_crash_a_restart_and_an_end_are_seen(system, roster):
    ref = system.options(name="one", backoff=Backoff(60.0, 60.0), max_restarts=9).spawn(Counter)
    os.kill(ref.status().pid, signal.SIGKILL)
    view = looked(roster, "one", "up again", lambda view: view.incarnation == 2 and view.pid)
    assert view.restarts == 1
    assert "ended by signal SIGKILL while idle" in view.last_crash
    os.kill(view.pid, signal.SIGKILL)
    view = looked(roster, "one", "waiting", lambda view: view.state == "restarting")
    assert view.pid is None
    assert 0 < view.wait_s <= 60
    assert view.reason == "ended by signal SIGKILL"
    ref.stop()
    view = looked(roster, "one", "over", lambda view: view.state == "stopped")
    assert view.id not in roster.actors
    assert list(roster.over) == [view]


def test_one_that_comes_up_shows_its_process(system, roster, gate):
    spawning = aside(system.options(name="slow").spawn, Slow, gate)
    pid = gate.arrival()
    view = looked(roster, "slow", "seen", lambda view: view.pid == pid)
    assert view.state == "starting"
    gate.open()
    spawning.result(SHORT_S)
    looked(roster, "slow", "up", lambda view: view.state == "idle")


def test_a_stopped_process_and_one_that_its_parent_has_not_missed_yet(system, roster):
    ref = system.options(name="one").spawn(Counter)
    pid = ref.status().pid
    os.kill(pid, signal.SIGSTOP)
    looked(roster, "one", "suspended", lambda view: view.suspended)
    ref.tell(Counter.increment)
    looked(roster, "one", "behind", lambda view: view.suspended and view.mailbox == 1)
    os.kill(pid, signal.SIGCONT)
    looked(roster, "one", "at it again", lambda view: not view.suspended and view.handled == 1)


def test_trees_children_and_inboxes_are_shown_with_who_they_belong_to(system, roster):
    tree = Supervisor(
        spec(Counter).options(name="leaf"), name="root", strategy=Strategy.REST_FOR_ONE
    )
    ref = system.supervise(tree)
    system.inbox("in")
    roster.refresh()
    root, leaf, box = (roster.find(name) for name in ("root", "leaf", "in"))
    assert (root.kind, root.class_name, root.state) == ("supervisor", "rest_for_one", "up")
    assert (leaf.supervisor, leaf.state) == (root.id, "idle")
    assert (box.kind, box.state, box.pid) == ("inbox", "idle", None)
    assert list(roster.actors) == [root.id, leaf.id, box.id]
    ref.stop()
    roster.refresh()
    assert [view.name for view in roster.actors.values()] == ["in"]


def test_a_name_that_is_not_there_is_an_error(roster):
    with pytest.raises(NoActor, match="no actor 'nobody'"):
        roster.find("nobody")


def test_the_roster_of_a_system_that_has_ended_says_so(system):
    with Roster(system._dir.path) as roster:
        system.stop()
        with pytest.raises(NoSystem, match="has ended"):
            roster.refresh()


def test_looking_holds_nothing_that_is_over(system, roster):
    ref = system.spawn(Counter)
    roster.refresh()
    box = f"{system._dir.path}/actors/{ref._actor}/box"
    with open("/proc/self/maps") as maps:
        assert any(line.split()[1] == "r--s" and box in line for line in maps)
    ref.stop()
    roster.refresh()
    with open("/proc/self/maps") as maps:
        assert not any(box in line for line in maps)


def test_with_few_descriptors_it_looks_at_all_of_many(system):
    """A map of each actor's box holds one; those that may be used up are used in turn."""
    refs = [system.options(name=f"one-{n}").spawn(Counter) for n in range(12)]
    for ref in refs:
        ref.ask(Counter.increment)
    code = """
        import os, resource, sys
        from procactors.outside.roster import Roster
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        with Roster(sys.argv[1]) as roster:
            for _ in range(2):
                roster.refresh()
                print(*(view.handled for view in roster.actors.values()))
            print(len(os.listdir("/proc/self/fd")) < 24)
    """
    with running(code, system._dir.path) as program:
        assert program.end() == (0, "1 1 1 1 1 1 1 1 1 1 1 1\n" * 2 + "True\n", "")
