"""Streams under faults: cases 12 to 22 of the acceptance list, for a stream in place of a call."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from procactors import Actor, ActorRef, errors, feed
from tests.support.faults import DEADLY, ERRORS, FAULTS, BreaksWhenLoaded, commit
from tests.support.gates import Gate
from tests.support.producers import Producer, streams_in
from tests.support.scripts import run_source
from tests.support.waiting import SHORT_S, eventually

OFTEN = {"max_restarts": 100_000}

FEW = """
import os
from procactors import ActorSystem, errors, feed
from tests.support.producers import Producer

with ActorSystem() as system:
    producer = system.spawn(Producer)
    assert list(producer.stream(Producer.count, 3)) == [0, 1, 2]
    assert producer.ask(Producer.total, feed([1, 2])) == 3
    before = len(os.listdir("/proc/self/fd"))
    for number in range(300):
        assert sum(producer.stream(Producer.count, 3)) == 3
    assert len(os.listdir("/proc/self/fd")) <= before
    streams = []
    try:
        while True:
            streams.append(producer.stream(Producer.count, 3))
    except errors.StorageFull as error:
        assert "descriptor" in str(error), error
    assert len(streams) > 20, len(streams)
    try:
        producer.ask(Producer.total, feed([1, 2]))
    except errors.StorageFull as error:
        assert "descriptor" in str(error), error
    for stream in streams:
        stream.close()
    del stream, streams
    assert sum(producer.stream(Producer.count, 3)) == 3
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    print("well")
"""


class Breaker(Actor):
    def break_after(self, count: int, how: str) -> Iterator[int]:
        yield from range(count)
        commit(how)

    async def break_awaiting(self, count: int, how: str) -> AsyncIterator[int]:
        for number in range(count):
            await asyncio.sleep(0)
            yield number
        await asyncio.sleep(0)
        commit(how)

    async def break_fed_awaiting(self, items: Any, how: str) -> None:
        await anext(items)
        commit(how)

    def break_fed(self, items: Iterator[Any], how: str) -> None:
        next(items)
        commit(how)

    def loads_badly(self) -> Iterator[Any]:
        yield 1
        yield BreaksWhenLoaded("exception")
        yield 3

    def itself(self) -> list[int]:
        return list(self.context.ref.stream(Breaker.break_after, 1, ""))

    async def huge_awaiting(self, size: int, gate: Gate) -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.to_thread(gate.wait)
        yield bytes(size)
        yield b"last"

    def huge(self, size: int, gate: Gate) -> Iterator[bytes]:
        yield b"first"
        gate.wait()
        yield bytes(size)
        yield b"last"

    def pid(self) -> int:
        return os.getpid()


#: (generator, what is fed, options): plain; awaiting, in an actor of one message and of several.
KINDS = pytest.mark.parametrize(
    ("generate", "fed", "options"),
    [
        (Breaker.break_after, Breaker.break_fed, {}),
        (Breaker.break_awaiting, Breaker.break_fed_awaiting, {}),
        (Breaker.break_awaiting, Breaker.break_fed_awaiting, {"max_concurrency": 4}),
    ],
    ids=["plain", "async", "async of several"],
)


@pytest.mark.methods
def test_the_reader_of_a_killed_actor_is_told_how_it_died(system, gate):
    """Case 12 of the acceptance list."""
    producer = system.options(**OFTEN).spawn(Producer)
    stream = producer.stream(Producer.gated, gate, 3)
    pid = gate.arrival()
    os.kill(pid, signal.SIGKILL)
    got = []
    with pytest.raises(errors.ActorDied, match=r"ended by signal SIGKILL.* in handler") as died:
        for item in stream:
            got.append(item)  # noqa: PERF402 - what came before it counts
    assert got == [0, 1, 2][: len(got)]  # but for what was gathered for some milliseconds
    assert died.value.report.pid == pid
    assert died.value.report.handler.endswith("gated")


def test_a_late_item_is_never_taken_for_anothers(system, tmp_path):
    """Case 13 of the acceptance list."""
    producer = system.spawn(Producer)
    for number in range(50):
        with producer.options(timeout=0.001).stream(Producer.count, 1 << 40, number) as stream:
            got = []
            for _ in range(3):
                try:
                    got.append(next(stream))
                except errors.AskTimeout:
                    continue
            assert got == list(range(number, number + len(got)))


@KINDS
@pytest.mark.parametrize("how", [how for how in DEADLY if how != "SIGTERM"])
def test_whatever_ends_the_process_in_a_generator_its_reader_is_told(
    system, how, generate, fed, options
):
    """Case 14 of the acceptance list."""
    breaker = system.options(**OFTEN, **options).spawn(Breaker)
    with pytest.raises(errors.ActorDied) as died:
        list(breaker.stream(generate, 10, how))
    assert died.value.report.handler == generate.__qualname__
    with pytest.raises(errors.ActorDied):
        breaker.ask(fed, feed(range(1000)), how)
    assert breaker.ask(Breaker.pid)
    eventually(lambda: not streams_in(system), "no file of a stream left")


@KINDS
@pytest.mark.parametrize("how", ERRORS)
def test_whatever_a_generator_raises_is_its_readers_and_the_actor_lives(
    system, how, generate, fed, options
):
    """Case 15 of the acceptance list: errors that cannot be rebuilt among them."""
    breaker = system.options(**options).spawn(Breaker)
    pid = breaker.ask(Breaker.pid)
    got = []
    with pytest.raises((FAULTS[how].raises, errors.RemoteError)):
        for item in breaker.stream(generate, 10, how):
            got.append(item)  # noqa: PERF402 - what came before it counts
    assert got == list(range(10))
    with pytest.raises((FAULTS[how].raises, errors.RemoteError)):
        breaker.ask(fed, feed(range(1000)), how)
    assert breaker.ask(Breaker.pid) == pid


def test_an_item_that_does_not_load_fails_alone(system):
    """Case 16 of the acceptance list."""
    breaker = system.spawn(Breaker)
    stream = breaker.stream(Breaker.loads_badly)
    assert next(stream) == 1
    with pytest.raises(errors.DecodeError, match="could not be unpickled"):
        next(stream)
    assert next(stream) == 3
    with pytest.raises(errors.DecodeError):
        next(breaker.stream(Breaker.break_after, 1, BreaksWhenLoaded("exception")))
    assert breaker.ask(Breaker.pid)


def test_a_call_whose_loading_kills_the_actor_ends_its_stream(system):
    """Case 17 of the acceptance list."""
    breaker = system.options(**OFTEN).spawn(Breaker)
    with pytest.raises(errors.ActorDied):
        next(breaker.stream(Breaker.break_after, 1, BreaksWhenLoaded("SIGKILL")))
    assert breaker.ask(Breaker.pid)


def test_eight_threads_get_their_own_items(system):
    """Case 19 of the acceptance list."""
    producer = system.spawn(Producer)
    wrong: list[Any] = []

    def read(number: int) -> None:
        for at in range(50):
            start = 1000 * number + at
            got = list(producer.stream(Producer.count, start + 10, start))
            if got != list(range(start, start + 10)):
                wrong.append(got)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SHORT_S)
        assert not thread.is_alive()
    assert wrong == []


def test_many_streams_with_few_descriptors_are_read_or_are_errors_at_the_call():
    """Case 20 of the acceptance list."""
    assert run_source(FEW, limits=["-n 256"]) == "well\n"


def test_an_actor_that_streams_from_itself_is_refused(system):
    """Case 21 of the acceptance list."""
    breaker = system.spawn(Breaker)
    with pytest.raises(errors.AskCycleError, match="its own items"):
        breaker.ask(Breaker.itself)


@pytest.mark.parametrize(
    ("generate", "most"),
    [(Breaker.huge, 1), (Breaker.huge_awaiting, 1), (Breaker.huge_awaiting, 4)],
)
def test_a_huge_item_for_a_reader_that_has_left_holds_nobody_up(system, gate, generate, most):
    """Case 22 of the acceptance list."""
    breaker: ActorRef[Breaker] = system.options(max_concurrency=most).spawn(Breaker)
    stream = breaker.stream(generate, 100_000_000, gate)
    assert next(stream) == b"first"
    gate.arrival()
    stream.close()
    gate.open()
    assert breaker.options(timeout=SHORT_S).ask(Breaker.pid)
    eventually(lambda: not streams_in(system), "no file of a stream left")
