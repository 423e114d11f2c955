"""Messages that an actor holds out of its batch: each is answered for, once, wherever it ends."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest

from procactors import Delivery, Restart, errors
from tests.support.holders import Holder
from tests.support.segments import in_use
from tests.support.waiting import eventually

LARGE = b"x" * 300_000


def held_by(ref, count):
    """Wait until an actor holds so many messages, and return its pid."""
    pid = ref.ask(Holder.pid)  # it comes behind them
    eventually(lambda: len(ref.status().in_hand) == count, f"{count} messages in hand")
    return pid


def kill(pid):
    os.kill(pid, signal.SIGKILL)


@pytest.mark.methods
def test_a_kill_answers_for_each_message_in_hand_and_reports_all(system):
    ref = system.spawn(Holder)
    replies = [ref.submit(Holder.hold, number) for number in range(3)]
    ref.tell(Holder.hold, LARGE)
    kill(held_by(ref, 4))
    for reply in replies:
        died = reply.exception()
        assert isinstance(died, errors.ActorDied)
        report = died.report
        assert (report.handler, report.deliveries) == ("Holder.hold", 1)
        assert [message.handler for message in report.in_hand] == ["Holder.hold"] * 4
        ages = [message.busy_s for message in report.in_hand]
        assert ages == sorted(ages, reverse=True)
        assert report.busy_s == ages[0] > 0
        assert "with 3 more in hand" in str(report)
    letters = eventually(lambda: list(system.dead_letters), "the tell's letter")
    assert [(letter.deliveries, letter.message[0]) for letter in letters] == [(1, (LARGE,))]
    assert ref.ask(Holder.all_begun) == []
    eventually(lambda: not in_use(system._endpoint.path), "its payload to be freed")


def test_a_held_message_is_handed_again_before_what_waits(system):
    ref = system.options(delivery=Delivery.AT_LEAST_ONCE, max_deliveries=2).spawn(Holder)
    replies = [ref.submit(Holder.hold, what) for what in (1, LARGE, 3)]
    ref.tell(Holder.hold, 4)
    kill(held_by(ref, 4))
    assert [reply.result() for reply in replies] == [2, 2, 2]
    assert ref.ask(Holder.all_begun) == [1, len(LARGE), 3, 4]
    eventually(lambda: ref.status().handled == 6, "the last to be stepped behind")
    assert ref.status().in_hand == ()


def test_a_message_is_begun_as_often_as_is_allowed(system):
    ref = system.options(delivery=Delivery.AT_LEAST_ONCE, max_deliveries=1).spawn(Holder)
    reply = ref.submit(Holder.hold, 1)
    kill(held_by(ref, 1))
    assert isinstance(reply.exception(), errors.ActorDied)


def test_what_is_put_aside_outlives_its_life(system):
    """It was not refused, nor handled: the next life has it, as what waits in the mailbox."""
    ref = system.spawn(Holder)
    replies = [ref.submit(Holder.hold, number, "STASHED") for number in range(2)]
    running = ref.submit(Holder.hold, 7)
    pid = held_by(ref, 1)
    assert ref.status().mailbox == 2
    kill(pid)
    assert isinstance(running.exception(), errors.ActorDied)
    assert [reply.result() for reply in replies] == [1, 1]
    assert ref.ask(Holder.all_begun) == [0, 1]


def test_at_the_end_what_is_put_aside_is_answered_as_what_waits(system):
    ref = system.spawn(Holder)
    reply = ref.submit(Holder.hold, LARGE, "STASHED")
    ref.tell(Holder.hold, 2, "STASHED")
    held_by(ref, 0)
    ref.stop()
    assert isinstance(reply.exception(), errors.ActorStopped)
    (letter,) = eventually(lambda: list(system.dead_letters), "the tell's letter")
    assert letter.message == ((2, "STASHED"), {})
    eventually(lambda: not in_use(system._endpoint.path), "its payload to be freed")


def test_an_answer_that_was_to_come_later_dies_with_its_actor(system):
    ref = system.options(restart=Restart.TEMPORARY).spawn(Holder)
    reply = ref.submit(Holder.hold, 1, "LATER")
    held_by(ref, 1)
    assert ref.status().in_hand[0].is_later
    ref.tell(Holder.die)
    died = reply.exception()
    assert isinstance(died, errors.ActorDied)
    assert {message.is_later for message in died.report.in_hand} == {True, False}


def test_the_oldest_handler_is_the_one_that_hangs(system):
    ref = system.options(handle_timeout=1.0, restart=Restart.TEMPORARY).spawn(Holder)
    first = ref.submit(Holder.hold, 1)
    held_by(ref, 1)
    while not first.done():
        with contextlib.suppress(errors.ProcActorsError):
            ref.ask(Holder.pid)  # it goes on with others meanwhile
    died = first.exception()
    assert isinstance(died, errors.ActorDied)
    assert died.report.reason.kind.name == "HANG"
    assert (died.report.handler, died.report.busy_s > 1.0) == ("Holder.hold", True)


def test_a_fence_of_a_dead_sender_leaves_the_payload_of_what_is_held(system):
    class Sender(Holder):
        def send(self, target):
            target.tell(Holder.hold, LARGE)
            return os.getpid()

    ref = system.options(delivery=Delivery.AT_LEAST_ONCE).spawn(Holder)
    sender = system.spawn(Sender)
    pid = sender.ask(Sender.send, ref)
    held_by(ref, 1)
    kill(pid)
    assert sender.ask(Holder.pid) != pid
    ref.ask(Holder.pid)
    kill(held_by(ref, 1))
    assert ref.ask(Holder.all_begun) == [len(LARGE)]
