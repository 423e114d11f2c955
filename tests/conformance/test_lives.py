"""Starts, deaths, restarts, names, watches and children, on each backend."""

from __future__ import annotations

import pytest

from procactors import Backoff, Delivery, Directive, ExitKind, Restart
from procactors.errors import ActorDied, ActorStopped, NameTaken, SpawnError
from tests.conformance.actors import Broken, Counter, Desk, Hooked, Keeper, Parent, Watcher
from tests.conformance.test_messages import Holder


def test_an_actor_that_does_not_start_is_an_error_of_the_spawn(system):
    with pytest.raises(SpawnError) as caught:
        system.spawn(Broken)
    assert "never made" in str(caught.value)
    with pytest.raises(SpawnError, match="never up"):
        system.spawn(Broken, "start")
    with pytest.raises(TypeError, match="Counter"):
        system.spawn(Counter, 1, 2, 3)
    assert system.actors() == []


def test_names_are_taken_while_their_actors_live(system):
    first = system.options(name="one").spawn(Counter)
    with pytest.raises(NameTaken):
        system.options(name="one").spawn(Counter)
    assert system["one"] == first
    assert system.find("none") is None
    first.stop()
    assert system.find("one") is None
    second = system.options(name="one").spawn(Counter, 7)
    assert system["one"].ask(Counter.get) == 7
    assert system.actors() == [second]


def test_a_tell_that_raises_ends_the_life_and_the_next_one_goes_on(world):
    counter = world.system.spawn(Counter, 3)
    counter.tell(Counter.increment)
    counter.tell(Counter.fail)
    counter.tell(Counter.increment)
    assert counter.ask(Counter.get) == 4  # made anew: 3, and what came behind the death
    status = counter.status()
    assert (status.incarnation, status.restarts) == (2, 1)
    assert status.last_crash.reason.kind is ExitKind.ERROR
    assert status.last_crash.handler == "Counter.fail"
    assert "in fail" in status.last_crash.traceback
    letters = world.eventually(lambda: list(world.system.dead_letters), "the dead letter")
    assert [letter.handler for letter in letters] == ["Counter.fail"]


@pytest.mark.sample
def test_a_killed_life_is_followed_by_another(world):
    counter = world.system.spawn(Counter, 1)
    counter.tell(Counter.increment)
    assert counter.ask(Counter.get) == 2
    world.crash(counter)
    assert counter.ask(Counter.get) == 1
    assert counter.status().last_crash.reason.kind is ExitKind.SIGNAL


def test_the_caller_of_a_message_in_hand_is_told_of_the_death(world):
    desk = world.system.spawn(Desk)
    holder = world.system.options(name="holder").spawn(Holder, desk)
    held, waiting = holder.submit(Holder.hold), holder.submit(Holder.noted)
    world.eventually(lambda: desk.ask(Desk.count), "the message in hand")
    world.crash(holder)
    with pytest.raises(ActorDied, match="holder") as caught:
        held.result()
    assert caught.value.report.handler == "Holder.hold"
    assert waiting.result() == 0  # by the next life
    desk.ask(Desk.answer)


@pytest.mark.sample
def test_a_message_is_begun_again_if_its_actor_says_so(world):
    desk = world.system.spawn(Desk)
    options = world.system.options(delivery=Delivery.AT_LEAST_ONCE, max_deliveries=3)
    holder = options.spawn(Holder, desk)
    held = holder.submit(Holder.hold)
    world.eventually(lambda: desk.ask(Desk.count) == 1, "the first delivery")
    world.crash(holder)
    world.eventually(lambda: desk.ask(Desk.count) == 2, "the second delivery")
    desk.ask(Desk.answer)
    assert held.result() == "held"


@pytest.mark.parametrize(
    ("policy", "how", "is_back"),
    [
        (Restart.PERMANENT, "leave", True),
        (Restart.TRANSIENT, "leave", False),
        (Restart.TEMPORARY, "leave", False),
        (Restart.PERMANENT, "fail", True),
        (Restart.TRANSIENT, "fail", True),
        (Restart.TEMPORARY, "fail", False),
    ],
)
def test_the_restart_policy_says_who_comes_back(world, policy, how, is_back):
    counter = world.system.options(restart=policy).spawn(Counter)
    counter.tell(getattr(Counter, how))
    if is_back:
        world.eventually(lambda: counter.status().incarnation == 2, "the second life")
        assert counter.ask(Counter.get) == 0
    else:
        reason = counter.wait()
        assert reason.kind is (ExitKind.NORMAL if how == "leave" else ExitKind.ERROR)


@pytest.mark.sample
def test_too_many_restarts_end_it_for_good(world):
    counter = world.system.options(max_restarts=2, within=60.0).spawn(Counter)
    for _ in range(3):
        counter.tell(Counter.fail)
    assert counter.wait().kind is ExitKind.ERROR
    assert counter.status().restarts == 2
    with pytest.raises(ActorStopped):
        counter.ask(Counter.get)


def test_a_backoff_puts_a_restart_off(world):
    counter = world.system.options(backoff=Backoff(0.3, 0.3, jitter=0.0)).spawn(Counter)
    counter.tell(Counter.fail)
    counter.tell(Counter.fail)  # the second one in a row
    world.eventually(lambda: counter.status().state == "restarting", "the wait")
    world.eventually(lambda: counter.status().incarnation == 3, "the third life")
    assert counter.ask(Counter.get) == 0


def test_an_exit_of_a_handler_is_an_end_with_its_code(world):
    counter = world.system.options(restart=Restart.TEMPORARY).spawn(Counter)
    with pytest.raises(ActorDied):
        counter.ask(Counter.exit, 3)
    reason = counter.wait()
    assert (reason.kind, reason.code) == (ExitKind.EXIT, 3)


@pytest.mark.sample
def test_hooks_run_in_their_order(world):
    keeper = world.system.spawn(Keeper)
    hooked = world.system.spawn(Hooked, keeper)
    hooked.tell(Hooked.fail)
    hooked.ask(Hooked.idle)
    hooked.stop()
    assert keeper.ask(Keeper.take) == [
        "made 1",
        "start 1",
        "made 2",
        "start 2",
        "restart after error 2",
        "stop stopped 2",
    ]


@pytest.mark.sample
def test_a_watcher_hears_of_restarts_and_of_the_end(world):
    counter = world.system.options(name="watched", max_restarts=1, within=60.0).spawn(Counter)
    watcher = world.system.spawn(Watcher)
    watcher.ask(Watcher.watch, counter, True)
    counter.tell(Counter.fail)
    world.eventually(lambda: len(watcher.ask(Watcher.take)) == 1, "the restart")
    counter.tell(Counter.fail)
    world.eventually(lambda: len(watcher.ask(Watcher.take)) == 2, "the end")
    assert watcher.ask(Watcher.take) == [
        ("restarted", "watched", 2),
        ("terminated", "watched", "error"),
    ]


def test_what_is_over_already_is_told_at_once_and_unwatching_ends_it(world):
    first, second = world.system.spawn(Counter), world.system.spawn(Counter)
    watcher = world.system.spawn(Watcher)
    watcher.ask(Watcher.watch, second)
    watcher.ask(Watcher.unwatch, second)
    first.stop()
    second.stop()
    watcher.ask(Watcher.watch, first)
    world.eventually(lambda: watcher.ask(Watcher.take), "the event")
    assert watcher.ask(Watcher.take) == [("terminated", first.name, "stopped")]


def test_linked_actors_end_together(world):
    counter, watcher = world.system.spawn(Counter), world.system.spawn(Watcher)
    watcher.ask(Watcher.link, counter)
    counter.kill()
    assert watcher.wait().kind is ExitKind.LINKED


@pytest.mark.sample
def test_children_end_with_their_parent(world):
    parent = world.system.spawn(Parent)
    child = parent.ask(Parent.begin, "child")
    assert child.ask(Counter.increment) == 1
    parent.stop()
    assert child.wait().kind is ExitKind.PARENT_GONE


def test_children_end_before_the_next_life_of_their_parent(world):
    parent = world.system.spawn(Parent)
    child = parent.ask(Parent.begin, "child")
    world.crash(parent)
    again = parent.ask(Parent.begin, "child")
    assert child.wait().kind is ExitKind.PARENT_GONE
    assert again != child
    assert again.ask(Counter.get) == 0


@pytest.mark.parametrize("directive", [Directive.RESTART, Directive.STOP, Directive.RESUME, None])
def test_a_parent_decides_on_its_child(world, directive):
    parent = world.system.spawn(Parent, directive)
    child = parent.ask(Parent.begin, "child")
    child.tell(Counter.fail)
    world.eventually(lambda: parent.ask(Parent.seen), "the question")
    assert parent.ask(Parent.seen) == ["child"]
    if directive is Directive.STOP:
        assert child.wait().kind is ExitKind.ERROR
    else:
        assert child.ask(Counter.increment) == 1
        assert child.status().incarnation == 2


def test_a_stop_report_says_what_was_not_handled(world, backend):
    from procactors import ActorSystem

    with ActorSystem(backend=backend) as system:
        desk = system.spawn(Desk)
        holder = system.spawn(Holder, desk)
        holder.tell(Holder.hold)
        holder.tell(Holder.note)
        while not desk.ask(Desk.count):
            pass
        report = system.kill()
    assert report.unhandled.get(holder.name, 0) >= 1
    assert {end.name for end in report.actors} == {desk.name, holder.name}
