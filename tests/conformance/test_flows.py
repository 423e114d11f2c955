"""Streams and topics, on each backend."""

from __future__ import annotations

import pytest

from procactors.errors import ActorDied, AskTimeout, DecodeError, UnknownMethod
from tests.conformance.actors import Counter, Keeper, Unreadable


class Source:
    def __init__(self):
        self.made = 0
        self.ended = []

    def numbers(self, count):
        try:
            for number in range(count):
                self.made += 1
                yield number
        finally:
            self.ended.append(self.made)

    def things(self):
        yield {"a": [1, 2]}
        yield b"x" * 100_000
        yield ("row", 1)

    def break_off(self, count):
        yield from range(count)
        raise ValueError("on purpose")

    def odd(self):
        yield 1
        yield Unreadable()
        yield 2

    def state(self):
        return self.made, list(self.ended)


def test_items_come_in_order_and_end(system):
    source = system.spawn(Source)
    assert list(source.stream(Source.numbers, 500)) == list(range(500))
    assert list(source.stream(Source.things)) == [{"a": [1, 2]}, b"x" * 100_000, ("row", 1)]
    assert source.ask(Source.state) == (500, [500])


@pytest.mark.sample
def test_a_producer_is_no_further_ahead_than_its_reader_grants(world):
    source = world.system.spawn(Source)
    stream = source.options(buffer=4).stream(Source.numbers, 1000)
    assert [next(stream) for _ in range(10)] == list(range(10))
    stream.close()
    world.eventually(lambda: source.ask(Source.state)[1], "the generator's end")
    made, ended = source.ask(Source.state)
    assert 10 <= made <= 16
    assert ended == [made]


@pytest.mark.sample
def test_a_stream_that_is_left_closes_its_generator(world):
    source = world.system.spawn(Source)
    with source.stream(Source.numbers, 1_000_000) as stream:
        for number in stream:
            if number == 3:
                break
    assert list(stream) == []
    world.eventually(lambda: source.ask(Source.state)[1], "the generator's end")


def test_what_a_generator_raises_comes_behind_its_items(system):
    source = system.spawn(Source)
    stream = source.stream(Source.break_off, 3)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="on purpose"):
        next(stream)
    assert list(stream) == []


def test_an_item_that_cannot_be_unpickled_is_an_error_and_the_next_one_intact(system):
    stream = system.spawn(Source).stream(Source.odd)
    assert next(stream) == 1
    with pytest.raises(DecodeError):
        next(stream)
    assert list(stream) == [2]


@pytest.mark.sample
def test_the_death_of_the_producer_ends_the_stream(world):
    source = world.system.spawn(Source)
    stream = source.options(buffer=2).stream(Source.numbers, 1000)
    assert next(stream) == 0
    world.crash(source)
    with pytest.raises(ActorDied):
        for _ in range(5):
            next(stream)


def test_a_plain_method_is_not_streamed_nor_a_generator_asked(system):
    source = system.spawn(Source)
    with pytest.raises(UnknownMethod, match="no generator"):
        source.stream(Source.state)
    with pytest.raises(UnknownMethod, match="is a generator"):
        source.ask(Source.numbers, 1)


def test_an_item_that_does_not_come_in_time_is_an_error(world):
    source = world.system.spawn(Stalls, world.system.spawn(Keeper))
    stream = source.options(timeout=2.0).stream(Stalls.items)
    assert next(stream) == 1
    with pytest.raises(AskTimeout, match=r"within 2\.0 s; the stream is still open"):
        next(stream)
    stream.close()
    source.kill()  # a stop would wait for it


class Stalls:
    """Waits between its items for what never comes."""

    def __init__(self, other):
        self.other = other

    def items(self):
        yield 1
        try:
            self.other.options(timeout=6.0).ask(Keeper.sleep)
        except AskTimeout:
            yield 2


@pytest.mark.sample
def test_all_that_subscribe_are_told_what_is_published(world):
    topic = world.system.topic("news")
    keepers = [world.system.spawn(Keeper) for _ in range(3)]
    for keeper in keepers[:2]:
        topic.subscribe(keeper, Keeper.keep)
    topic.subscribe(keepers[2])
    assert topic.publish({"a": 1}) == 3
    assert [keeper.ask(Keeper.take) for keeper in keepers] == [[{"a": 1}]] * 3
    topic.unsubscribe(keepers[0])
    keepers[1].stop()
    assert topic.publish("more") == 1
    assert keepers[0].ask(Keeper.take) == [{"a": 1}]
    assert keepers[2].ask(Keeper.take) == [{"a": 1}, "more"]


def test_what_actors_publish_is_of_the_same_topic(system):
    keeper = system.spawn(Keeper)
    system.topic("news").subscribe(keeper, Keeper.keep)
    speaker = system.spawn(Speaker)
    assert speaker.ask(Speaker.say, "hello") == 1
    assert keeper.ask(Keeper.take) == ["hello"]
    with pytest.raises(UnknownMethod, match="has no receive"):
        system.topic("news").subscribe(speaker)
    assert system.spawn(Counter).ask(Counter.get) == 0


class Speaker:
    def say(self, what):
        from procactors import current_context

        return current_context().system.topic("news").publish(what)
