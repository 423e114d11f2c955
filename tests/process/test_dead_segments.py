"""Segments of dead processes: what was sent arrives, what was only reserved goes.

A segment is written for an actor before the message that names it is sent. The supervisor cannot
know whether that message is on its way: so it puts a fence behind it, and the actor that reads the
fence lets the rest go.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from procactors import Actor, ActorRef, ActorSystem, Delivery, Recycle
from procactors.errors import ActorDied
from procactors.wire.endpoint import SUPERVISOR
from procactors.wire.payload_store import store_of
from procactors.wire.shm.segments import Received
from tests.support.actors import Echo, Recorder, Sleeper, recorded
from tests.support.gates import Gate
from tests.support.segments import all_segments, in_use
from tests.support.waiting import bytes_waiting, eventually

LARGE = bytes(10_000)
OFTEN = {"max_restarts": 100_000}


class Mortal(Actor):
    """Dies between the writing of a payload and the sending of its message; or behind that."""

    def reserve(self, target: int, count: int = 1) -> None:
        store = store_of(self.context.ref._runtime_dir)
        for _ in range(count):
            store.store(store.encode(LARGE), target)
        os.kill(os.getpid(), signal.SIGKILL)

    def send_and_reserve(self, target: ActorRef[Any], numbers: list[int]) -> None:
        for number in numbers:
            target.tell(Large.take, number, LARGE)
        self.reserve(target._actor)

    def tell_and_reserve(self, inbox: ActorRef[Any]) -> None:
        inbox.tell(LARGE)
        self.reserve(inbox._actor)

    def make(self, size: int) -> bytes:
        return bytes(size)

    def leave(self) -> bytes:
        self.context.stop()
        return LARGE

    def die_behind(self, body: bytes) -> int:
        """Die behind the last store of this message, before its payload is let go."""
        Received.consume = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        return len(body)


class Large(Recorder):
    """Notes the numbers of large messages that came whole."""

    def take(self, number: int, body: bytes) -> None:
        self.record(number if body == LARGE else -1)

    def wait(self, gate: Gate) -> None:
        gate.wait()


@pytest.fixture
def mortal(system):
    return system.options(**OFTEN).spawn(Mortal)


def die(mortal: ActorRef[Mortal], target: int, count: int = 1) -> None:
    """Have it reserve and die; its caller is told, and the fence sent."""
    with pytest.raises(ActorDied):
        mortal.ask(Mortal.reserve, target, count)
    mortal.status()  # a command is taken behind all that the death brings


def reborn(system: ActorSystem, ref: ActorRef[Any]) -> None:
    """Wait for the next life, and for what follows the report of the last one: the fence."""
    eventually(lambda: ref.status().incarnation == 2, "the next life")
    lifecycle = system._supervisor.supervision.lifecycle
    eventually(lambda: not lifecycle._peaks, "the report of the death")
    ref.status()  # as above


def runtime_dir(system: ActorSystem) -> str:
    return system._endpoint.path


def nothing_in_use(system: ActorSystem) -> None:
    eventually(lambda: not in_use(runtime_dir(system)), "what the dead had reserved to go")


# -- what was reserved -----------------------------------------------------------------------------


def test_what_was_reserved_for_an_actor_goes(system, mortal):
    """It is idle: the fence alone wakes it. So does a worker of a pool."""
    idle = system.spawn(Echo)
    die(mortal, idle._actor, 3)
    nothing_in_use(system)
    with system.options(size=1).pool(Echo) as pool:
        die(mortal, pool.workers()[0]._actor)
        nothing_in_use(system)
    assert all_segments(runtime_dir(system)) == []
    assert idle.ask(Echo.echo, LARGE) == LARGE


@pytest.mark.parametrize("mailbox", [None, 8], ids=["unbounded", "bounded"])
def test_what_was_sent_before_the_death_arrives_whole(system, mortal, gate, tmp_path, mailbox):
    """A fence comes behind it, whatever waits there, and whoever reads it: the next life, too."""
    large = system.options(mailbox=mailbox, **OFTEN).spawn(Large, tmp_path / "log")
    large.tell(Large.wait, gate)
    pid = gate.arrival()
    mortal.tell(Mortal.send_and_reserve, large, [1, 2, 3])
    reborn(system, mortal)
    assert len(in_use(runtime_dir(system))) == 4
    os.kill(pid, signal.SIGKILL)
    nothing_in_use(system)
    assert recorded(tmp_path / "log") == [1, 2, 3]


def test_what_was_reserved_for_an_inbox_goes_and_what_was_told_to_it_stays(system, mortal):
    inbox = system.inbox()
    mortal.tell(Mortal.tell_and_reserve, inbox.ref)
    reborn(system, mortal)
    assert len(in_use(runtime_dir(system))) == 2
    assert inbox.receive() == LARGE
    inbox.ref.tell("behind the fence")
    assert inbox.receive() == "behind the fence"
    nothing_in_use(system)


def test_what_was_reserved_for_the_supervisor_goes(system, mortal):
    """What an actor commands may be large, too."""
    die(mortal, SUPERVISOR)
    nothing_in_use(system)


def test_what_was_reserved_as_an_answer_goes(system, mortal):
    echo = system.spawn(Echo)
    echo.ask(Echo.echo, 1)
    (port,) = system._endpoint._ports
    die(mortal, port.number)
    for number in range(3):  # it lies in the port, until somebody waits there again
        assert echo.ask(Echo.echo, number) == number
    nothing_in_use(system)
    die(mortal, system._endpoint.reply_number)  # where a thread reads all the time
    nothing_in_use(system)


def test_what_was_reserved_for_somebody_who_is_gone_goes_at_once(system, mortal):
    other = system.spawn(Echo)
    other.ask(Echo.echo, 1)
    other.stop()
    port = system._endpoint._ports.pop()
    port.retire()
    for target in (other._actor, 9999, port.number):
        die(mortal, target)
        nothing_in_use(system)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_fence_that_an_actor_does_not_come_to_is_heeded_at_its_end(system, mortal, gate, end):
    """It is still in the pipe when that is closed for good."""
    sleeper = system.spawn(Sleeper)
    sleeper.tell(Sleeper.sleep, gate)
    gate.arrival()
    before = bytes_waiting(sleeper)
    die(mortal, sleeper._actor, 2)
    eventually(lambda: bytes_waiting(sleeper) > before, "the fence")
    assert len(in_use(runtime_dir(system))) == 2
    sleeper.stop(timeout=0) if end == "stop" else sleeper.kill()
    nothing_in_use(system)


# -- what was sent ---------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["kill", "SIGKILL", "stop", "recycling"])
def test_a_result_that_nobody_has_looked_at_outlives_its_actor(system, end):
    options = {"recycle_after": Recycle(messages=2)} if end == "recycling" else OFTEN
    actor = system.options(**options).spawn(Mortal)
    replies = [actor.submit(Mortal.make, size) for size in (10_000, 2_000_000)]
    eventually(lambda: all(reply.done() for reply in replies), "the results")
    if end == "SIGKILL":
        os.kill(actor.status().pid, signal.SIGKILL)
    elif end != "recycling":
        getattr(actor, end)()
    if end in ("SIGKILL", "recycling"):
        reborn(system, actor)
    # Behind the fence, on the same way.
    assert system.spawn(Echo).submit(Echo.echo, 1).result() == 1
    assert [len(reply.result()) for reply in replies] == [10_000, 2_000_000]
    assert in_use(runtime_dir(system)) == []


def test_the_last_result_of_an_actor_that_leaves_arrives(system):
    """Its fence may be found along with it."""
    for _ in range(5):
        assert system.spawn(Mortal).ask(Mortal.leave) == LARGE
    replies = [system.spawn(Mortal).submit(Mortal.leave) for _ in range(5)]
    assert [reply.result() for reply in replies] == [LARGE] * 5
    nothing_in_use(system)


@pytest.mark.parametrize("delivery", list(Delivery), ids=lambda mode: mode.value)
def test_the_payload_of_a_message_that_was_handled_is_let_go_for_the_dead(system, delivery):
    """Killed between its last store and the letting go."""
    told, asked, submitted = (
        system.options(delivery=delivery, **OFTEN).spawn(Mortal) for _ in range(3)
    )
    told.tell(Mortal.die_behind, LARGE)
    assert asked.ask(Mortal.die_behind, LARGE) == len(LARGE)
    assert submitted.submit(Mortal.die_behind, LARGE).result() == len(LARGE)
    for ref in (told, asked, submitted):
        reborn(system, ref)
    nothing_in_use(system)
    assert len(system.dead_letters) == 0
    for ref in (told, asked, submitted):
        assert ref.ask(Mortal.make, 1) == b"\0"
        assert ref.status().incarnation == 2, "it was handled once"
