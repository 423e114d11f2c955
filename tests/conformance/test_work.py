"""Pools and checkpoints, on each backend."""

from __future__ import annotations

import pytest

from procactors import Actor, Checkpoint, Delivery
from procactors.errors import ActorDied, ActorStopped, AskTimeout, ItemTimeout, PoolBroken
from tests.conformance.actors import Desk


def root(number):
    if number == 16:
        raise SystemExit(3)
    if number < 0:
        raise ValueError(f"{number} has none")
    return number**0.5


def pair(left, right):
    return left, right


class Adder:
    def __init__(self, base=0):
        self.base = base
        self.done = 0

    def add(self, number):
        self.done += 1
        return self.base + number

    def count(self):
        return self.done


@pytest.mark.sample
def test_a_map_gives_all_results_in_order(system):
    with system.options(size=3).pool() as pool:
        assert list(pool.map(root, [float(n * n) for n in range(50) if n != 4])) == [
            float(n) for n in range(50) if n != 4
        ]
        assert list(pool.starmap(pair, [(1, "a"), (2, "b")])) == [(1, "a"), (2, "b")]
        assert sorted(pool.map(root, [1, 4, 9], ordered=False)) == [1.0, 2.0, 3.0]


def test_large_items_and_results_travel(system):
    with system.options(size=2).pool() as pool:
        large = [bytes([number]) * 300_000 for number in range(4)]
        assert list(pool.map(pair_up, large)) == [(one, len(one)) for one in large]


def pair_up(data):
    return data, len(data)


@pytest.mark.sample
def test_an_item_that_fails_fails_alone(system):
    with system.options(size=2).pool() as pool:
        found = list(pool.map(root, [1, 16, -4, 9], on_error="collect"))
        assert found[0] == 1.0
        assert isinstance(found[1], ActorDied)
        assert isinstance(found[2], ValueError)
        assert found[3] == 3.0
        with pytest.raises(ValueError, match="-4 has none"):
            list(pool.map(root, [1, -4, 9]))
        assert pool.ask(root, 9) == 3.0


@pytest.mark.sample
def test_calls_go_to_workers_that_are_free(system):
    with system.options(size=3).pool(Adder, 100) as pool:
        assert pool.ask(Adder.add, 1) == 101
        replies = [pool.submit(Adder.add, number) for number in range(10)]
        assert [reply.result() for reply in replies] == list(range(100, 110))
        assert pool.gather(Adder.add, 0) == [100] * 3
        assert sum(pool.gather(Adder.count)) == 14
        assert pool.by_key("a") == pool.by_key("a")
        assert pool.by_key("a").ask(Adder.add, 5) == 105


def test_a_pool_changes_its_size_and_ends(system):
    pool = system.options(size=1).pool(Adder)
    pool.resize(3)
    assert len(pool.workers()) == pool.size == 3
    pool.resize(2)
    assert pool.size == 2
    pool.stop()
    with pytest.raises((ActorStopped, PoolBroken)):
        pool.ask(Adder.add, 1)
    assert system.actors() == []


class Account(Actor):
    """Its state outlives its lives."""

    def __init__(self, desk=None):
        self.total = 0
        self.desk = desk

    def add(self, number):
        self.total += number
        return self.total

    def add_and_wait(self, number):
        self.total += number
        if self.desk is not None and self.context.deliveries == 1:
            self.desk.ask(Desk.put_off, 1)
        return self.total

    def get(self):
        return self.total

    def snapshot(self):
        return self.total

    def restore(self, state):
        self.total = state


@pytest.mark.sample
def test_the_state_outlives_a_crash(world):
    account = world.system.options(checkpoint=Checkpoint(messages=1)).spawn(Account)
    assert account.ask(Account.add, 5) == 5
    account.tell(Account.add, 2)
    assert account.ask(Account.get) == 7
    world.crash(account)
    assert account.ask(Account.get) == 7
    assert account.status().incarnation == 2


@pytest.mark.sample
def test_a_redelivered_message_is_in_the_state_once(world):
    desk = world.system.spawn(Desk)
    options = world.system.options(
        checkpoint=Checkpoint(messages=1), delivery=Delivery.AT_LEAST_ONCE
    )
    account = options.spawn(Account, desk)
    assert account.ask(Account.add, 5) == 5
    reply = account.submit(Account.add_and_wait, 10)
    world.eventually(lambda: desk.ask(Desk.count), "the message in hand")
    world.crash(account)
    assert reply.result() == 15
    assert account.ask(Account.get) == 15


def test_a_state_is_written_when_its_time_has_come(world):
    account = world.system.options(checkpoint=Checkpoint(seconds=0.1)).spawn(Account)
    assert account.ask(Account.add, 5) == 5
    watch = world.system.spawn(Desk)
    if world.backend == "inline":
        world.system.clock.advance(1.0)
    else:
        # Until a crash finds it written.
        world.eventually(lambda: _survives(world, account), "the written state")
    world.crash(account)
    assert account.ask(Account.get) >= 5
    assert watch.ask(Desk.count) == 0


def _survives(world, account):
    import threading

    threading.Event().wait(0.3)
    world.crash(account)
    if account.ask(Account.get) >= 5:
        return True
    account.ask(Account.add, 5)
    return False


class Slow:
    """Takes long for some items, by the system's time."""

    def __init__(self, desk):
        self.desk = desk

    def work(self, seconds):
        if seconds:
            try:
                self.desk.options(timeout=seconds).ask(Desk.put_off, 1)
            except AskTimeout:
                return "late"
        return "done"


@pytest.mark.sample
def test_an_item_that_takes_too_long_fails_alone(system):
    with system.options(size=2).pool(Slow, system.spawn(Desk)) as pool:
        found = list(pool.map(Slow.work, [0, 60, 0, 0], timeout=0.3, on_error="collect"))
        assert isinstance(found.pop(1), ItemTimeout)
        assert found == ["done"] * 3
        # In one message, too: what hangs is blamed, and not the first of them.
        found = list(pool.map(Slow.work, [0, 0, 60, 0], chunk=4, timeout=0.3, on_error="collect"))
        assert isinstance(found.pop(2), ItemTimeout)
        assert found == ["done"] * 3


@pytest.mark.sample
def test_a_pool_follows_the_load_between_its_bounds(world):
    desk = world.system.spawn(Desk)
    with world.system.options(size=(1, 3)).pool(Slow, desk) as pool:
        assert pool.size == 1
        replies = [pool.submit(Slow.work, 300) for _ in range(6)]
        world.eventually(lambda: pool.size == 3, "the third worker")

        def are_done():
            desk.ask(Desk.answer)
            return all(reply.done() for reply in replies)

        world.eventually(are_done, "the answers")
        assert [reply.result() for reply in replies] == ["done"] * 6
        if world.backend == "inline":
            world.system.clock.advance(60)
            assert pool.size == 1
