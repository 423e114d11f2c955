"""Effectively once holds at each moment of each message: the actor is killed there, by order."""

from __future__ import annotations

import pytest

from procactors import ActorSystem, Checkpoint, Delivery
from procactors.testing import Faults

MESSAGES = 25


class Account:
    def __init__(self) -> None:
        self.total = 0

    def deposit(self, amount: int, filling: bytes = b"") -> int:
        self.total += amount
        return self.total

    def snapshot(self) -> int:
        return self.total

    def restore(self, total: int) -> None:
        self.total = total


@pytest.mark.parametrize("when", ["taken", "handled", "answered"])
def test_each_message_kills_once_and_counts_once(system: ActorSystem, when: str) -> None:
    account = system.options(
        delivery=Delivery.AT_LEAST_ONCE,
        checkpoint=Checkpoint(messages=1),
        max_restarts=10 * MESSAGES,
    ).spawn(Account)
    with Faults(system) as faults:
        faults.kill_on(account, range(1, MESSAGES + 1), when=when)
        expected = 0
        for number in range(1, MESSAGES + 1):
            # Every third one has a payload beside its record, and every other one no caller.
            filling = bytes(100_000) if number % 3 == 0 else b""
            expected += number
            if number % 2:
                assert account.ask(Account.deposit, number, filling) == expected
            else:
                account.tell(Account.deposit, number, filling)
        assert account.ask(Account.deposit, 0) == expected
        killed = [done.message for done in faults.done]
    assert killed == list(range(1, MESSAGES + 1))
    assert account.status().incarnation == MESSAGES + 1
