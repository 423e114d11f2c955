"""Messages, replies, errors and order, on each backend."""

from __future__ import annotations

import pytest

from procactors import ActorRef, Overflow
from procactors.errors import (
    ActorDied,
    ActorStopped,
    AskCycleError,
    AskTimeout,
    DecodeError,
    EncodeError,
    MailboxFull,
    RemoteTraceback,
    ResultEncodeError,
    UnknownMethod,
)
from tests.conformance.actors import Add, Asker, Counter, Desk, Keeper, Spoilt, Unreadable


@pytest.mark.sample
def test_a_call_is_answered_with_what_the_handler_returns(system):
    counter = system.spawn(Counter, 10)
    assert counter.ask(Counter.increment, by=5) == 15
    assert counter.ask(Add(2)) == 17


def test_a_tell_is_handled_before_what_is_sent_later(system):
    counter = system.spawn(Counter)
    for _ in range(100):
        counter.tell(Counter.increment)
    assert counter.ask(Counter.get) == 100


def test_many_tells_in_one_call_keep_their_order(system):
    keeper = system.spawn(Keeper)
    keeper.tell_many(Keeper.keep, ((number,) for number in range(500)))
    assert keeper.ask(Keeper.take) == list(range(500))


def test_a_submit_gives_the_reply_later(system):
    counter = system.spawn(Counter)
    replies = [counter.submit(Counter.increment) for _ in range(20)]
    assert [reply.result() for reply in replies] == list(range(1, 21))
    assert all(reply.done() for reply in replies)


@pytest.mark.sample
def test_the_order_of_each_sender_is_kept(system):
    keeper = system.spawn(Keeper)
    askers = [system.options(name=f"asker-{at}").spawn(Asker) for at in range(4)]
    for reply in [asker.submit(Asker.tell_all, keeper, 30) for asker in askers]:
        reply.result()
    kept = keeper.ask(Keeper.take)
    assert len(kept) == 120
    for asker in askers:
        assert [number for name, number in kept if name == asker.name] == list(range(30))


def test_what_is_sent_arrives_as_a_copy(system):
    keeper = system.spawn(Keeper)
    things = ["one"]
    keeper.tell(Keeper.keep, things)
    things.append("changed later")
    assert keeper.ask(Keeper.take) == [["one"]]
    assert keeper.ask(Keeper.extend, things) == ["one", "changed later", "more"]
    assert things == ["one", "changed later"]


def test_a_result_is_a_copy(system):
    keeper = system.spawn(Keeper)
    keeper.tell(Keeper.keep, "one")
    keeper.ask(Keeper.take).append("not the actor's")
    assert keeper.ask(Keeper.take) == ["one"]


@pytest.mark.sample
def test_large_values_travel(system):
    keeper = system.spawn(Keeper)
    large = bytes(range(256)) * 4096
    assert keeper.ask(Keeper.extend, [large]) == [large, "more"]


def test_functions_that_nobody_can_import_travel(system):
    keeper = system.spawn(Keeper)
    base = 40
    keeper.tell(Keeper.keep, lambda value: base + value)
    (function,) = keeper.ask(Keeper.take)
    assert function(2) == 42


def test_a_ref_travels_and_is_the_same(system):
    keeper, counter = system.spawn(Keeper), system.spawn(Counter)
    keeper.tell(Keeper.keep, counter)
    (ref,) = keeper.ask(Keeper.take)
    assert isinstance(ref, ActorRef)
    assert ref == counter
    assert ref.ask(Counter.increment) == 1


@pytest.mark.sample
def test_what_a_handler_raises_is_raised_at_the_caller_and_the_actor_lives(system):
    counter = system.spawn(Counter)
    with pytest.raises(ValueError, match="on purpose") as caught:
        counter.ask(Counter.fail)
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert "in fail" in str(caught.value.__cause__)
    with pytest.raises(Spoilt) as caught:
        counter.submit(Counter.spoil).result()
    assert caught.value.code == 7
    assert counter.ask(Counter.incarnation) == 1


def test_an_argument_that_cannot_be_pickled_is_an_error_at_the_call(system):
    import threading

    keeper = system.spawn(Keeper)
    with pytest.raises(EncodeError, match=r"arguments\[0\]\[0\]"):
        keeper.tell(Keeper.keep, threading.Lock())
    assert keeper.ask(Keeper.take) == []


def test_a_result_that_cannot_be_pickled_is_an_error_of_the_reply(system):
    counter = system.spawn(Counter)
    with pytest.raises(ResultEncodeError, match="lock ran"):
        counter.ask(Counter.lock)
    assert counter.ask(Counter.get) == 0


def test_a_message_that_cannot_be_unpickled_is_an_error_and_the_actor_lives(world):
    keeper = world.system.spawn(Keeper)
    with pytest.raises(DecodeError, match="not here"):
        keeper.ask(Keeper.keep, Unreadable())
    keeper.tell(Keeper.keep, Unreadable())
    assert keeper.ask(Keeper.take) == []
    letters = world.eventually(lambda: list(world.system.dead_letters), "the letter")
    assert [letter.handler for letter in letters] == ["Keeper.keep"]


def test_a_method_that_is_not_there_is_an_error_at_the_call(system):
    counter = system.spawn(Counter)
    with pytest.raises(UnknownMethod, match=r"Keeper\.take is not a method of Counter"):
        counter.ask(Keeper.take)
    with pytest.raises(TypeError, match="increment"):
        counter.tell(Counter.increment, 1, 2, 3)


@pytest.mark.sample
def test_handlers_ask_each_other(system):
    counter = system.spawn(Counter)
    asker = system.spawn(Asker, counter)
    assert asker.ask(Asker.through, 2) == 20
    assert asker.ask(Asker.submit_on, 3) == 5


def test_a_handler_that_waits_keeps_nobody_else_from_it(system):
    """Two actors that ask the same third one, and one that asks one of the two meanwhile."""
    counter = system.spawn(Counter)
    first, second = system.spawn(Asker, counter), system.spawn(Asker, counter)
    replies = [actor.submit(Asker.through, 1) for actor in (first, second, first, second)]
    replies.append(first.submit(Asker.ping))
    assert sorted(reply.result() for reply in replies[:4]) == [10, 20, 30, 40]
    assert replies[4].result() == "pong"


@pytest.mark.sample
def test_a_circle_of_asks_is_an_error_and_no_wait_for_ever(system):
    first = system.options(name="first").spawn(Asker)
    second = system.options(name="second").spawn(Asker, first)
    first.tell(Asker.know, second)
    with pytest.raises(AskCycleError, match="would wait for each other"):
        first.ask(Asker.ask_on)
    assert first.ask(Asker.ping) == second.ask(Asker.ping) == "pong"


@pytest.mark.sample
def test_an_ask_that_gets_no_answer_in_time_ends(system):
    desk = system.spawn(Desk)
    with pytest.raises(AskTimeout, match=r"within 0\.2 s"):
        desk.options(timeout=0.2).ask(Desk.put_off, 1)
    reply = desk.options(timeout=0.2).submit(Desk.put_off, 1)
    with pytest.raises(AskTimeout):
        reply.result()
    desk.ask(Desk.answer)


def test_a_message_whose_time_is_over_is_not_begun(system):
    desk = system.spawn(Desk)
    holder = system.spawn(Holder, desk)
    held = holder.submit(Holder.hold)
    with pytest.raises(AskTimeout):
        holder.options(timeout=0.2).ask(Holder.noted)
    desk.ask(Desk.answer)
    assert held.result() == "held"
    assert holder.ask(Holder.noted) == 0
    assert holder.status().expired == 1


@pytest.mark.sample
def test_a_bounded_mailbox_is_full_at_its_bound(world, system):
    desk = system.spawn(Desk)
    bounded = system.options(mailbox=2, overflow=Overflow.RAISE).spawn(Holder, desk)
    held = bounded.submit(Holder.hold)
    while not desk.ask(Desk.count):  # until it is in hand; it keeps its place
        pass
    sent = 0
    with pytest.raises(MailboxFull, match="2 of 2 places"):
        for _ in range(5):
            bounded.tell(Holder.note)
            sent += 1
    assert sent in (1, 2)
    desk.ask(Desk.answer)
    assert held.result() == "held"
    world.eventually(lambda: not bounded.status().mailbox, "its messages to be handled")
    assert bounded.ask(Holder.noted) == sent


def test_a_send_waits_for_a_place_in_a_bounded_mailbox(system):
    counter = system.options(mailbox=3).spawn(Counter)
    for _ in range(50):
        counter.tell(Counter.increment)
    assert counter.ask(Counter.get) == 50


def test_the_actor_that_has_stopped_is_an_error_of_the_send(system):
    counter = system.spawn(Counter)
    assert counter.stop().kind.value == "stopped"
    for send in (counter.tell, counter.ask, counter.submit):
        with pytest.raises(ActorStopped):
            send(Counter.increment)
    assert not counter.is_alive()
    assert counter.stop().kind.value == "stopped"


def test_what_is_sent_before_a_stop_is_handled(system):
    keeper = system.spawn(Keeper)
    counter = system.spawn(Counter)
    replies = [counter.submit(Counter.increment) for _ in range(10)]
    counter.stop()
    assert [reply.result() for reply in replies] == list(range(1, 11))
    assert keeper.ask(Keeper.take) == []


@pytest.mark.sample
def test_a_killed_actor_answers_for_what_waits(system):
    desk = system.spawn(Desk)
    holder = system.spawn(Holder, desk)
    held, waiting = holder.submit(Holder.hold), holder.submit(Holder.noted)
    while not desk.ask(Desk.count):  # until it is in hand
        pass
    holder.kill()
    for reply in (held, waiting):
        with pytest.raises((ActorDied, ActorStopped)):
            reply.result()


def test_callbacks_of_replies_may_send_again(world):
    system = world.system
    counter = system.spawn(Counter)
    later = []
    reply = counter.submit(Counter.increment)
    reply.add_done_callback(lambda done: later.append(counter.submit(Counter.increment, 5)))
    reply.result()
    world.eventually(lambda: later, "the callback")
    assert later[0].result() == 6


class Holder:
    """Waits inside of a handler for what a desk has put off."""

    def __init__(self, desk):
        self.desk = desk
        self.count = 0

    def hold(self):
        self.desk.ask(Desk.put_off, 1)
        return "held"

    def note(self):
        self.count += 1

    def noted(self):
        return self.count
