"""Client, refs and pools use a transport, and nothing of the pipes behind one."""

from __future__ import annotations

import contextlib

import pytest

from procactors import ActorRef, Options, Overflow, errors
from procactors.api.spawner import SystemHandle
from procactors.model import commands as c
from procactors.pool.pool import open_pool
from procactors.runtime.client import Client
from procactors.wire.transport import transport_of
from tests.support.faults import Fault
from tests.support.transports import DirectTransport


class Counter:
    def __init__(self, value=0):
        self.value = value

    def increment(self, by=1):
        self.value += by
        return self.value

    def fail(self):
        raise Fault("on purpose")

    def receive(self, message):
        return message, self.value


@pytest.fixture
def transport(store):
    with contextlib.closing(DirectTransport(store)) as transport:
        yield transport


@pytest.fixture
def ref(transport):
    actor = transport.start(Counter(10))
    return ActorRef(transport.path, actor, "counter", Overflow.DROP, Counter)


@pytest.fixture
def pool(transport):
    client = Client(transport)
    with open_pool(client, None, Options(size=2), 0, None, Counter, (5,), {}) as pool:
        yield pool


def test_a_client_asks_tells_and_submits(transport):
    client = Client(transport)
    assert client.ask(c.Find("counter")).name == "counter"
    client.tell(c.StopChildren(7))
    assert client.submit(c.Find("later")).result(0).name == "later"
    assert transport.commands == [c.Find("counter"), c.StopChildren(7), c.Find("later")]


def test_what_the_supervisor_raises_is_raised_or_kept_for_who_looks(transport):
    client = Client(transport)
    with pytest.raises(errors.NameTaken):
        client.ask(c.Find("nobody"))
    with pytest.raises(errors.NameTaken):
        client.submit(c.Find("nobody")).result(0)


def test_a_ref_finds_its_transport_and_sends_by_it(transport, ref):
    assert transport_of(ref._runtime_dir, ref.name) is transport
    ref.tell(Counter.increment, 5)
    assert ref.ask(Counter.increment) == 16
    assert ref.submit(Counter.increment, by=4).result(0) == 20
    assert ref.ask("text") == ("text", 20)
    with pytest.raises(Fault):
        ref.ask(Counter.fail)
    ref.stop()
    assert transport.commands == [c.Stop(ref._actor, None)]


def test_what_finds_no_room_is_reported_lost(transport, ref):
    transport.full.add(ref._actor)
    ref.tell(Counter.increment)
    [lost] = transport.commands
    assert isinstance(lost, c.LostMessage)
    assert (lost.actor, "full" in lost.why) == (ref._actor, True)


def test_a_handle_finds_and_spawns(transport):
    handle = SystemHandle(transport, None)
    assert handle["counter"].name == "counter"
    child = handle.options(name="one").spawn(Counter, 3)
    assert child.ask(Counter.increment) == 4


def test_a_pool_calls_on_all_of_its_workers(pool):
    assert pool.ask(Counter.increment, 2) == 7
    assert sorted(pool.gather(Counter.increment, 10)) in ([15, 17], [15, 15], [15, 25])
    assert pool.submit(max, 3, 4).result(0) == 4
    with pytest.raises(Fault):
        pool.ask(Counter.fail)


def test_a_map_of_a_pool_gives_its_results_in_order(pool):
    assert list(pool.map(abs, range(-500, 500))) == [abs(number) for number in range(-500, 500)]
    assert list(pool.starmap(max, [(1, 2), (4, 3)])) == [2, 4]


def test_a_tell_of_a_method_that_fails_is_reported_lost(transport, pool):
    pool.tell(Counter.fail)
    [lost] = [command for command in transport.commands if isinstance(command, c.LostMessage)]
    assert "on purpose" in lost.why


def test_the_end_of_the_transport_ends_a_pool(transport):
    pool = open_pool(Client(transport), None, Options(size=1), 0, None, Counter, (), {})
    transport.close()
    with pytest.raises(errors.ActorStopped):
        pool.ask(Counter.increment)
