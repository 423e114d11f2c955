"""Feeds, and streams that are sent on, on each backend."""

from __future__ import annotations

import contextlib

import pytest

from procactors import Actor, feed
from procactors.errors import ActorStopped, EncodeError, StreamBroken
from tests.conformance.test_flows import Source


class Pulled:
    """Items of the program's, and how far they were pulled."""

    def __init__(self, count, error=None):
        self.count = count
        self.error = error
        self.pulled = 0
        self.is_closed = False

    def items(self):
        try:
            for number in range(self.count):
                self.pulled += 1
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.is_closed = True


class Sink(Actor):
    def __init__(self):
        self.stream = None
        self.seen = []

    def leave(self):
        self.context.stop()

    def add_up(self, items):
        return sum(items)

    def first(self, items, count):
        self.stream = items
        return [next(items) for _ in range(count)]

    def keep(self, items):
        self.stream = items

    def drain(self):
        for item in self.stream:
            self.seen.append(item)
        return self.seen

    def catch(self, items):
        try:
            for item in items:
                self.seen.append(item)
        except ValueError as error:
            return self.seen, str(error)
        return self.seen, None

    def hand_on(self, other):
        return other.ask(Sink.drain_it, self.stream)

    def drain_it(self, stream):
        return list(stream)

    def give_back(self):
        return self.stream

    def feed_other(self, other, count):
        return other.ask(Sink.add_up, feed(iter(range(count))))


@pytest.mark.sample
def test_what_is_fed_arrives_in_order_and_once(system):
    sink = system.spawn(Sink)
    assert sink.ask(Sink.add_up, feed(range(1000))) == 499_500
    once = feed(["a", {"b": [1]}, b"x" * 100_000])
    assert sink.ask(Sink.drain_it, once) == ["a", {"b": [1]}, b"x" * 100_000]
    with pytest.raises(EncodeError, match="sent once"):
        sink.ask(Sink.drain_it, once)
    other = system.spawn(Sink)
    assert other.ask(Sink.feed_other, sink, 10) == 45


def test_a_feed_is_no_further_ahead_than_its_actor_has_room(world):
    pulled, sink = Pulled(1000), world.system.spawn(Sink)
    assert sink.options(buffer=4).ask(Sink.first, feed(pulled.items()), 3) == [0, 1, 2]
    assert 3 <= pulled.pulled <= 8
    sink.stop()
    world.eventually(lambda: pulled.is_closed, "the generator's end")


def test_what_a_feed_raises_comes_behind_its_items(system):
    pulled = Pulled(3, ValueError("on purpose"))
    found = system.spawn(Sink).ask(Sink.catch, feed(pulled.items()))
    assert found == ([0, 1, 2], "on purpose")


def test_the_death_of_the_actor_closes_what_feeds_it(world):
    pulled, sink = Pulled(1000), world.system.spawn(Sink)
    sink.options(buffer=4).tell(Sink.keep, feed(pulled.items()))
    world.eventually(lambda: pulled.pulled, "a first item")
    world.crash(sink)
    world.eventually(lambda: pulled.is_closed, "the generator's end")


def test_the_death_of_who_feeds_breaks_the_feed(world):
    feeds, sink = world.system.spawn(Feeds), world.system.spawn(Sink)
    feeds.ask(Feeds.feed_for_ever, sink)
    world.crash(feeds)
    with pytest.raises(StreamBroken, match="has ended before its feed did"):
        sink.ask(Sink.drain)


class Feeds:
    def feed_for_ever(self, sink):
        sink.options(buffer=2).ask(Sink.keep, feed(iter(int, 1)))


def test_a_feed_whose_message_is_not_handled_is_closed(world):
    pulled, sink = Pulled(3), world.system.spawn(Sink)
    items = pulled.items()
    next(items)  # so that it has something to close
    sink.tell(Sink.leave)
    with contextlib.suppress(ActorStopped):  # it has left by now
        sink.tell(Sink.keep, feed(items))
    world.eventually(lambda: pulled.is_closed, "the generator's end")


def test_a_stream_is_read_on_where_it_was_sent(world):
    system = world.system
    source, sink, other = system.spawn(Source), system.spawn(Sink), system.spawn(Sink)
    stream = source.options(buffer=4).stream(Source.numbers, 50)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    assert sink.ask(Sink.first, stream, 2) == [3, 4]
    with pytest.raises(StreamBroken, match="was sent on"):
        next(stream)
    assert sink.ask(Sink.hand_on, other) == list(range(5, 50))
    assert source.ask(Source.state) == (50, [50])


def test_a_stream_comes_back_as_a_result(system):
    source, sink = system.spawn(Source), system.spawn(Sink)
    sink.ask(Sink.keep, source.stream(Source.break_off, 3))
    stream = sink.ask(Sink.give_back)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="on purpose"):
        next(stream)


def test_a_stream_whose_message_is_lost_closes_its_generator(world):
    system = world.system
    source, sink = system.spawn(Source), system.spawn(Sink)
    stream = source.stream(Source.numbers, 1_000_000)
    assert next(stream) == 0
    sink.stop()
    with pytest.raises(ActorStopped):
        sink.tell(Sink.keep, stream)
    stream.close()
    world.eventually(lambda: source.ask(Source.state)[1], "the generator's end")


def test_the_death_of_its_reader_closes_a_generator(world):
    source, reads = world.system.spawn(Source), world.system.spawn(Reads)
    assert reads.ask(Reads.begin, source) == 0
    world.crash(reads)
    world.eventually(lambda: source.ask(Source.state)[1], "the generator's end")


class Reads:
    def begin(self, source):
        self.stream = source.options(buffer=2).stream(Source.numbers, 1_000_000)
        return next(self.stream)
