"""Bank transaction: a teller orders transfers between accounts, each of which is an actor.

Measures: messages that lead to messages, between all pairs.
How: an account that is told to transfer takes the amount off and tells the other to add it. An ask
is answered behind all that came before it: so once each account has answered, all transfers are on
their way, and the second answer has the balances. Beside it, a `SimpleQueue` a process.
Never: money that comes from nowhere: the sum of the balances is checked.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.findings import Findings
from benchmarks.rounds import Effort, Round
from benchmarks.savina.bare import SimpleQueue, processes
from benchmarks.savina.contest import check, contest, run
from procactors import Actor, ActorRef, ActorSystem

ACCOUNTS, TRANSFERS, BALANCE = 8, 3_000, 1_000_000


class Account(Actor):
    """Holds a balance."""

    def __init__(self) -> None:
        self.balance = BALANCE

    def transfer(self, amount: int, to: ActorRef[Account]) -> None:
        """Move an amount to another account."""
        self.balance -= amount
        to.tell(Account.deposit, amount)

    def deposit(self, amount: int) -> None:
        """Take an amount in."""
        self.balance += amount

    def look(self) -> int:
        """Answer the balance."""
        return self.balance


def transfers(count: int) -> list[tuple[int, int, int]]:
    """Answer (from, to, amount) by chance, the same in each run."""
    chance = random.Random(1)
    pairs = (chance.sample(range(ACCOUNTS), 2) for _ in range(count))
    return [(one, other, chance.randint(1, 100)) for one, other in pairs]


def balances(orders: list[tuple[int, int, int]], before: list[int]) -> list[int]:
    """Answer the balances behind all transfers."""
    after = list(before)
    for one, other, amount in orders:
        after[one] -= amount
        after[other] += amount
    return after


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Transfer between actors."""
    orders = transfers(effort.of(TRANSFERS))
    with ActorSystem() as system:
        accounts = [system.spawn(Account) for _ in range(ACCOUNTS)]

        def trade() -> None:
            before = [account.ask(Account.look) for account in accounts]
            for one, other, amount in orders:
                accounts[one].tell(Account.transfer, amount, accounts[other])
            for account in accounts:
                account.ask(Account.look)
            after = [account.ask(Account.look) for account in accounts]
            check(after, balances(orders, before))

        yield partial(run, trade)


def _account(pipe: Connection, number: int, queues: list[Any], home: Any) -> None:
    balance = BALANCE
    while (message := queues[number].get()) is not None:
        amount, to = message
        if to == _LOOK:
            home.put((number, balance))
        elif to == _DEPOSIT:
            balance += amount
        else:
            balance -= amount
            queues[to].put((amount, _DEPOSIT))


_LOOK, _DEPOSIT = -1, -2


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Transfer between processes."""
    orders = transfers(effort.of(TRANSFERS))
    queues, home = [SimpleQueue() for _ in range(ACCOUNTS)], SimpleQueue()

    def look() -> list[int]:
        for queue in queues:
            queue.put((0, _LOOK))
        return [balance for _, balance in sorted(home.get() for _ in queues)]

    with processes(ACCOUNTS, _account, queues, home):

        def trade() -> None:
            before = look()
            for one, other, amount in orders:
                queues[one].put((amount, other))
            look()
            check(look(), balances(orders, before))

        try:
            yield partial(run, trade)
        finally:
            for queue in queues:
                queue.put(None)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("bank transaction", actors, bare, effort)
