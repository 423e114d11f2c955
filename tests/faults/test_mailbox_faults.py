"""The mailbox under faults: cases 1 to 11 of the acceptance list."""

from __future__ import annotations

import os
import queue
import random
import signal
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from procactors import Actor, ActorRef, errors
from procactors.wire.mailbox.queue import Mailbox
from tests.support.actors import Counter, Echo, Recorder, Relay, Sleeper, recorded
from tests.support.copies import forked
from tests.support.faults import BreaksWhenPickled
from tests.support.gates import Gate
from tests.support.waiting import CLOCK_TOLERANCE_S, SHORT_S, eventually

#: More deaths in a test than any policy would allow in so short a time.
OFTEN = {"max_restarts": 100_000}


class Flood(Actor):
    """Sends numbered messages to another actor."""

    def __init__(self, target: ActorRef[Any], sender: int) -> None:
        self.target = target
        self.sender = sender

    def send(self, count: int, size: int = 0) -> None:
        for number in range(count):
            self.target.tell(Ledger.note, self.sender, number, bytes([number % 251]) * size)

    def send_for_ever(self, gate: Gate, size: int) -> None:
        gate.wait()
        number = 0
        while True:
            self.target.tell(Ledger.note, self.sender, number, b"x" * size)
            number += 1

    def pid(self) -> int:
        return os.getpid()


class Ledger(Recorder):
    """Writes down who sent which number, after a look at what came with it."""

    def note(self, sender: int, number: int, body: bytes = b"") -> None:
        intact = body == body[:1] * len(body)
        self.record(1_000_000 * sender + number if intact else -1)

    def wait(self, gate: Gate) -> None:
        gate.wait()

    def pid(self) -> int:
        return os.getpid()


def test_an_idle_actor_that_is_killed_answers_the_next_ask(system):
    """Case 1 of the acceptance list, fifty rounds."""
    echo = system.options(**OFTEN).spawn(Echo)
    for number in range(50):
        os.kill(echo.ask(Echo.pid), signal.SIGKILL)
        assert echo.options(timeout=SHORT_S).ask(Echo.echo, number) == number
    assert echo.ask(Echo.incarnation) == 51


def test_a_busy_actor_that_is_killed_loses_at_most_the_message_in_hand(system, tmp_path, seed):
    """Case 2 of the acceptance list."""
    chance = random.Random(seed)
    ledger = system.options(**OFTEN).spawn(Ledger, tmp_path / "log")
    killed = set()
    for number in range(10_000):
        ledger.tell(Ledger.note, 0, number)
        if number % 500 == 499:
            eventually(lambda: len(recorded(tmp_path / "log")) > chance.randrange(400), "a start")
            pid = eventually(lambda: ledger.status().pid, "a process")
            with suppress(ProcessLookupError):  # the last victim, not yet replaced
                os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    eventually(lambda: ledger.status().pid not in killed | {None}, "the last respawn")
    ledger.stop(SHORT_S)
    numbers = recorded(tmp_path / "log")
    assert all(earlier < later for earlier, later in pairwise(numbers))
    missing = set(range(10_000)) - set(numbers)
    assert len(missing) <= len(killed)
    kept = {letter.message[0][1] for letter in system.dead_letters}
    assert missing <= kept, "what was not handled is reported"


def test_a_sender_killed_in_mid_burst_harms_no_other(system, gate, tmp_path):
    """Case 3 of the acceptance list."""
    ledger = system.spawn(Ledger, tmp_path / "log")
    victim, *others = (system.options(**OFTEN).spawn(Flood, ledger, i) for i in range(3))
    victim.tell(Flood.send_for_ever, gate, 300)
    pid = gate.arrival()
    replies = [other.submit(Flood.send, 3_000, 100) for other in others]
    gate.let_pass()
    eventually(lambda: any(n < 1_000_000 for n in recorded(tmp_path / "log")), "the victim's")
    os.kill(pid, signal.SIGKILL)
    for reply in replies:
        reply.result()
    for other in others:
        other.stop(SHORT_S)  # what waits in their processes is written on their way out
    ledger.stop(SHORT_S)
    numbers = recorded(tmp_path / "log")
    for sender in (1, 2):
        first = 1_000_000 * sender
        mine = [n for n in numbers if first <= n < first + 1_000_000]
        assert mine == list(range(first, first + 3_000))
    of_victim = [n for n in numbers if n < 1_000_000]
    assert of_victim == list(range(len(of_victim))), "whole, in order, none garbled"


def test_a_sender_of_large_messages_killed_at_random_leaves_the_actor_well(
    system, tmp_path, gate, seed
):
    """Case 4 of the acceptance list, in small; the stress tests do it five hundred times."""
    chance = random.Random(seed)
    ledger = system.spawn(Ledger, tmp_path / "log")
    flood = system.options(**OFTEN).spawn(Flood, ledger, 0)
    gate.open()
    before = 0
    for _ in range(10):
        flood.tell(Flood.send_for_ever, gate, 1_000_000)
        wanted = before + chance.randrange(1, 6)
        eventually(lambda: len(recorded(tmp_path / "log")) >= wanted, "some to arrive")  # noqa: B023
        os.kill(eventually(lambda: flood.status().pid, "its pid"), signal.SIGKILL)
        assert ledger.options(timeout=SHORT_S).ask(Ledger.pid) > 0
        before = len(recorded(tmp_path / "log"))
        eventually(lambda: flood.status().state == "idle", "the respawn")
    assert -1 not in recorded(tmp_path / "log")


class Heavy(Actor):
    def size(self, body: bytes) -> int:
        return len(body)

    def pid(self) -> int:
        return os.getpid()


def test_an_actor_killed_while_it_receives_much_leaves_the_next_message_intact(system, seed):
    """Case 5 of the acceptance list."""
    chance = random.Random(seed)
    heavy = system.options(**OFTEN).spawn(Heavy)
    body = b"x" * 50_000_000
    for _ in range(4):
        pid = heavy.ask(Heavy.pid)
        replies = [heavy.submit(Heavy.size, body) for _ in range(2)]
        timer = threading.Timer(chance.uniform(0, 0.03), os.kill, (pid, signal.SIGKILL))
        timer.start()
        outcomes = []
        for reply in replies:
            try:
                outcomes.append(reply.result())
            except errors.ActorDied:
                outcomes.append(None)
        timer.join()
        assert outcomes.count(None) <= 1
        assert set(outcomes) <= {None, len(body)}
        assert heavy.ask(Heavy.size, b"small") == 5


def take_a_place(mailbox: Any, gate: Gate) -> None:
    mailbox._writing()._tokens.take(None, lambda: None, lambda: None)
    gate.wait()


def test_places_of_killed_producers_come_back(gate):
    """Case 6 of the acceptance list: killed between the place and the write, all twenty."""
    mailbox = Mailbox(16)
    for _ in range(4):
        for _ in [forked(take_a_place, mailbox, gate) for _ in range(5)]:
            pid = gate.arrival()  # in whichever order they come
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        with pytest.raises(queue.Empty):  # a reader that finds nothing puts things right
            mailbox.get(timeout=0.3)
    for number in range(16):
        mailbox.put_nowait(number)
    assert mailbox.full()
    assert [mailbox.get() for _ in range(16)] == list(range(16))


def test_a_put_into_a_full_mailbox_waits_its_time_and_sends_nothing(system, gate):
    """Case 7 of the acceptance list."""
    sleeper = system.options(mailbox=3).spawn(Sleeper)
    sleeper.tell(Sleeper.sleep, gate)
    gate.arrival()
    for _ in range(2):
        sleeper.tell(Sleeper.pid)
    bytes_before = sleeper.status().mailbox
    for body in (b"", b"x" * 100_000):
        began = time.monotonic()
        with pytest.raises(errors.MailboxFull):
            sleeper.options(timeout=0.2).tell(Sleeper.sleep, body)
        assert time.monotonic() - began >= 0.2 - CLOCK_TOLERANCE_S
    assert sleeper.status().mailbox == bytes_before
    gate.open()
    assert sleeper.ask(Sleeper.pid) > 0


def test_an_argument_that_cannot_be_pickled_raises_in_the_sender(system):
    """Case 8 of the acceptance list."""
    echo = system.spawn(Echo)
    relay = system.spawn(Relay, echo)
    value = BreaksWhenPickled("exception")
    for send in (echo.tell, echo.ask, echo.submit):
        with pytest.raises(errors.EncodeError, match=r"Fault: on purpose"):
            send(Echo.echo, [threading.Lock(), value][1])
    with pytest.raises(errors.EncodeError):
        relay.ask(Relay.ask, Echo.echo, value)
    assert echo.ask(Echo.echo, 1) == 1
    eventually(lambda: echo.status().handled == 1, "the one message that was sent")
    assert echo.status().incarnation == 1


def test_a_list_changed_by_its_sender_arrives_as_it_was_sent(system, gate):
    """Case 9 of the acceptance list."""
    inbox = system.inbox()
    relay = system.spawn(Relay, inbox.ref)
    values = [[0], list(range(5_000))]
    for value in values:
        relay.tell(Relay.tell, value)
        value.clear()
    assert inbox.receive() == [0]
    assert inbox.receive() == list(range(5_000))


class Leaver(Actor):
    def tell_and_leave(self, targets: list[ActorRef[Any]]) -> None:
        for target in targets:
            for _ in range(2_000):
                try:
                    target.tell(Counter.increment)
                except errors.ActorStopped:
                    break
        self.context.stop()


def test_a_process_that_has_sent_to_a_dead_actor_ends_normally(system, gate):
    """Case 10 of the acceptance list: also when what it sent still waits in it."""
    stopped, held = system.spawn(Counter), system.spawn(Sleeper)
    stopped.stop()
    held.tell(Sleeper.sleep, gate)
    gate.arrival()
    leaver = system.spawn(Leaver)
    leaver.tell(Leaver.tell_and_leave, [stopped, held])
    eventually(lambda: held.status().mailbox > 0, "the flood")
    held.kill()
    assert leaver.wait(SHORT_S).kind.value == "normal"


def test_a_handler_that_tells_a_busy_actor_much_does_not_deadlock(system, gate, tmp_path):
    """Case 11 of the acceptance list."""
    ledger = system.spawn(Ledger, tmp_path / "log")
    ledger.tell(Ledger.wait, gate)
    gate.arrival()
    flood = system.spawn(Flood, ledger, 0)
    assert flood.ask(Flood.send, 20_000) is None
    assert not Path(tmp_path / "log").exists()
    gate.open()
    flood.stop(SHORT_S)
    ledger.stop(SHORT_S)
    assert recorded(tmp_path / "log") == list(range(20_000))
