"""The inbox: the main program as a receiver."""

from __future__ import annotations

import threading

import pytest

from procactors import Actor, ActorSystem
from procactors.errors import (
    ActorStopped,
    DecodeError,
    NameTaken,
    ProcActorsError,
    UnknownMethod,
)
from tests.support.actors import Echo
from tests.support.faults import BreaksWhenLoaded
from tests.support.waiting import eventually


class Reporter(Actor):
    def __init__(self, to, name="reporter"):
        self.to, self.name = to, name

    def report(self, *values):
        for value in values:
            self.to.tell((self.name, value))

    def ask_it(self):
        return self.to.ask("question")

    def on_stop(self, reason):
        self.to.tell((self.name, str(reason)))


def test_what_actors_tell_the_inbox_is_received_in_each_senders_order(system):
    inbox = system.inbox()
    reporters = [system.spawn(Reporter, inbox.ref, name) for name in "ab"]
    for reporter in reporters:
        reporter.tell(Reporter.report, *range(50))
    got = [inbox.receive(timeout=20.0) for _ in range(100)]
    for name in "ab":
        assert [value for who, value in got if who == name] == list(range(50))


def test_a_receive_times_out(system):
    with pytest.raises(TimeoutError, match=r"no message for .* within 0\.05 s"):
        system.inbox().receive(timeout=0.05)


def test_a_receive_waits_for_the_message(system):
    inbox = system.inbox()
    got = []
    thread = threading.Thread(target=lambda: got.append(inbox.receive()))
    thread.start()
    inbox.ref.tell("late")
    thread.join()
    assert got == ["late"]


def test_the_main_program_tells_itself(system):
    inbox = system.inbox()
    inbox.ref.tell({"a": [1, 2]})
    assert inbox.receive(timeout=20.0) == {"a": [1, 2]}


def test_a_large_message_arrives(system):
    inbox = system.inbox()
    system.spawn(Reporter, inbox.ref).tell(Reporter.report, b"x" * 3_000_000)
    assert inbox.receive(timeout=20.0) == ("reporter", b"x" * 3_000_000)


def test_an_inbox_has_a_name_like_an_actor(system):
    inbox = system.inbox("results")
    assert inbox.ref.name == "results"
    assert system["results"] == inbox.ref
    assert inbox.ref.status().pid is None
    with pytest.raises(NameTaken):
        system.inbox("results")
    with pytest.raises(NameTaken):
        system.options(name="results").spawn(Echo)


def test_an_ask_of_an_inbox_is_refused_when_it_is_read(system):
    inbox = system.inbox()
    asking = system.spawn(Reporter, inbox.ref).submit(Reporter.ask_it)
    direct = inbox.ref.submit("question")
    inbox.ref.tell("message")
    assert inbox.receive(timeout=20.0) == "message"
    with pytest.raises(UnknownMethod, match="is an inbox: tell it messages, do not ask"):
        direct.result()
    with pytest.raises(TimeoutError):
        inbox.receive(timeout=1.0)
    with pytest.raises(UnknownMethod):
        asking.result()


def test_a_message_that_cannot_be_loaded_is_an_error_and_the_next_one_is_intact(system):
    inbox = system.inbox()
    inbox.ref.tell(BreaksWhenLoaded("exception"))
    inbox.ref.tell("next")
    with pytest.raises(DecodeError, match="on purpose"):
        inbox.receive(timeout=20.0)
    assert inbox.receive(timeout=20.0) == "next"


def test_several_threads_receive_each_message_once(system):
    inbox = system.inbox()
    got = []

    def receive():
        while (value := inbox.receive(timeout=20.0)) is not None:
            got.append(value)

    threads = [threading.Thread(target=receive) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 401):
        inbox.ref.tell(number)
    for _ in threads:
        inbox.ref.tell(None)
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(1, 401))


@pytest.mark.methods
def test_last_words_reach_the_inbox_before_the_system_is_gone(start_method):
    """Inboxes end last: what actors say in on_stop is a dead letter at worst, never lost."""
    with ActorSystem(start_method=start_method) as system:
        inbox = system.inbox()
        for name in "abc":
            system.spawn(Reporter, inbox.ref, name)
    assert [letter.message for letter in system.dead_letters] == [
        (name, "stopped") for name in "cba"
    ]


def test_a_receive_that_waits_ends_with_the_system(start_method):
    system = ActorSystem(start_method=start_method)
    inbox = system.inbox()
    errors = []

    def receive():
        try:
            inbox.receive()
        except ProcActorsError as error:
            errors.append(str(error))

    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    eventually(inbox._turn.locked, "the receiver to wait")
    system.stop()
    thread.join(30.0)
    assert not thread.is_alive()
    assert "stopped" in errors[0]


def test_hundreds_of_inboxes_end_with_their_system(start_method):
    with ActorSystem(start_method=start_method) as system:
        inboxes = [system.inbox() for _ in range(300)]
        assert len({inbox.ref for inbox in inboxes}) == 300


def test_an_inbox_that_its_program_has_closed_is_no_trouble_at_the_systems_end(start_method):
    with ActorSystem(start_method=start_method) as system:
        inbox = system.inbox()
        echo = system.spawn(Echo)
        inbox.close()
        inbox.close()
        with pytest.raises(ActorStopped, match="is closed"):
            inbox.receive()
        assert echo.ask(Echo.echo, 1) == 1
