"""Dead letters: messages that nobody will handle are kept, with the reason."""

from __future__ import annotations

import logging

import pytest

from procactors import Actor, DeadLetter, Overflow, Restart
from procactors.errors import DecodeError
from tests.support.actors import Counter, Crasher, Increment, MessageCounter, Sleeper
from tests.support.faults import BreaksWhenLoaded
from tests.support.waiting import eventually


class Teller(Actor):
    def pass_on(self, ref, value):
        ref.tell(value)


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL)


def letters_of(system, count):
    return eventually(
        lambda: found if len(found := list(system.dead_letters)) >= count else None,
        f"{count} dead letters",
    )


def test_a_tell_that_crashed_its_actor_is_a_dead_letter(system):
    ref = system.options(name="c").spawn(Crasher)
    ref.tell(Crasher.crash, "exception")
    (letter,) = letters_of(system, 1)
    assert (letter.actor, letter.handler) == ("c", "Crasher.crash")
    assert (letter.deliveries, letter.sender) == (1, 0)
    assert "Fault: on purpose" in letter.reason
    assert letter.message == (("exception",), {})
    assert ref.ask(Crasher.pid)


def test_a_tell_in_hand_at_a_kill_is_a_dead_letter(system):
    ref = system.spawn(Crasher)
    ref.tell("SIGKILL")
    (letter,) = letters_of(system, 1)
    assert (letter.handler, letter.message) == ("receive", "SIGKILL")
    assert "ended by signal SIGKILL" in letter.reason


def test_an_ask_is_no_dead_letter(system):
    """Its caller is told instead."""
    ref = system.options(restart=Restart.TEMPORARY).spawn(Crasher)
    assert ref.submit(Crasher.crash, "SIGKILL").exception() is not None
    assert len(system.dead_letters) == 0


def test_what_is_left_at_a_kill_becomes_dead_letters_in_order(system, gate):
    ref = system.spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    for _ in range(5):
        ref.tell(Sleeper.pid)
    ref.kill()
    letters = letters_of(system, 6)
    assert [letter.handler for letter in letters] == ["Sleeper.sleep", *["Sleeper.pid"] * 5]
    assert [letter.deliveries for letter in letters] == [1, 0, 0, 0, 0, 0]


def test_the_sender_is_named(system, gate):
    target = system.spawn(Sleeper)
    target.tell(Sleeper.sleep, gate)
    gate.arrival()
    teller = system.spawn(Teller)
    counter = system.spawn(MessageCounter)
    teller.ask(Teller.pass_on, counter, "not a message it knows")
    teller.ask(Teller.pass_on, counter, Increment(2))
    target.kill()
    assert letters_of(system, 1)[0].sender == 0
    unknown = system.spawn(Crasher)
    teller.ask(Teller.pass_on, unknown, "SIGKILL")
    assert letters_of(system, 2)[1].sender == teller._actor


def test_a_message_that_does_not_load_is_a_dead_letter_and_the_actor_lives(system):
    ref = system.spawn(MessageCounter)
    pid = ref.status().pid
    ref.tell(BreaksWhenLoaded("exception"))
    (letter,) = letters_of(system, 1)
    assert "could not be unpickled" in letter.reason
    assert ref.status().pid == pid
    with pytest.raises(DecodeError, match="on purpose"):
        _ = letter.message


def test_a_large_message_is_kept_whole(system, gate):
    ref = system.spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    value = bytes(range(256)) * 4096
    ref.tell(Sleeper.sleep, value)
    ref.kill()
    assert letters_of(system, 2)[1].message == ((value,), {})


def test_what_a_full_mailbox_drops_is_a_dead_letter(system, gate):
    ref = system.options(mailbox=1, overflow=Overflow.DROP, name="small").spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    for _ in range(3):
        ref.tell(Sleeper.pid)
    letters = letters_of(system, 2)
    assert {letter.handler for letter in letters} == {"Sleeper.pid"}
    assert all("is full" in letter.reason for letter in letters)


def test_the_letters_are_counted_and_can_be_read_while_they_come(system, gate):
    ref = system.spawn(Counter)
    ref.stop()
    assert repr(system.dead_letters) == "<DeadLetters: 0 kept of 0>"
    other = system.spawn(Sleeper)
    other.tell(Sleeper.sleep, gate)
    gate.arrival()
    for _ in range(20):
        other.tell(Sleeper.pid)
    other.kill()
    letters_of(system, 21)
    assert (len(system.dead_letters), system.dead_letters.total) == (21, 21)
    assert all(isinstance(letter, DeadLetter) for letter in system.dead_letters)


def test_the_letters_stay_readable_when_the_system_has_stopped(system, gate):
    ref = system.spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    ref.tell(Sleeper.pid)
    system.stop(0.2)
    assert [letter.message for letter in system.dead_letters][1] == ((), {})
