"""Feeds: an argument that is an iterator in the actor, pulled from the caller's iterable."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import threading
from collections.abc import AsyncIterator

import pytest

from procactors import ActorSystem, Overflow, errors, feed
from tests.support.faults import Fault
from tests.support.loops import LOOPS, run
from tests.support.producers import Producer, Reader, Watched, settled, streams_in
from tests.support.waiting import SHORT_S, aside, eventually


@pytest.fixture
def producer(system):
    actor = system.options(max_restarts=1000).spawn(Producer)
    yield actor
    actor.stop(SHORT_S)
    eventually(lambda: not streams_in(system), "no file of a stream left")
    eventually(lambda: not _feeders(), "no thread of a feed left")


def _feeders() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "procactors-feed"]


@pytest.mark.methods
def test_an_actor_reads_what_its_caller_feeds(producer):
    assert producer.ask(Producer.total, feed(range(10_000))) == sum(range(10_000))
    assert producer.ask(Producer.total, feed([])) == 0
    assert producer.submit(Producer.total, feed(iter([1, 2]))).result(SHORT_S) == 3
    rows = {"rows": [feed(["a"] * 3), feed([{"b": 1}] * 2), feed([b"x" * 100_000] * 4)]}
    assert producer.ask(Producer.lengths, rows) == [3, 2, 4]
    assert producer.proxy().total(feed([5])) == 5


def test_a_feed_goes_through_a_generator_and_back(producer):
    stream = producer.stream(Producer.doubled, feed(range(5_000)))
    assert list(stream) == list(range(0, 10_000, 2))
    watched = Watched()
    for item in producer.options(buffer=4).stream(Producer.doubled, feed(watched())):
        if item == 100:
            break
    eventually(lambda: watched.is_closed, "the iterable closed")
    assert watched.pulled <= 51 + 4 + 4 + 1


@pytest.mark.parametrize("buffer", [1, 2, 64])
def test_an_iterable_is_pulled_as_far_as_the_actor_has_room(producer, buffer):
    watched = Watched()
    producer.options(buffer=buffer).ask(Producer.keep, feed(watched()))
    assert settled(lambda: watched.pulled) == buffer
    for number in range(10):
        assert producer.ask(Producer.next_kept) == number
    assert 10 <= settled(lambda: watched.pulled) <= 10 + buffer
    producer.ask(Producer.drop_kept)
    eventually(lambda: watched.is_closed, "the iterable closed")


def test_nothing_is_pulled_before_the_actor_has_the_message(producer, gate):
    watched = Watched()
    held = producer.submit(Producer.hold, gate)
    gate.arrival()
    producer.tell(Producer.keep, feed(watched()))
    assert settled(lambda: watched.pulled) == 0
    gate.open()
    held.result(SHORT_S)
    eventually(lambda: watched.pulled, "the first items pulled")
    producer.tell(Producer.drop_kept)
    eventually(lambda: watched.is_closed, "the iterable closed")


def test_what_the_iterable_raises_is_raised_in_the_actor(producer):
    got, error = producer.ask(Producer.outcome, feed(Watched(fail_at=100)()))
    assert got == list(range(100))
    assert error.startswith("Fault: ('while it was pulled', 100)") or "while it was" in error
    with pytest.raises(Fault, match="while it was pulled"):
        producer.ask(Producer.total, feed(Watched(fail_at=3)()))
    got, error = producer.ask(Producer.outcome, feed([1, threading.Lock()]))
    assert got == [1]
    assert "pickle" in error


def test_an_actor_that_leaves_early_closes_the_iterable(producer):
    watched = Watched()
    assert producer.ask(Producer.take, feed(watched()), 3) == [0, 1, 2]
    eventually(lambda: watched.is_closed, "the iterable closed")
    assert watched.pulled < 200


@pytest.mark.parametrize("verb", ["tell", "ask", "submit", "stream"])
def test_the_actors_death_ends_the_pulling(producer, verb):
    watched = Watched()
    with contextlib.suppress(errors.ActorDied):
        match verb:
            case "stream":
                stream = producer.stream(Producer.doubled, feed(watched()))
                next(stream)
                os.kill(producer.status().pid, signal.SIGKILL)
                list(stream)
            case "submit":
                producer.submit(Producer.die, feed(watched())).result(SHORT_S)
            case _:
                getattr(producer, verb)(Producer.die, feed(watched()))
    eventually(lambda: watched.is_closed or watched.pulled == 0, "the iterable closed")
    eventually(lambda: not _feeders(), "the thread gone")
    assert producer.ask(Producer.plain, 1) == 1


def test_a_feed_in_a_message_that_is_never_handled_ends(system, gate):
    actor = system.options(mailbox=2, overflow=Overflow.RAISE).spawn(Producer)
    held = actor.submit(Producer.hold, gate)
    gate.arrival()
    watched = [Watched() for _ in range(4)]
    actor.tell(Producer.keep, feed(watched[0]()))
    with pytest.raises(errors.MailboxFull):
        actor.tell(Producer.keep, feed(watched[1]()))
    with pytest.raises(errors.EncodeError):
        actor.tell(Producer.keep, [feed(watched[2]()), threading.Lock()])
    actor.kill()
    held.exception(SHORT_S)
    with pytest.raises(errors.ActorStopped):
        actor.tell(Producer.keep, feed(watched[3]()))
    eventually(lambda: not _feeders(), "the threads gone")
    assert [one.pulled for one in watched] == [0] * 4
    eventually(lambda: not streams_in(system), "no file of a stream left")


def test_a_callers_death_is_named_in_the_actor(system, producer, tmp_path):
    reader = system.spawn(Reader)
    reader.ask(Reader.feed_forever, producer, tmp_path / "note")
    eventually(lambda: producer.ask(Producer.has_kept), "the feed")
    assert producer.ask(Producer.next_kept) == 0
    os.kill(reader.status().pid, signal.SIGKILL)
    with pytest.raises(errors.StreamBroken, match=r"actor \d+ .* has ended before its feed did"):
        while True:
            producer.ask(Producer.next_kept)
    producer.ask(Producer.drop_kept)


def test_each_wrong_use_is_an_error_where_it_is_made(system, producer):
    with pytest.raises(TypeError, match="a feed is of an iterable, not of 5"):
        feed(5)
    with pytest.raises(TypeError, match="event loop, and none runs"):
        feed(_letters())
    with pytest.raises(TypeError, match="as an argument of tell, ask, submit or stream"):
        pickle.dumps(feed([1]))
    with pytest.raises((TypeError, errors.ProcActorsError), match="as an argument of tell"):
        producer.tell_many(Producer.keep, [(feed([1]),)])
    with pytest.raises((TypeError, errors.ProcActorsError), match="as an argument of tell"):
        system.spawn(Keeper, feed([1]))
    with pytest.raises(TypeError, match="an iterator in the actor"):
        list(feed([1]))
    one = feed([1])
    assert producer.ask(Producer.total, one) == 1
    with pytest.raises(errors.EncodeError, match="sent once"):
        producer.ask(Producer.total, one)


class Keeper:
    def __init__(self, what: object) -> None:
        self.what = what


async def _letters(count: int = 3) -> AsyncIterator[str]:
    for number in range(count):
        await asyncio.sleep(0)
        yield str(number)


@pytest.mark.parametrize("how", LOOPS)
def test_an_async_iterable_is_pulled_by_its_loop(producer, how):
    async def main() -> None:
        got = await producer.aio.ask(Producer.outcome, feed(_letters(1_000)))
        assert got == (list(map(str, range(1_000))), "")
        assert await producer.aio.ask(Producer.total, feed(range(100))) == sum(range(100))
        closed = asyncio.Event()

        async def endless() -> AsyncIterator[int]:
            try:
                yield 1
                yield 2
                await asyncio.sleep(1_000)
            finally:
                closed.set()

        assert await producer.aio.ask(Producer.take, feed(endless()), 2) == [1, 2]
        await closed.wait()

        async def failing() -> AsyncIterator[int]:
            yield 1
            raise Fault("in the loop")

        got = await producer.aio.ask(Producer.outcome, feed(failing()))
        assert got == ([1], "Fault: in the loop")

    run(main, how)


def test_a_loop_that_ends_ends_its_feeds(producer):
    async def endless() -> AsyncIterator[int]:
        while True:
            yield 1
            await asyncio.sleep(0.01)

    async def main() -> None:
        await producer.aio.tell(Producer.keep, feed(endless()))
        while not await producer.aio.ask(Producer.has_kept):
            pass
        assert await producer.aio.ask(Producer.next_kept) == 1

    run(main)
    with pytest.raises(errors.StreamBroken, match="the event loop that fed this has ended"):
        while True:
            producer.ask(Producer.next_kept)
    producer.ask(Producer.drop_kept)


def test_a_system_stops_while_it_feeds(start_method):
    watched = Watched()
    with ActorSystem(start_method=start_method) as system:
        actor = system.options(stop_timeout=0.2).spawn(Producer)
        reply = actor.submit(Producer.total, feed(watched()))
        eventually(lambda: watched.pulled, "items pulled")
    assert reply.exception(SHORT_S) is not None
    eventually(lambda: watched.is_closed, "the iterable closed")
    eventually(lambda: not _feeders(), "the thread gone")


def test_many_feed_one_actor_at_once(producer):
    replies = [aside(producer.ask, Producer.total, feed(range(at, 2_000 + at))) for at in range(20)]
    assert [reply.result(SHORT_S) for reply in replies] == [
        sum(range(at, 2_000 + at)) for at in range(20)
    ]
