"""Tell: send and go on."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import Any

import pytest

from procactors import Actor, Overflow, errors
from tests.support.actors import (
    Command,
    Counter,
    Echo,
    GetValue,
    Increment,
    MessageCounter,
    Recorder,
    Relay,
    Sleeper,
    recorded,
)
from tests.support.waiting import eventually


def test_a_told_method_runs_and_nothing_comes_back(system):
    counter = system.spawn(Counter, 10)
    assert counter.tell(Counter.increment, 5) is None
    counter.tell(Counter.increment, by=2)
    assert counter.ask(Counter.get_value) == 17


def test_a_message_as_a_value_goes_to_receive(system):
    counter = system.spawn(MessageCounter)
    counter.tell(Increment(3))
    counter.tell(Command.INCREMENT)
    assert counter.ask(GetValue()) == 4


@pytest.mark.methods
def test_one_senders_messages_are_handled_in_sending_order(system, tmp_path):
    recorder = system.spawn(Recorder, tmp_path / "log")
    for number in range(3000):
        recorder.tell(Recorder.record, number)
    recorder.stop()
    assert recorded(tmp_path / "log") == list(range(3000))


def test_each_threads_order_holds(system, tmp_path):
    recorder = system.spawn(Recorder, tmp_path / "log")

    def send(first: int) -> None:
        for number in range(first, first + 500):
            recorder.tell(Recorder.record, number)

    threads = [threading.Thread(target=send, args=(1000 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.stop()
    numbers = recorded(tmp_path / "log")
    for i in range(4):
        mine = [number for number in numbers if number // 1000 == i]
        assert mine == list(range(1000 * i, 1000 * i + 500))


def test_small_and_large_messages_keep_their_order(system):
    inbox = system.inbox()
    relay = system.spawn(Relay, inbox.ref)
    sizes = [1, 5_000, 10, 2_000_000, 3, 70_000] * 5
    for size in sizes:
        relay.tell(Relay.tell, b"x" * size)
    assert [len(inbox.receive()) for _ in sizes] == sizes


def test_a_full_pipe_does_not_block_the_sender_and_order_holds(system, gate, tmp_path):
    recorder = system.spawn(Recorder, tmp_path / "log")
    recorder.tell(Recorder.record_at, 0, gate)
    gate.arrival()
    for number in range(1, 20_000):  # far more than a pipe holds
        recorder.tell(Recorder.record, number)
    gate.open()
    recorder.stop()
    assert recorded(tmp_path / "log") == list(range(20_000))


def test_a_value_changed_after_the_tell_arrives_as_it_was(system, gate):
    inbox = system.inbox()
    relay = system.spawn(Relay, inbox.ref)
    value = [1, 2]
    relay.tell(Relay.tell, value)
    value.append(3)
    assert inbox.receive() == [1, 2]


def test_a_misspelled_method_is_an_error_at_the_call(system):
    counter = system.spawn(Counter)
    with pytest.raises(errors.UnknownMethod, match=r"Echo\.echo is not a method of Counter"):
        counter.tell(Echo.echo)
    with pytest.raises(errors.UnknownMethod, match="has no receive method"):
        counter.tell("increment")
    with pytest.raises(AttributeError):
        counter.increment(1)
    assert counter.ask(Counter.get_value) == 0


@pytest.mark.parametrize("arguments", [(1, 2), ("a", "b", "c")])
def test_arguments_that_do_not_fit_are_an_error_at_the_call(system, arguments):
    counter = system.spawn(Counter)
    with pytest.raises(TypeError, match=r"increment\(by: .*: too many positional arguments"):
        counter.tell(Counter.increment, *arguments)
    with pytest.raises(TypeError, match="unexpected keyword argument 'to'"):
        counter.tell(Counter.increment, to=1)
    assert counter.ask(Counter.get_value) == 0


def test_arguments_that_do_not_fit_through_a_bare_ref_become_a_dead_letter(system):
    """A ref that travelled does not know the class: then the actor finds the mistake."""
    counter = system.spawn(Counter)
    relay = system.spawn(Relay, counter)
    relay.tell(Relay.tell, Counter.increment, 1, 2)
    letter = eventually(lambda: list(system.dead_letters), "the dead letter")[0]
    assert letter.actor == counter.name
    assert letter.message == ((1, 2), {})
    assert "positional argument" in letter.reason
    assert counter.status().incarnation == 1


def test_a_tell_to_a_stopped_actor_raises_in_the_sender(system):
    counter = system.spawn(Counter)
    counter.stop()
    with pytest.raises(errors.ActorStopped, match="counter-1 has stopped"):
        counter.tell(Counter.increment)


class Raiser(Actor):
    def receive(self, message: Any) -> None:
        raise ValueError(f"no {message}")


def test_an_exception_in_a_tell_crashes_the_actor_and_buries_the_message(system, caplog):
    raiser = system.spawn(Raiser)
    with caplog.at_level(logging.ERROR, "procactors"):
        raiser.tell("thanks")
        letter = eventually(lambda: list(system.dead_letters), "the dead letter")[0]
    assert letter.message == "thanks"
    assert letter.deliveries == 1
    assert "ValueError: no thanks" in letter.reason
    assert "ValueError: no thanks" in caplog.text
    eventually(lambda: raiser.status().incarnation == 2, "the respawn")


def test_the_sender_of_a_dead_letter_is_named(system):
    raiser = system.spawn(Raiser)
    relay = system.spawn(Relay, raiser)
    relay.tell(Relay.tell, 1)
    letter = eventually(lambda: list(system.dead_letters), "the dead letter")[0]
    assert letter.sender == relay._actor


def fill(sleeper: Any, gate: Any) -> None:
    """Hold a `Sleeper` of two places in a handler, and take the place that is left."""
    sleeper.tell(Sleeper.sleep, gate)  # the message in hand keeps its place until it is done
    gate.arrival()
    sleeper.tell(Sleeper.pid)


def test_a_full_mailbox_makes_the_sender_wait(system, gate):
    sleeper = system.options(mailbox=2).spawn(Sleeper)
    fill(sleeper, gate)
    with pytest.raises(errors.MailboxFull, match="is full: 2 of 2 places taken"):
        sleeper.options(timeout=0.1).tell(Sleeper.pid)
    gate.open()
    assert sleeper.ask(Sleeper.pid) > 0


def test_a_full_mailbox_raises_at_once_when_it_is_told_to(system, gate):
    sleeper = system.options(mailbox=2, overflow=Overflow.RAISE).spawn(Sleeper)
    fill(sleeper, gate)
    for send in (sleeper.tell, sleeper.ask, sleeper.submit):
        with pytest.raises(errors.MailboxFull, match="is full: 2 of 2 places taken"):
            send(Sleeper.pid)


def test_a_full_mailbox_drops_tells_into_the_dead_letters_when_it_is_told_to(system, gate):
    sleeper = system.options(mailbox=2, overflow=Overflow.DROP).spawn(Sleeper)
    fill(sleeper, gate)
    sleeper.tell(Sleeper.pid)
    letter = eventually(lambda: list(system.dead_letters), "the dead letter")[0]
    assert letter.deliveries == 0
    assert "is full: 2 of 2 places taken" in letter.reason
    with pytest.raises(errors.MailboxFull):
        sleeper.ask(Sleeper.pid)


def test_a_blocked_sender_goes_on_when_a_place_comes_free(system, gate):
    sleeper = system.options(mailbox=1).spawn(Sleeper)
    sleeper.tell(Sleeper.sleep, gate)
    gate.arrival()
    sender = threading.Thread(target=lambda: [sleeper.tell(Sleeper.pid) for _ in range(20)])
    sender.start()
    gate.open()
    sender.join()
    assert sleeper.ask(Sleeper.pid) > 0


def test_the_inbox_gets_what_actors_tell_it_in_order(system):
    inbox = system.inbox("here")
    relay = system.spawn(Relay, inbox.ref)
    for number in range(100):
        relay.tell(Relay.tell, number)
    assert [inbox.receive() for _ in range(100)] == list(range(100))
    with pytest.raises(TimeoutError, match=r"no message for here within 0\.05 s"):
        inbox.receive(timeout=0.05)


def test_an_inbox_refuses_to_be_asked_and_goes_on(system):
    inbox = system.inbox()
    asked = system.spawn(Relay, inbox.ref).submit(Relay.ask, "question")
    system.spawn(Relay, inbox.ref).tell(Relay.tell, "told")
    assert inbox.receive() == "told"

    def refused() -> bool:
        with suppress(TimeoutError):  # the question itself is no message to the receiver
            inbox.receive(timeout=0.01)
        return asked.done()

    eventually(refused, "the refusal")
    with pytest.raises(errors.UnknownMethod, match="is an inbox: tell it messages, do not ask"):
        asked.result()
