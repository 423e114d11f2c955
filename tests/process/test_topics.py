"""Topics: who subscribes is told, in order, whoever publishes, and whatever dies."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading

import pytest

from procactors import Actor, ActorSystem, AsyncActorSystem, Overflow, Topic
from procactors.errors import (
    ActorDied,
    ActorStopped,
    EncodeError,
    ForeignProcess,
    InvalidSpec,
    UnknownMethod,
)
from tests.support.waiting import SHORT_S, aside, eventually


class Listener(Actor):
    """Keeps what it is told; it subscribes by itself, if it is told where."""

    def __init__(self, topic=None):
        self.heard = []
        self.topic = topic

    def on_start(self):
        if self.topic and self.context.incarnation == 1:
            self.context.system.topic(self.topic).subscribe(self.context.ref, Listener.hear)

    def hear(self, value):
        self.heard.append(value)

    def hear_more(self, value):
        self.heard.append(("more", value))

    def two(self, one, other):
        pass

    def items(self, value):
        yield value

    def get(self):
        return self.heard

    def hold(self, gate):
        gate.wait()

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Speaker(Actor):
    """Publishes from an actor."""

    def say(self, topic, values):
        published = self.context.system.topic(topic)
        return [published.publish(value) for value in values]

    def leave(self, topic, ref):
        self.context.system.topic(topic).unsubscribe(ref)


def new_listener(system, name="l", **options):
    return system.options(name=name, **options).spawn(Listener)


@pytest.mark.methods
def test_all_that_subscribe_are_told_in_order_by_any_process(system):
    topic = system.topic("prices")
    assert topic.publish(0) == 0
    one, other = system.spawn(Listener, "prices"), new_listener(system)
    speaker = system.spawn(Speaker)
    assert topic.publish(1) == 1
    topic.subscribe(other, Listener.hear_more)
    assert speaker.ask(Speaker.say, "prices", [2, 3]) == [2, 2]
    assert topic.publish(4) == 2
    speaker.ask(Speaker.leave, "prices", one)
    assert topic.publish(5) == 1
    assert one.ask(Listener.get) == [1, 2, 3, 4]
    assert other.ask(Listener.get) == [("more", value) for value in [2, 3, 4, 5]]


def test_topics_are_apart(system):
    ref = new_listener(system)
    for name in ["a", "../a", "a/b", "é" * 200]:
        system.topic(name).subscribe(ref, Listener.hear)
        assert system.topic(name).publish(name) == 1
        system.topic(name).unsubscribe(ref)
        assert system.topic(name).publish(name) == 0
    assert ref.ask(Listener.get) == ["a", "../a", "a/b", "é" * 200]
    assert system.topic("a") == system.topic("a") != system.topic("b")


def test_an_inbox_subscribes_and_gets_the_values(system):
    inbox = system.inbox()
    system.topic("t").subscribe(inbox.ref)
    system.spawn(Speaker).ask(Speaker.say, "t", [1, {"two": 2}])
    assert [inbox.receive(SHORT_S) for _ in range(2)] == [1, {"two": 2}]


def test_subscribing_again_replaces_the_method(system):
    ref, topic = new_listener(system), system.topic("t")
    topic.subscribe(ref, Listener.hear)
    topic.subscribe(ref, Listener.hear_more)
    assert topic.publish(1) == 1
    assert ref.ask(Listener.get) == [("more", 1)]


def test_a_restart_keeps_the_subscription_and_the_end_removes_it(system):
    ref, topic = system.spawn(Listener, "t"), system.topic("t")
    with pytest.raises(ActorDied):
        ref.ask(Listener.die)
    assert topic.publish(1) == 1
    assert ref.ask(Listener.get) == [1]
    ref.stop()
    assert topic.publish(2) == 0
    assert not topic._table().remove(ref._actor)
    assert not len(system.dead_letters)


def test_one_that_has_ended_is_found_by_the_next_look(system):
    topic = system.topic("t")
    gone, there = new_listener(system, "gone"), new_listener(system, "there")
    topic.subscribe(gone, Listener.hear)
    gone.stop()
    topic.subscribe(there, Listener.hear)
    assert [one.name for one in topic._table().subscribers()] == ["there"]


@pytest.mark.parametrize("overflow", [Overflow.RAISE, Overflow.DROP])
def test_a_full_subscriber_loses_and_no_other_does(system, gate, overflow):
    topic = system.topic("t")
    full = new_listener(system, "full", mailbox=1, overflow=overflow)
    other = new_listener(system, "other")
    for ref in (full, other):
        topic.subscribe(ref, Listener.hear)
    held = full.submit(Listener.hold, gate)
    gate.arrival()
    told = [topic.publish(value) for value in range(5)]
    assert told[-1] == 1
    assert other.ask(Listener.get) == list(range(5))
    eventually(lambda: len(system.dead_letters) == told.count(1), "the dead letters")
    assert {letter.actor for letter in system.dead_letters} == {"full"}
    gate.open()
    held.result(SHORT_S)


def test_one_that_blocks_is_waited_for_behind_all_others(system, gate):
    topic = system.topic("t")
    full = new_listener(system, "a", mailbox=1)
    other = new_listener(system, "b")
    for ref in (full, other):
        topic.subscribe(ref, Listener.hear)
    held = full.submit(Listener.hold, gate)
    gate.arrival()
    publishing = aside(lambda: [topic.publish(value) for value in range(3)])
    eventually(lambda: len(other.ask(Listener.get)) >= 1, "the first value at the other")
    assert not publishing.done()
    gate.open()
    assert publishing.result(SHORT_S) == [2, 2, 2]
    held.result(SHORT_S)
    assert full.ask(Listener.get) == other.ask(Listener.get) == [0, 1, 2]


def test_a_value_that_cannot_be_pickled_is_told_to_nobody(system):
    ref, topic = new_listener(system), system.topic("t")
    topic.subscribe(ref, Listener.hear)
    with pytest.raises(EncodeError):
        topic.publish(threading.Lock())
    assert ref.ask(Listener.get) == []


def test_a_large_value_comes_to_each_whole(system):
    refs = [new_listener(system, name) for name in "abc"]
    for ref in refs:
        system.topic("t").subscribe(ref, Listener.hear)
    for size in (10_000, 3_000_000):
        assert system.topic("t").publish(b"x" * size) == 3
    for ref in refs:
        assert [len(value) for value in ref.ask(Listener.get)] == [10_000, 3_000_000]


def test_mistakes_are_named_where_they_are_made(system, start_method):
    ref, topic = new_listener(system), system.topic("t")
    with pytest.raises(InvalidSpec, match="a topic's name"):
        system.topic("")
    with pytest.raises(TypeError, match="missing a required argument: 'other'"):
        topic.subscribe(ref, Listener.two)
    with pytest.raises(UnknownMethod, match="is not a method of Listener"):
        topic.subscribe(ref, Speaker.say)
    with pytest.raises(UnknownMethod, match="no receive method"):
        topic.subscribe(ref)
    with pytest.raises(TypeError, match=r"as in Class\.method, found 'hear'"):
        topic.subscribe(ref, "hear")
    with pytest.raises(UnknownMethod, match="nor a timer or a topic"):
        topic.subscribe(ref, Listener.items)
    with pytest.raises(InvalidSpec, match="is the ref of an actor"):
        topic.subscribe("l", Listener.hear)
    with pytest.raises(TypeError, match=r"say self\.context\.system\.topic"):
        ref.tell(Listener.hear, topic)
    with ActorSystem(start_method=start_method) as other:
        with pytest.raises(ForeignProcess, match="another actor system"):
            other.topic("t").subscribe(ref, Listener.hear)
    with pytest.raises(ActorStopped):
        other.topic("t").publish(1)
    assert topic.publish(1) == 0


def publish_in_a_copy(path):
    system = _systems[path]
    try:
        system.topic("t").publish(1)
    except ForeignProcess:
        return "foreign"


_systems = {}


def test_a_forked_copy_publishes_nothing(system):
    ref, topic = new_listener(system), system.topic("t")
    topic.subscribe(ref, Listener.hear)
    _systems[1] = system
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.map(publish_in_a_copy, [1]) == ["foreign"]
    assert ref.ask(Listener.get) == []


def test_an_event_loop_publishes_and_subscribes(gate):
    async def program():
        async with AsyncActorSystem() as system:
            topic = system.topic("t")
            assert topic.sync == Topic(system.sync._endpoint, "t")
            ref = await system.spawn(Listener)
            full = await system.options(mailbox=2).spawn(Listener)
            await topic.subscribe(ref, Listener.hear)
            await topic.subscribe(full.sync, Listener.hear)
            held = full.submit(Listener.hold, gate)
            await asyncio.to_thread(gate.arrival)
            assert await topic.publish(1) == 2  # there is one place
            waits = asyncio.create_task(topic.publish(2))
            while len(await ref.ask(Listener.get)) < 2:
                assert not waits.done()
            gate.open()
            assert await waits == 2
            await held
            await topic.unsubscribe(full)
            assert await topic.publish(b"x" * 2_000_000) == 1
            return [await ref.ask(Listener.get), await full.ask(Listener.get)]

    (one, two, large), others = asyncio.run(program())
    assert (one, two, len(large), others) == (1, 2, 2_000_000, [1, 2])


def test_threads_that_subscribe_and_publish_at_once_lose_nothing(system):
    """Who has returned from subscribe hears all that is published behind it."""
    topic = system.topic("t")
    refs = [new_listener(system, f"l{number}") for number in range(4)]
    stop, expected = threading.Event(), {}
    first = {}

    def publish():
        number = 0
        # Bounded: on a busy machine the thread that subscribes comes to its turn late.
        while number < 200 or (not stop.is_set() and number < 3000):
            number += 1
            expected["last"] = number
            topic.publish(number)

    publishing = aside(publish)
    for ref in refs:
        topic.subscribe(ref, Listener.hear)
        first[ref] = expected.get("last", 0) + 1
    stop.set()
    publishing.result(SHORT_S)
    expected["last"] += 1
    topic.publish(expected["last"])
    for ref in refs:
        heard = ref.ask(Listener.get)
        assert heard == list(range(heard[0], expected["last"] + 1))
        assert heard[0] <= first[ref]
