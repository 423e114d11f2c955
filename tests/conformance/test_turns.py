"""Timers, later replies, stashes, forwarding, cancellation, inboxes and events, on each backend."""

from __future__ import annotations

from concurrent.futures import CancelledError, wait

import pytest

from procactors import Crashed, ExitKind, Restarting, Started, Stopped, Terminated
from procactors.errors import ActorStopped, ReplyError
from tests.conformance.actors import Add, Clock, Counter, Desk, Keeper
from tests.conformance.test_messages import Holder


@pytest.mark.sample
def test_a_timer_runs_once_at_its_time(world):
    clock = world.system.spawn(Clock)
    clock.ask(Clock.once, 0.4, "late")
    clock.ask(Clock.once, 0.1, "early")
    assert world.eventually(lambda: len(seen(clock)) == 2 and seen(clock), "both timers") == [
        "early",
        "late",
    ]


def test_a_timer_runs_again_and_again_until_it_is_cancelled(world):
    clock = world.system.spawn(Clock)
    clock.ask(Clock.again, 0.05, "tick")
    world.eventually(lambda: len(seen(clock)) >= 3, "three ticks")
    assert clock.ask(Clock.cancel)
    count = len(seen(clock))
    clock.ask(Clock.once, 0.2, "end")
    world.eventually(lambda: seen(clock)[-1] == "end", "the end")
    assert len(seen(clock)) == count + 1


@pytest.mark.sample
def test_a_timer_that_raises_ends_the_life(world):
    clock = world.system.spawn(Clock)
    clock.ask(Clock.fail_soon, 0.05)
    world.eventually(lambda: clock.status().incarnation == 2, "the second life")
    assert "timer fail" in clock.status().last_crash.handler


def test_an_idle_actor_is_told_so(world):
    clock = world.system.spawn(Clock)
    clock.ask(Clock.when_idle, 0.1)
    if world.backend == "inline":
        world.system.clock.advance(1.0)
        assert seen(clock) == ["idle"]
    else:
        world.eventually(lambda: clock.status().handled >= 1 and _is_idle(clock), "the notice")


def _is_idle(clock):
    # A question would begin a new stretch: a while without any, then one.
    import time

    time.sleep(0.3)
    return seen(clock) == ["idle"]


def test_an_answer_may_come_later(world):
    desk = world.system.spawn(Desk)
    replies = [desk.submit(Desk.put_off, value) for value in "abc"]
    world.eventually(lambda: desk.ask(Desk.count) == 3, "the messages")
    assert not any(reply.done() for reply in replies)
    desk.tell(Desk.answer)
    assert [reply.result() for reply in replies] == ["a", "b", "c"]


def test_a_later_answer_may_be_an_error_and_a_dropped_one_is_one(world):
    desk = world.system.spawn(Desk)
    refused = desk.submit(Desk.put_off, 1)
    desk.ask(Desk.refuse)
    with pytest.raises(ValueError, match="refused"):
        refused.result()
    dropped = desk.submit(Desk.put_off, 1)
    desk.ask(Desk.drop)
    with pytest.raises(ReplyError, match="dropped it"):
        dropped.result()


def test_another_actor_may_answer(world):
    desk, other = world.system.spawn(Desk), world.system.spawn(Desk)
    reply = desk.submit(Desk.put_off, 1)
    desk.ask(Desk.hand_over, other)
    assert reply.result() == "by another"


def test_what_is_stashed_is_begun_before_what_came_later(world):
    desk = world.system.spawn(Desk)
    stashed = [desk.submit(Desk.increment, value) for value in (1, 2, 3)]
    world.eventually(lambda: desk.status().mailbox == 3, "what is put aside")
    desk.tell(Desk.open_up)
    assert [reply.result() for reply in stashed] == [("late", 1), ("late", 2), ("late", 3)]


@pytest.mark.sample
def test_what_is_stashed_outlives_a_crash(world):
    desk = world.system.spawn(Desk)
    stashed = desk.submit(Desk.increment, 1)
    assert desk.ask(Desk.count) == 0  # so the one before is put aside, and no handler at work
    assert desk.status().mailbox == 1
    world.crash(desk)
    world.eventually(lambda: desk.status().incarnation == 2, "the second life")
    world.eventually(lambda: desk.status().mailbox == 1, "what is put aside again")
    desk.tell(Desk.open_up)
    assert stashed.result() == ("late", 1)


def test_a_forwarded_message_is_answered_by_the_other(world):
    desk, counter = world.system.spawn(Desk), world.system.spawn(Counter, 42)
    desk.ask(Desk.pass_on, counter)
    assert desk.ask(Desk.get) == 42
    assert desk.submit(Desk.get).result() == 42


def test_an_actor_becomes_another(world):
    desk = world.system.spawn(Desk)
    assert [desk.ask(Add(at)) for at in range(3)] == [
        ("first", Add(0)),
        ("second", Add(1)),
        ("first", Add(2)),
    ]


@pytest.mark.sample
def test_what_waits_can_be_cancelled_and_what_has_begun_cannot(world):
    desk = world.system.spawn(Desk)
    holder = world.system.spawn(Holder, desk)
    held = holder.submit(Holder.hold)
    world.eventually(lambda: desk.ask(Desk.count), "the message in hand")
    waiting = holder.submit(Holder.note)
    assert waiting.cancel()
    assert waiting.cancelled()
    assert not held.cancel()
    desk.ask(Desk.answer)
    assert held.result() == "held"
    assert holder.ask(Holder.noted) == 0
    with pytest.raises(CancelledError):
        waiting.result()


@pytest.mark.sample
def test_a_call_that_is_cancelled_by_a_kill_ends_the_life(world):
    desk = world.system.spawn(Desk)
    holder = world.system.spawn(Holder, desk)
    held = holder.submit(Holder.hold)
    world.eventually(lambda: desk.ask(Desk.count), "the message in hand")
    assert not held.cancel(kill=True)
    assert held.cancelled()
    assert holder.ask(Holder.noted) == 0
    assert holder.status().incarnation == 2


def test_replies_are_waited_for_together(world):
    counter = world.system.spawn(Counter)
    replies = [counter.submit(Counter.increment) for _ in range(5)]
    done, left = wait(replies, timeout=30)
    assert not left
    assert sorted(reply.result() for reply in done) == [1, 2, 3, 4, 5]


@pytest.mark.sample
def test_an_inbox_receives_messages_and_ends(world):
    inbox = world.system.inbox("box")
    keeper = world.system.spawn(Teller, inbox.ref)
    keeper.tell(Teller.tell, ["hello"])
    assert inbox.receive(30) == ["hello"]
    with pytest.raises(TimeoutError):
        inbox.receive(0.05)
    inbox.watch(keeper)
    keeper.stop()
    event = inbox.receive(30)
    assert isinstance(event, Terminated)
    assert event.ref == keeper


def test_events_tell_of_each_turn(world):
    stream = world.system.events.stream((Started, Crashed, Restarting, Stopped))
    counter = world.system.options(name="seen").spawn(Counter)
    counter.tell(Counter.fail)
    counter.ask(Counter.get)
    counter.stop()
    found = [next(stream) for _ in range(5)]
    assert [type(event).__name__ for event in found] == [
        "Started",
        "Crashed",
        "Restarting",
        "Started",
        "Stopped",
    ]
    assert {event.actor for event in found} == {"seen"}
    stream.close()


def test_dead_letters_are_kept_and_sent_again(world):
    counter = world.system.options(name="gone").spawn(Counter)
    keeper = world.system.spawn(Keeper)
    counter.tell(Counter.fail)
    world.eventually(lambda: len(world.system.dead_letters) == 1, "the letter")
    (letter,) = world.system.dead_letters
    assert (letter.actor, letter.handler, letter.killed) == ("gone", "Counter.fail", True)
    assert letter.message == ((), {})
    world.system.dead_letters.requeue(letter)
    world.eventually(lambda: counter.status().incarnation == 3, "the third life")
    assert keeper.ask(Keeper.take) == []


@pytest.mark.sample
def test_everything_ends_with_the_system(backend):
    from procactors import ActorSystem

    with ActorSystem(backend=backend) as system:
        counter = system.spawn(Counter)
        inbox = system.inbox()
    for call in (counter.status, lambda: counter.ask(Counter.get), inbox.receive, system.actors):
        with pytest.raises(ActorStopped):
            call()
    assert not counter.is_alive()
    report = system.stop()
    assert [end.reason.kind for end in report.actors] == [ExitKind.STOPPED]


class Teller:
    def __init__(self, ref):
        self.ref = ref

    def tell(self, message):
        self.ref.tell(message)


def seen(clock):
    return clock.ask(Clock.seen)
