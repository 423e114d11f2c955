"""Answers that are put off: sent once, by whoever holds them; and no caller waits for nobody."""

from __future__ import annotations

import os
import signal

import pytest

from procactors import Delivery
from procactors.errors import ActorDied, ActorStopped, ReplyError, ResultEncodeError
from procactors.wire.endpoint import actor_path
from procactors.wire.mailbox.black_box import BlackBox
from procactors.wire.mailbox.hands import Hands
from tests.support.conversations import Backend, Later
from tests.support.waiting import SHORT_S, eventually


@pytest.fixture
def ref(system):
    return system.options(name="l").spawn(Later)


@pytest.mark.methods
def test_it_is_sent_by_a_later_handler_in_any_order(ref):
    replies = [ref.submit(Later.ask) for _ in range(40)]
    assert ref.ask(Later.count) == 40
    ref.ask(Later.send, "first")
    assert replies[0].result(SHORT_S) == "first"
    ref.ask(Later.send_all, b"x" * 10_000)
    assert [len(reply.result(SHORT_S)) for reply in replies[1:]] == [10_000] * 39


@pytest.mark.parametrize("method", [Later.at_once, Later.by_thread])
def test_at_once_or_by_a_thread(ref, method):
    assert [ref.ask(method, number) for number in range(50)] == list(range(50))


def test_a_failure_is_raised_at_the_caller(ref):
    reply = ref.submit(Later.ask)
    ref.ask(Later.fail, "no")
    with pytest.raises(KeyError, match="no"):
        reply.result(SHORT_S)


def test_one_that_is_dropped_is_a_failure(ref):
    with pytest.raises(ReplyError, match=r"l's Later\.forget put its answer off, and dropped it"):
        ref.ask(Later.forget)
    reply = ref.submit(Later.ask)
    ref.ask(Later.drop)
    with pytest.raises(ReplyError, match="dropped it"):
        reply.result(SHORT_S)


def test_what_the_handler_raises_is_the_answer_unless_it_was_sent(ref):
    with pytest.raises(ValueError, match="in the handler"):
        ref.ask(Later.raises)
    with pytest.raises(ValueError, match="in the block"):
        ref.ask(Later.raises_with)
    with pytest.raises(ResultEncodeError, match="its result cannot be sent"):
        ref.ask(Later.sends_what_cannot_travel)
    assert ref.status().restarts == 0
    assert ref.ask(Later.raises_behind) == 1
    eventually(lambda: ref.status().restarts == 1, "the crash: nobody waits for that")


def test_mistakes_are_named(ref):
    assert ref.ask(Later.twice) == 1
    assert "was sent already; it is sent once" in ref.ask(Later.get)[0]
    assert "not in hand any more" in ref.ask(Later.both)
    ref.tell(Later.told)
    assert "nobody waits for an answer to it; ask or submit it" in ref.ask(Later.get)[-1]
    with pytest.raises(ResultEncodeError, match="its result cannot be sent"):
        ref.ask(Later.unsendable)
    assert ref.ask(Later.get)[-1] == "ResultEncodeError"
    assert ref.status().restarts == 0


def test_no_end_of_a_process_is_sent_to_a_caller(ref):
    """A SystemExit in a `with` block, as of a SIGTERM, is the actor's own."""
    with pytest.raises(ActorDied) as info:
        ref.ask(Later.leaves)
    assert "3" in str(info.value.report.reason)
    reply = ref.submit(Later.ask)
    with pytest.raises(TypeError, match="fail takes an exception, not SystemExit"):
        ref.ask(Later.fail_with, SystemExit)
    ref.ask(Later.send, 1)
    assert reply.result(SHORT_S) == 1


def test_a_death_answers_all_that_are_held(ref):
    replies = [ref.submit(Later.ask) for _ in range(20)]
    with pytest.raises(ActorDied):
        ref.ask(Later.die)
    for reply in replies:
        with pytest.raises(ActorDied):
            reply.result(SHORT_S)
    assert ref.ask(Later.count) == 0


def test_a_death_in_the_handler_answers_once(ref, gate):
    reply = ref.submit(Later.hold, gate)
    gate.arrival()
    status = ref.status()
    assert (status.state, status.handled) == ("busy", 0)
    os.kill(status.pid, signal.SIGKILL)
    with pytest.raises(ActorDied) as info:
        reply.result(SHORT_S)
    assert info.value.report.handler == "Later.hold"
    gate.open()


def test_an_orderly_end_says_that_there_is_no_answer(ref):
    reply = ref.submit(Later.ask)
    ref.ask(Later.count)
    ref.stop()
    with pytest.raises(ReplyError, match=r"had not sent the answer that Later\.ask put off"):
        reply.result(SHORT_S)


def test_at_least_once_the_next_life_is_asked_again(system):
    ref = system.options(delivery=Delivery.AT_LEAST_ONCE).spawn(Later)
    reply = ref.submit(Later.ask)
    ref.ask(Later.count)
    os.kill(ref.status().pid, signal.SIGKILL)
    eventually(lambda: ref.ask(Later.incarnation) == 2, "the next life")
    ref.ask(Later.send, 1)
    assert reply.result(SHORT_S) == 1


def test_another_actor_answers(ref, system):
    back = system.options(name="b").spawn(Backend)
    assert ref.ask(Later.to, back, Backend.answer, "by b") == "by b"


def test_whoever_holds_it_answers_for_it(ref, system):
    back = system.options(name="b").spawn(Backend)
    reply = ref.submit(Later.to, back, Backend.keep)
    eventually(lambda: back.ask(Backend.get_seen) == [] and held(back) == 1, "its new holder")
    eventually(lambda: held(ref) == 0, "the first one to let go of it")
    ref.stop()
    assert not reply.done()
    back.kill()
    with pytest.raises(ReplyError):
        reply.result(SHORT_S)


def held(ref):
    """Return how many slots of an actor's hands table are in use."""
    path = actor_path(ref._runtime_dir, ref._actor)
    box = BlackBox(f"{path}/box")
    hands = Hands(path, box.words)
    try:
        return len(hands.in_use())
    finally:
        hands.close()
        box.close()


def test_if_the_first_one_dies_the_new_holder_still_answers(ref, system, gate):
    back = system.options(name="b").spawn(Backend)
    held_up = back.submit(Backend.hold, gate)
    gate.arrival()
    reply = ref.submit(Later.to, back, Backend.answer, 1)
    ref.ask(Later.count)
    assert held(ref) == 1  # not loaded there yet
    gate.open()
    held_up.result(SHORT_S)
    assert reply.result(SHORT_S) == 1
    eventually(lambda: held(ref) == held(back) == 0, "nobody to hold it")


def test_the_main_program_answers(ref, system):
    inbox = system.inbox()
    reply = ref.submit(Later.ask)
    ref.tell(Later.give, inbox.ref)
    later = inbox.receive(SHORT_S)
    assert "LaterReply of l's Later.ask" in repr(later)
    later.send("from main")
    assert reply.result(SHORT_S) == "from main"
    eventually(lambda: held(ref) == 0, "the actor to let go of it")
    with pytest.raises(RuntimeError, match="sent once"):
        later.send(2)


def test_a_pools_item_is_answered_by_its_result(system):
    with system.options(size=1).pool(Later) as pool:
        with pytest.raises(RuntimeError, match="the pool counts on its result"):
            pool.ask(Later.at_once, 1)


def test_an_answer_to_one_that_is_gone_is_no_error(ref, system):
    asker = system.spawn(Backend)
    reply = asker.submit(Backend.ask_later, ref)
    eventually(lambda: ref.ask(Later.count) == 1, "the question")
    asker.kill()
    with pytest.raises((ActorDied, ActorStopped)):
        reply.result(SHORT_S)
    ref.ask(Later.send, b"x" * 100_000)
    assert held(ref) == 0
