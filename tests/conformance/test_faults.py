"""Faults come exactly where they are ordered, on every backend, and end with their block."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import pytest

from procactors import Actor, Delivery, ExitKind
from procactors.errors import ActorDied, ActorStopped, AskTimeout, DeliveryError, InvalidSpec
from procactors.testing import Done, Faults
from procactors.wire.runtime_dir import sweep
from tests.conformance.conftest import World


class Account:
    def __init__(self) -> None:
        self.seen: list[int] = []

    def deposit(self, amount: int, filling: bytes = b"") -> int:
        self.seen.append(amount)
        return amount

    def all(self) -> list[int]:
        return self.seen


class Door(Actor):
    def __init__(self) -> None:
        self.is_open = True
        self.replies: list[Any] = []

    def enter(self) -> None:
        if not self.is_open:
            self.replies.append(self.context.reply_later())

    def open(self) -> None:
        for reply in self.replies:
            reply.send(None)

    def shut(self) -> None:
        self.is_open = False

    def waiting(self) -> int:
        return len(self.replies)


class Guest:
    """Comes up when the door lets it."""

    def __init__(self, door: Any) -> None:
        door.ask(Door.enter)

    def greet(self) -> str:
        return "hello"


class Patient:
    async def wait(self) -> None:
        pass


def deposits(account: Any, amounts: list[int]) -> list[Any]:
    """Return what comes of depositing each."""
    return [error_of(account, amount) or amount for amount in amounts]


def error_of(account: Any, *arguments: Any) -> Any:
    try:
        account.ask(Account.deposit, *arguments)
    except Exception as error:
        return error


@pytest.mark.parametrize("when", ["taken", "handled", "answered"])
def test_a_kill_comes_with_the_message_in_hand(world, when):
    once, often = (
        world.system.options(delivery=delivery).spawn(Account)
        for delivery in (Delivery.AT_MOST_ONCE, Delivery.AT_LEAST_ONCE)
    )
    with Faults(world.system) as faults:
        faults.kill_on(once, 2, method=Account.deposit, when=when)
        faults.kill_on(often, 2, method=Account.deposit, when=when)
        one, two, three = deposits(once, [1, 2, 3])
        assert (one, three) == (1, 3)
        if when == "answered":
            assert two == 2
        else:
            assert isinstance(two, ActorDied)
            assert two.report.reason.kind is ExitKind.SIGNAL
            assert two.report.handler == "Account.deposit"
        assert once.ask(Account.all) == [3]
        assert deposits(often, [1, 2, 3]) == [1, 2, 3]
        assert often.ask(Account.all) == [2, 3]
        assert faults.done == [
            Done("kill", ref.name, 1, "Account.deposit", 2) for ref in (once, often)
        ]
    assert once.status().incarnation == often.status().incarnation == 2


def test_a_message_kills_as_often_as_it_is_to(world):
    account = world.system.options(delivery=Delivery.AT_LEAST_ONCE).spawn(Account)
    with Faults(world.system) as faults:
        faults.kill_on(account, times=2)
        assert deposits(account, [1, 2]) == [1, 2]
        assert [done.incarnation for done in faults.done] == [1, 2]
    assert account.status().incarnation == 3


@pytest.mark.sample
def test_messages_are_dropped_and_that_is_told(world):
    account = world.system.spawn(Account)
    with Faults(world.system) as faults:
        faults.drop(account, [1, 3], method="deposit")
        for amount in range(4):
            account.tell(Account.deposit, amount)
        assert account.ask(Account.all) == [1, 3]
        faults.drop(account, method=Account.deposit)
        with pytest.raises(DeliveryError, match="a fault of the test"):
            account.ask(Account.deposit, 4)
        with pytest.raises(AskTimeout):
            account.options(timeout=0.05).ask(Account.deposit, 5)
        assert [done.message for done in faults.done] == [1, 3, 1, 2]
    letters = world.system.dead_letters
    world.eventually(lambda: len(letters) == 2, "the letters")
    assert [letter.message[0] for letter in letters] == [(0,), (2,)]
    assert account.ask(Account.deposit, 6) == 6


def test_messages_are_handled_twice(world):
    account = world.system.spawn(Account)
    with Faults(world.system) as faults:
        faults.duplicate(account, [1, 2], method=Account.deposit)
        account.tell(Account.deposit, 1)
        assert account.ask(Account.deposit, 2, bytes(1_000_000)) == 2
        assert account.ask(Account.deposit, 3) == 3
        assert account.ask(Account.all) == [1, 1, 2, 2, 3]
        assert [(done.what, done.message) for done in faults.done] == [
            ("duplicate", 1),
            ("duplicate", 2),
        ]
    assert account.status().mailbox == 0


def test_a_message_that_is_held_up_is_not_in_hand(world):
    account = world.system.spawn(Account)
    with Faults(world.system) as faults:
        faults.delay(account, 30.0, 2)
        replies = [account.submit(Account.deposit, amount) for amount in range(3)]
        world.eventually(lambda: faults.done, "the delay")
        world.eventually(lambda: not account.status().in_hand, "nothing in hand")
        assert account.status().mailbox == 2
        assert replies[0].result() == 0
        if world.backend == "inline":
            before = world.system.clock.now
            assert replies[1].result() == 1
            assert world.system.clock.now - before > 29
    # Elsewhere the end of the block ends the delay.
    assert [reply.result() for reply in replies] == [0, 1, 2]
    assert faults.done == [Done("delay", account.name, 1, "Account.deposit", 2)]


def test_behind_its_block_there_is_no_fault(world):
    account = world.system.spawn(Account)
    with Faults(world.system) as faults:
        faults.delay(account, 60.0)
        reply = account.submit(Account.deposit, 1)
        world.eventually(lambda: faults.done, "the delay")
        folder = faults._folder
    assert not os.path.exists(folder)
    assert reply.result(30.0) == 1
    with pytest.raises(InvalidSpec, match="over"):
        faults.drop(account)
    world.crash(account)
    world.eventually(lambda: account.status().state == "idle", "the next life")
    assert account.ask(Account.deposit, 2) == 2
    assert [done.what for done in faults.done] == ["delay"]


def test_no_system_that_starts_takes_its_folder_for_a_leftover(world, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    account = world.system.spawn(Account)
    with Faults(world.system) as faults:
        faults.drop(account, message=1)
        os.utime(faults._folder, (0, 0))  # no newborn any more
        assert sweep(tmp_path) == []
        account.tell(Account.deposit, 1)
        assert account.ask(Account.all) == []
    assert not os.listdir(tmp_path)


def test_a_life_that_comes_up_while_the_faults_end_has_none(world):
    door = world.system.spawn(Door)
    guest = world.system.spawn(Guest, door)
    door.ask(Door.shut)
    with Faults(world.system) as faults:
        faults.kill_on(guest)
        with pytest.raises(ActorDied):
            guest.ask(Guest.greet)
        world.eventually(lambda: door.ask(Door.waiting) == 1, "the next life")
    door.ask(Door.open)
    assert guest.ask(Guest.greet) == "hello"
    assert guest.status().incarnation == 2


def test_an_order_that_makes_no_sense_is_refused(world):
    account = world.system.spawn(Account)
    with Faults(world.system) as faults:
        for refused in (
            lambda: faults.kill_on(account, 0),
            lambda: faults.kill_on(account, []),
            lambda: faults.kill_on(account, when="soon"),
            lambda: faults.drop(Account),
            lambda: faults.drop(world.system.inbox().ref),
            lambda: faults.drop(account, method=3),
            lambda: faults.delay(account, -1.0),
        ):
            with pytest.raises(InvalidSpec):
                refused()
        account.stop()
        with pytest.raises(ActorStopped):
            faults.drop(account)
        assert faults.done == []


def test_what_needs_one_message_at_a_time_says_so(world: World) -> None:
    many = world.system.options(max_concurrency=2).spawn(Patient)
    with Faults(world.system) as faults, pytest.raises(InvalidSpec, match="max_concurrency=1"):
        faults.duplicate(many)
