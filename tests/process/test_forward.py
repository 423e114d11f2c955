"""Forwarding: another actor answers the caller, who is told by one of both whatever happens."""

from __future__ import annotations

import contextlib
import time

import pytest

from procactors import ActorSystem, Delivery, Overflow
from procactors.errors import (
    ActorDied,
    ActorStopped,
    AskCycleError,
    AskTimeout,
    InvalidSpec,
    MailboxFull,
    UnknownMethod,
)
from tests.support.conversations import Backend, Frontend
from tests.support.waiting import SHORT_S, aside, eventually


@pytest.fixture
def pair(system):
    backend = system.options(name="backend").spawn(Backend)
    return system.options(name="frontend").spawn(Frontend, backend), backend


@pytest.mark.methods
def test_the_other_answers_asks_submits_tells_and_messages(pair):
    front, back = pair
    assert front.ask(Frontend.work, 1) == ("backend", 1)
    replies = [front.submit(Frontend.work, number) for number in range(100)]
    assert [reply.result(SHORT_S) for reply in replies] == [("backend", n) for n in range(100)]
    assert front.ask({"a": 1}) == ("received", {"a": 1})
    front.tell(Frontend.work, "told")
    assert front.ask(Frontend.get_seen)[-1] == "told"
    with pytest.raises(ValueError, match="no 3"):
        front.ask(Frontend.fail, 3)
    assert front.status().restarts == back.status().restarts == 0


def test_the_deadline_goes_along(pair):
    front, _ = pair
    assert front.ask(Frontend.deadline) is None
    before = time.monotonic()
    deadline = front.options(timeout=50.0).ask(Frontend.deadline)
    assert 0 < deadline - before < 60


@pytest.mark.parametrize("size", [0, 5000, 200_000, 5_000_000])
def test_large_payloads_go_along_and_are_freed(pair, system, size):
    front, _ = pair
    for _ in range(20):
        assert front.ask(Frontend.size, b"x" * size) == size
    front.tell(Frontend.size, b"y" * size)
    assert front.ask(Frontend.size, b"") == 0


def test_a_large_payload_survives_its_senders_death(system, gate):
    """A dead sender's segments are swept where they were first meant for; not what goes on."""
    back = system.options(name="backend").spawn(Backend)
    front = system.options(name="frontend").spawn(Frontend, back)
    sender = system.options(name="sender").spawn(Frontend)
    held = back.submit(Backend.hold, gate)
    gate.arrival()
    sender.tell(Frontend.tell_it, front, Frontend.work, b"x" * 100_000)
    eventually(lambda: back.status().mailbox == 1, "the forwarded message")
    sender.kill()
    front.ask(Frontend.nothing)  # behind the fence
    gate.open()
    held.result(SHORT_S)
    assert [len(value) for value in back.ask(Backend.get_seen)] == [100_000]


def test_the_caller_is_told_when_the_other_dies_or_is_gone(pair):
    front, back = pair
    with pytest.raises(ActorDied) as info:
        front.ask(Frontend.die, 1)
    assert (info.value.report.actor, info.value.report.handler) == ("backend", "die")
    assert front.ask(Frontend.work, 1) == ("backend", 1)
    back.stop()
    with pytest.raises(ActorStopped, match="backend has stopped"):
        front.ask(Frontend.work, 1)
    assert front.ask(Frontend.or_answer, 1) == "ActorStopped"
    assert front.status().restarts == 0


def test_a_method_that_the_other_has_not_is_the_callers_error(pair):
    with pytest.raises(UnknownMethod, match="Backend has no method only"):
        pair[0].ask(Frontend.only)


def test_whoever_waits_longer_than_the_forwarder_lives_still_gets_the_answer(pair, gate):
    front, _ = pair
    asking = aside(front.ask, Frontend.hold, gate)
    gate.arrival()
    front.stop()
    time.sleep(2.5)  # the caller looks once a second whether the one that is to answer exists
    assert not asking.done()
    gate.open()
    assert asking.result(SHORT_S) == "held"


def test_the_end_of_the_other_is_seen_by_a_caller_that_waits(pair, gate):
    front, back = pair
    asking = aside(front.ask, Frontend.hold, gate)
    gate.arrival()
    back.kill()
    with pytest.raises(ActorDied):
        asking.result(SHORT_S)
    gate.open()


def test_mistakes_are_named(pair, system, start_method):
    front, _ = pair
    front.submit(Frontend.twice)
    eventually(lambda: front.status().restarts == 1, "the crash")
    assert "not in hand any more" in str(front.status().last_crash.reason)
    with pytest.raises(InvalidSpec, match="frontend cannot forward to itself"):
        front.ask(Frontend.forward_to, front)
    with pytest.raises(InvalidSpec, match="takes the ref of an actor"):
        front.ask(Frontend.forward_to, "backend")
    with ActorSystem(start_method=start_method) as other:
        stranger = other.spawn(Backend)
        # By way of the program it comes there, where nobody knows what to do with it.
        with pytest.raises(UnknownMethod, match="Backend has no method forward_to"):
            front.ask(Frontend.forward_to, stranger)


def test_what_is_raised_behind_it_is_a_crash_and_the_other_answers(pair, system):
    front, _ = pair
    with pytest.raises(UnknownMethod):
        front.ask(Frontend.then_raise)
    eventually(lambda: front.status().restarts == 1, "the crash")
    assert "behind it" in str(front.status().last_crash.reason)
    assert front.ask(Frontend.nothing) == "nothing"
    assert not len(system.dead_letters)


def test_a_full_mailbox_does_what_its_overflow_says(system, gate):
    back = system.options(name="b", mailbox=1, overflow=Overflow.RAISE).spawn(Backend)
    front = system.spawn(Frontend, back)
    held = back.submit(Backend.hold, gate)
    gate.arrival()
    with pytest.raises(MailboxFull):
        for _ in range(10):
            front.options(timeout=SHORT_S).ask(Frontend.work, b"x" * 10_000)
    assert front.ask(Frontend.or_answer, 1) == "MailboxFull"
    gate.open()
    held.result(SHORT_S)

    def finds_a_place():
        with contextlib.suppress(MailboxFull):
            return front.ask(Frontend.work, 1) == ("backend", 1)

    eventually(finds_a_place, "a free place")


def test_a_flood_through_a_forwarder_comes_whole_and_in_order(pair, gate):
    front, back = pair
    held = back.submit(Backend.hold, gate)
    gate.arrival()
    for number in range(2000):
        front.tell(Frontend.work, number)
    asked = front.submit(Frontend.get_seen)
    gate.open()
    held.result(SHORT_S)
    assert asked.result(SHORT_S) == list(range(2000))


def test_a_cycle_through_a_forwarder_is_found(system):
    """C asks A, A forwards to B, B asks C: nobody would ever answer."""
    back = system.options(name="b").spawn(Backend)
    front = system.options(name="a").spawn(Frontend, back)
    caller = system.options(name="c").spawn(Frontend)
    with pytest.raises(AskCycleError):
        caller.options(timeout=SHORT_S).ask(Frontend.ask_frontend, front, caller)


def test_at_least_once_still_answers_once(system):
    back = system.options(name="b").spawn(Backend)
    front = system.options(delivery=Delivery.AT_LEAST_ONCE).spawn(Frontend, back)
    assert [front.ask(Frontend.work, n) for n in range(20)] == [("backend", n) for n in range(20)]
    assert back.ask(Backend.get_seen) == list(range(20))


def test_a_timeout_of_the_caller_holds(pair, gate):
    front, _ = pair
    with pytest.raises(AskTimeout):
        front.options(timeout=0.2).ask(Frontend.hold, gate)
    gate.open()


def test_a_tell_that_finds_no_place_is_a_dead_letter_where_that_is_wanted(system, gate):
    back = system.options(name="b", mailbox=1, overflow=Overflow.DROP).spawn(Backend)
    front = system.spawn(Frontend, back)
    held = back.submit(Backend.hold, gate)
    gate.arrival()
    for number in range(5):
        front.tell(Frontend.work, number)
    eventually(lambda: len(system.dead_letters) >= 4, "the letters")
    assert {(one.actor, one.handler) for one in system.dead_letters} == {("b", "work")}
    assert front.status().restarts == 0
    gate.open()
    held.result(SHORT_S)


def test_a_thread_of_the_actor_has_no_message_in_hand(pair):
    front, _ = pair
    assert "no message in hand" in front.ask(Frontend.in_a_thread)
