"""What type checkers make of the kit for users' tests; checked by mypy and pyright, never run."""

from __future__ import annotations

from typing import Any

from typing_extensions import assert_type

from procactors import ActorRef, ActorSystem, AsyncActorSystem, Terminated
from procactors.testing import (
    Counterexample,
    Difference,
    Done,
    Faults,
    NotReplayable,
    Probe,
    Recording,
    Replayed,
    eventually,
    explore,
    leaks,
    probe,
    record,
    replay,
)


class Account:
    def deposit(self, amount: int) -> int:
        return amount


def probes(system: ActorSystem, account: ActorRef[Account]) -> None:
    receiver = assert_type(probe(system), Probe)
    assert_type(receiver.expect(int), int)
    assert_type(receiver.expect("text", within=3.0), str)
    assert_type(receiver.expect(str, where=lambda text: text.startswith("a")), str)
    assert_type(receiver.expect_all(1, str), list[Any])
    assert_type(receiver.expect_terminated(account), Terminated)
    receiver.expect_nothing()
    receiver.nothing()  # type: ignore[attr-defined]
    assert_type(eventually(lambda: 3), int)


def faults(system: ActorSystem, other: AsyncActorSystem, account: ActorRef[Account]) -> None:
    with Faults(system) as ordered:
        ordered.kill_on(account, message=3, method=Account.deposit, when="handled")
        ordered.delay(account, 0.5)
        ordered.drop(account.aio, [1, 2])
        ordered.duplicate(account, method="deposit")
        ordered.kill_on(account, "first")  # type: ignore[arg-type]
        assert_type(ordered.done, list[Done])
    Faults(other).close()


def runs(system: ActorSystem) -> None:
    with record(system, "file") as recording:
        assert_type(recording, Recording)
    try:
        assert_type(replay("file").messages, int)
    except Difference as error:
        assert_type(error.history, list[str])
    except NotReplayable:
        pass
    assert_type(replay("file", seed=3), Replayed)


def orders(program: Any) -> None:
    try:
        assert_type(explore(program, seeds=[1, 2]), int)
    except Counterexample as error:
        assert_type(error.seed, int)
    leaks.check(leaks.look())
