"""A run of any backend is recorded, and played again inline: alike, or it says what differs."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import signal
from contextlib import suppress
from typing import Any

import pytest

from procactors import Actor, ActorSystem, Delivery, Strategy, Supervisor, Terminated, spec
from procactors.errors import InvalidSpec
from procactors.testing import Difference, Faults, NotReplayable, probe, record, replay
from procactors.wire import run_file
from procactors.wire.run_file import read_run
from tests.conformance.conftest import World
from tests.support.programs import running

#: What the actors do otherwise, when a run is played again: in this process.
otherwise = ""


class Account(Actor):
    def __init__(self, total: int = 0) -> None:
        self.total = total
        self.chance = random.Random(self.context.seed)

    def deposit(self, amount: int) -> int:
        self.total += amount
        if otherwise == "deposit" and amount == 4:
            self.total += 1
        return self.total

    def draw(self) -> float:
        return self.chance.random()

    def load(self, data: bytes) -> int:
        return sum(data[:10])

    def fail(self, why: str) -> None:
        if otherwise == "live":
            return
        raise IndexError(why) if otherwise == "fail" else KeyError(why)


class Teller(Actor):
    """Asks in `on_start`, spawns, watches, has a timer."""

    def __init__(self, account: Any, report: Any) -> None:
        self.account, self.report = account, report
        self.ticks = 0

    def on_start(self) -> None:
        self.account.ask(Account.deposit, 1)
        if otherwise != "spawn":
            self.own = self.context.spawn(Account, 100)
            self.context.watch(self.own)

    def move(self, amount: int) -> list[int]:
        if otherwise == "move":
            return []
        if otherwise == "amount":
            amount *= 2
        return [self.account.ask(Account.deposit, amount), self.own.ask(Account.deposit, -amount)]

    def close(self) -> Any:
        self.own.tell(Account.deposit, 5)
        self.own.stop()
        return self.own

    def on_terminated(self, event: Terminated) -> None:
        self.report.tell(event.ref.name)

    def tick_soon(self) -> None:
        self.context.after(0.001, Teller.tick)

    def tick(self) -> None:
        self.account.tell(Account.deposit, 1000)
        self.report.tell("ticked")


class Desk(Actor):
    """Answers later, puts aside, passes on, and hears of topics."""

    def __init__(self, other: Any = None) -> None:
        self.other = other
        self.noted: list[Any] = []
        self.is_open = False

    def note(self, what: Any) -> Any:
        if self.other is not None:
            return self.context.forward(self.other)
        self.noted.append(what)
        return len(self.noted)

    def later(self) -> None:
        self.reply = self.context.reply_later()

    def now(self, value: int) -> None:
        self.reply.send(value)

    def when_open(self, what: Any) -> Any:
        if not self.is_open:
            self.context.stash()
        return what

    def open(self) -> None:
        self.is_open = True
        self.context.unstash_all()

    def join(self, topic: str) -> None:
        self.context.system.topic(topic).subscribe(self.context.ref, Desk.note)

    def tell_many(self, count: int) -> None:
        self.other.tell_many(Desk.note, [(number,) for number in range(count)])

    def fail(self) -> None:
        raise KeyError("told")


class Awaiting(Actor):
    def __init__(self, account: Any) -> None:
        self.account = account

    async def move(self, amount: int) -> int:
        await asyncio.sleep(0.001)
        return await self.account.aio.ask(Account.deposit, amount)


@pytest.fixture
def file(tmp_path: Any) -> Any:
    return tmp_path / "run"


def run(world: World, file: Any) -> int:
    """Run a program and record it; return how many messages were begun."""
    system = world.system
    with record(system, file):
        receiver = probe(system)
        account = system.options(delivery=Delivery.AT_LEAST_ONCE).spawn(Account)
        teller = system.spawn(Teller, account, receiver.ref)
        assert teller.ask(Teller.move, 3) == [4, 97]
        account.ask(Account.load, bytes(range(200)) * 5_000)
        account.ask(Account.draw)
        with suppress(KeyError):
            account.ask(Account.fail, "asked")
        account.tell(Account.fail, "told")
        with Faults(system) as faults:
            faults.kill_on(account, 2)
            assert teller.ask(Teller.move, 10) == [10, 87]
            assert teller.ask(Teller.move, 7) == [7, 80]
        world.crash(account)
        account.ask(Account.draw)
        teller.ask(Teller.tick_soon)
        receiver.expect("ticked", within=30.0)
        account.ask(Account.deposit, 1)
        closed = teller.ask(Teller.close)
        receiver.expect(closed.name, within=30.0)
        teller.stop()
    return sum(entry[0] == "begin" for entry in read_run(file))


@pytest.mark.sample
def test_a_run_is_played_again(world, file):
    begun = run(world, file)
    played = replay(file)
    assert played.messages == begun >= 17
    # The account had four lives: it raised, was killed in a message and while it was idle.
    assert played.lives == 6
    assert played.left == ()
    assert replay(file, seed=9) == played


def test_what_differs_first_is_told(world, file, monkeypatch):
    system = world.system
    with record(system, file):
        account = system.spawn(Account, 5)
        teller = system.spawn(Teller, account, probe(system).ref)
        teller.ask(Teller.move, 3)
        account.ask(Account.deposit, 4)
        with suppress(KeyError):
            account.ask(Account.fail, "why")
        account.tell(Account.fail, "told")
        account.ask(Account.deposit, 1)
    replay(file)

    def difference(what: str) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(f"{__name__}.otherwise", what)
            with pytest.raises(Difference) as caught:
                replay(file)
        return str(caught.value)

    one, other = account.name, teller.name
    said = difference("deposit")
    assert said.startswith(f"at message 5: {one} answered 14, where it answered 13\nmessages up to")
    assert said.endswith(f"  {one}.Account.deposit from main")
    said = difference("fail")
    assert (
        f"{one} raised builtins.IndexError: why, where it raised builtins.KeyError: 'why'" in said
    )
    said = difference("amount")
    assert f"{one} gets Account.deposit((6,), {{}}) from {other}, where it got ((3,), {{}})" in said
    said = difference("move")
    assert f"{other} has not sent Account.deposit((3,), {{}}) to {one}; there waits: noth" in said
    said = difference("spawn")
    assert f"{other} has not spawned a Account, as it did" in said


def test_messages_that_take_another_way_are_played_too(world, file):
    """Through others, later, by a topic; and to actors that are started again with others."""
    system = world.system
    with record(system, file):
        tree = system.supervise(
            Supervisor(
                spec(Desk).options(name="one"),
                spec(Desk).options(name="two"),
                strategy=Strategy.ONE_FOR_ALL,
            )
        )
        system["two"].ask(Desk.note, 1)
        system["one"].tell(Desk.fail)
        world.eventually(lambda: system["two"].status().incarnation == 2, "the next lives")
        assert system["two"].ask(Desk.note, 2) == 1
        back = system.spawn(Desk)
        front = system.spawn(Desk, back)
        assert front.ask(Desk.note, "forwarded") == 1
        later, aside = back.submit(Desk.later), back.submit(Desk.when_open, "aside")
        back.ask(Desk.now, 42)
        back.ask(Desk.open)
        assert (later.result(), aside.result()) == (42, "aside")
        back.ask(Desk.join, "news")
        system.topic("news").publish("published")
        front.ask(Desk.tell_many, 5)
        assert back.ask(Desk.note, "last") == 8
        tree.stop()
    played = replay(file)
    assert (played.lives, played.left) == (6, ())


def test_a_message_that_kills_again_is_played_too(world, file):
    """Each time behind its answer: its next life has it in hand at once, and dies with it."""
    with record(world.system, file):
        account = world.system.options(delivery=Delivery.AT_LEAST_ONCE).spawn(Account)
        with Faults(world.system) as faults:
            faults.kill_on(account, when="answered", times=2)
            account.ask(Account.deposit, 5)
            assert account.ask(Account.deposit, 1) == 6
    played = replay(file)
    assert (played.messages, played.lives) == (4, 3)


def test_handlers_that_await_are_played_too(world, file):
    with record(world.system, file):
        account = world.system.spawn(Account)
        awaiting = world.system.spawn(Awaiting, account)
        with Faults(world.system) as faults:
            faults.kill_on(awaiting, 2)
            results = [awaiting.submit(Awaiting.move, amount) for amount in (1, 2, 3)]
            assert [reply.exception() is None for reply in results] == [True, False, True]
        assert results[2].result() == 4
    assert replay(file).messages == 5


def test_a_crash_that_does_not_come_is_a_difference(world, file, monkeypatch):
    with record(world.system, file):
        account = world.system.spawn(Account)
        account.tell(Account.fail, "told")
        account.ask(Account.deposit, 1)
    monkeypatch.setattr(f"{__name__}.otherwise", "live")
    with pytest.raises(Difference, match="lives, where it raised KeyError: 'told'"):
        replay(file)
    monkeypatch.undo()
    replay(file)


def test_a_recording_begins_before_the_first_actor(world, file):
    account = world.system.spawn(Account)
    with pytest.raises(InvalidSpec, match="before the first spawn"):
        record(world.system, file)
    account.stop()


def test_a_batch_of_a_pool_is_not_played_again(world, file):
    with record(world.system, file):
        with world.system.options(size=1).pool() as pool:
            assert list(pool.map(abs, [-1])) == [1]
    with pytest.raises(NotReplayable, match="a batch of a pool"):
        replay(file)


def test_what_was_begun_is_there_though_all_is_killed(file):
    """The program gets SIGKILL, and the last entry is cut: the rest can be played."""
    code = f"""
        import os, signal
        from procactors import ActorSystem
        from procactors.testing import record
        from tests.conformance.test_recordings import Account

        system = ActorSystem()
        record(system, {str(file)!r})
        account = system.spawn(Account)
        print(account.ask(Account.deposit, 2), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    with running(code) as program:
        assert program.end()[0] == -signal.SIGKILL
    with open(file, "r+b") as cut:
        cut.truncate(os.path.getsize(file) - 3)
    played = replay(file)
    assert (played.messages, played.lives) == (1, 1)


def test_an_actor_goes_on_where_its_recording_finds_no_room(file, monkeypatch, caplog):
    def no_room(path: str, entry: Any) -> None:
        raise OSError(errno.ENOSPC, "no room", path)

    with ActorSystem(backend="inline") as system, record(system, file):
        account = system.spawn(Account)
        with monkeypatch.context() as patch:
            patch.setattr(run_file, "append", no_room)
            assert [account.ask(Account.deposit, 1) for _ in range(3)] == [1, 2, 3]
    assert caplog.text.count("is not recorded any more") == 1
