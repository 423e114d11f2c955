"""Status: what can be seen of an actor without a message to it."""

from __future__ import annotations

import os
import signal

import pytest

from procactors import Actor, ActorStatus, Backoff, ExitKind, Restart
from procactors.errors import ActorStopped
from tests.support.actors import Counter, Echo, Sleeper
from tests.support.waiting import CLOCK_TOLERANCE_S, eventually


class Closing(Actor):
    def __init__(self, gate):
        self.gate = gate

    def on_stop(self, reason):
        self.gate.wait()


def test_an_idle_actor_shows_where_it_is_and_what_it_did(system):
    ref = system.options(name="one").spawn(Counter)
    for _ in range(3):
        ref.ask(Counter.increment)
    # The reply is sent before the actor steps behind its message.
    eventually(lambda: ref.status().state == "idle", "the last step")
    pid = ref.status().pid
    status = ref.status()
    assert status.memory > 1_000_000
    assert status == ActorStatus(
        name="one",
        state="idle",
        pid=pid,
        incarnation=1,
        restarts=0,
        handled=3,
        mailbox=0,
        memory=status.memory,
        busy_s=0.0,
        last_crash=None,
        reason=None,
    )
    os.kill(pid, 0)


def test_a_busy_actor_shows_since_when_and_what_waits(system, gate):
    ref = system.spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    first = ref.status()
    assert (first.state, first.mailbox) == ("busy", 0)
    ref.tell(Sleeper.pid)
    ref.tell(Sleeper.pid)
    second = ref.status()
    assert second.mailbox == 2
    grown = first.busy_s + CLOCK_TOLERANCE_S
    assert eventually(lambda: ref.status().busy_s > grown, "the time to be counted")
    assert second.handled == 0


def test_a_stopped_process_can_be_looked_at(system):
    """The actor need not answer for its status."""
    ref = system.spawn(Echo)
    pid = ref.ask(Echo.pid)
    os.kill(pid, signal.SIGSTOP)
    ref.tell(Echo.echo, 1)
    status = ref.status()
    os.kill(pid, signal.SIGCONT)
    assert status.pid == pid
    assert status.state in ("idle", "busy")


def test_a_stopping_actor_says_so(system, gate):
    ref = system.spawn(Closing, gate)
    import threading

    stopping = threading.Thread(target=ref.stop)
    stopping.start()
    gate.arrival()
    assert ref.status().state == "stopping"
    assert ref.is_alive()
    gate.open()
    stopping.join()
    assert not ref.is_alive()


def test_an_actor_between_two_lives_has_no_process(system):
    ref = system.options(
        backoff=Backoff(initial=1000.0, maximum=1000.0), restart=Restart.PERMANENT
    ).spawn(Echo)
    os.kill(ref.status().pid, signal.SIGKILL)
    eventually(lambda: ref.status().incarnation == 2 and ref.status().state == "idle", "life two")
    os.kill(ref.status().pid, signal.SIGKILL)
    status = eventually(
        lambda: status if (status := ref.status()).state == "restarting" else None, "its death"
    )
    assert status.pid is None
    assert ref.is_alive()
    assert status.last_crash.reason.signal_name == "SIGKILL"
    assert status.last_crash.incarnation == 2


def test_a_stopped_actors_end_is_remembered(system):
    ref = system.spawn(Echo)
    ref.stop()
    status = ref.status()
    assert (status.state, status.pid, status.mailbox) == ("stopped", None, 0)
    assert status.reason.kind is ExitKind.STOPPED
    assert str(status.reason) == "stopped"


def test_the_count_of_handled_messages_holds_when_the_actor_has_stopped(system):
    ref = system.spawn(Counter)
    for _ in range(3):
        ref.ask(Counter.increment)
    eventually(lambda: ref.status().handled == 3, "the step behind the last message")
    os.kill(ref.status().pid, signal.SIGKILL)
    assert ref.ask(Counter.increment) == 1
    eventually(lambda: ref.status().handled == 4, "the last step")
    ref.stop()
    assert ref.status().handled == 4  # the stop itself is no message


@pytest.mark.parametrize("large", [False, True])
def test_the_mailbox_is_counted_in_messages_whatever_their_size(system, gate, large):
    ref = system.spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    inbox = system.inbox()
    for number in range(1, 51):
        ref.tell(Sleeper.sleep, "x" * (100_000 if large else 10))  # never handled: it is killed
        inbox.ref.tell(number)
        assert ref.status().mailbox == number
        assert inbox.ref.status().mailbox == number
    assert inbox.receive() == 1
    assert inbox.ref.status().mailbox == 49
    ref.kill()
    assert ref.status().mailbox == 0


def test_an_actor_that_never_was_is_unknown(system):
    from procactors import ActorRef, Overflow

    ref = system.spawn(Echo)
    stranger = ActorRef(ref._runtime_dir, 999, "stranger", Overflow.BLOCK)
    with pytest.raises(ActorStopped, match="nothing is known of"):
        stranger.status()
    assert not stranger.is_alive()
    with pytest.raises(ActorStopped):
        stranger.stop()
    with pytest.raises(ActorStopped):
        stranger.tell(Echo.echo, 1)


def test_looking_at_an_inbox_does_not_disturb_its_reader(system):
    """Every message is received once, in order, while somebody looks all the time."""
    import threading

    inbox = system.inbox()
    done = threading.Event()

    def look():
        while not done.is_set():
            inbox.ref.status()

    looker = threading.Thread(target=look)
    looker.start()
    for number in range(500):
        inbox.ref.tell(number)
    assert [inbox.receive(timeout=20.0) for _ in range(500)] == list(range(500))
    done.set()
    looker.join()
