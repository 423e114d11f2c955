"""Streams in event loops: `async for`, many at once, and loops that end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator

import pytest

from procactors import Actor, errors
from tests.support.faults import Fault
from tests.support.loops import LOOPS, run
from tests.support.producers import Producer, Reader, streams_in
from tests.support.waiting import SHORT_S, eventually

HOW = pytest.mark.parametrize("how", LOOPS)


@pytest.fixture
def producer(system):
    actor = system.options(max_restarts=1000).spawn(Producer)
    yield actor
    actor.stop(SHORT_S)
    eventually(lambda: not streams_in(system), "no file of a stream left")


@HOW
def test_items_come_in_order_and_end(producer, how):
    async def main() -> None:
        got = [item async for item in producer.aio.stream(Producer.count, 5_000)]
        assert got == list(range(5_000))
        got = [item async for item in producer.stream(Producer.async_count, 5_000)]
        assert got == list(range(5_000))
        async with producer.aio.stream(Producer.forever) as stream:
            assert [await anext(stream) for _ in range(200)] == list(range(200))
        assert [item async for item in stream] == []
        with pytest.raises(Fault, match="on purpose"):
            async for item in producer.aio.stream(Producer.fail, 3):
                assert item < 3
        with pytest.raises(errors.UnknownMethod, match=r"no generator"):
            producer.aio.stream(Producer.plain, 3)
        with pytest.raises(errors.UnknownMethod, match=r"is a generator"):
            await producer.aio.ask(Producer.count, 3)
        assert await producer.aio.ask(Producer.plain, 7) == 7

    run(main, how)


@HOW
def test_the_loop_runs_on_while_a_stream_waits_and_while_it_does_not(producer, how, gate):
    async def main() -> None:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        turning = asyncio.ensure_future(turn())
        stream = producer.aio.stream(Producer.gated, gate, 1)
        assert await anext(stream) == 0
        waiting = asyncio.ensure_future(anext(stream))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not waiting.done()
        gate.open()
        assert await waiting == 1
        before = turns
        async for _ in producer.aio.stream(Producer.count, 100_000):
            pass
        assert turns > before + 10
        turning.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await turning

    run(main, how)


@HOW
def test_a_hundred_streams_in_one_loop(system, how):
    async def main() -> None:
        actors = [await system.aio.spawn(Producer) for _ in range(4)]

        async def read(number: int) -> int:
            total = 0
            async for item in actors[number % 4].stream(Producer.count, 300, number):
                total += item
            return total

        totals = await asyncio.gather(*map(read, range(100)))
        assert totals == [sum(range(number, 300)) for number in range(100)]
        for actor in actors:
            await actor.stop()

    run(main, how)


@HOW
def test_a_death_ends_what_is_awaited(producer, how):
    async def main() -> None:
        pid = await producer.aio.ask(Producer.who)
        stream = producer.aio.stream(Producer.forever)
        await anext(stream)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(errors.ActorDied, match="SIGKILL"):
            async for _ in stream:
                pass

    run(main, how)


async def in_the_end(stream):
    """Return the next item, however often the ref's time is over by then."""
    while True:
        with contextlib.suppress(errors.AskTimeout):
            return await anext(stream)


@HOW
def test_an_item_that_is_late_may_still_come_and_a_cancelled_wait_takes_none(producer, how, gate):
    async def main() -> None:
        stream = producer.aio.options(timeout=0.05).stream(Producer.gated, gate, 1)
        assert await in_the_end(stream) == 0
        with pytest.raises(errors.AskTimeout):
            await anext(stream)
        for _ in range(5):
            waiting = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        gate.open()
        assert await in_the_end(stream) == 1
        assert [item async for item in stream] == []

    run(main, how)


@HOW
def test_two_tasks_share_a_stream(producer, how):
    async def main() -> None:
        stream = producer.aio.stream(Producer.count, 2_000)

        async def read() -> list[int]:
            return [item async for item in stream]

        got = await asyncio.gather(read(), read(), read())
        assert sorted(itertools.chain(*got)) == list(range(2_000))

    run(main, how)


async def waited_for(stream, tasks):
    while len(stream._tasks) < tasks:  # noqa: ASYNC110 - a fact of the stream's, which tells nobody
        await asyncio.sleep(0)


@HOW
@pytest.mark.parametrize("where", ["loop", "thread"])
def test_closed_while_tasks_wait_these_go_on_and_the_descriptor_is_the_loops_no_more(
    producer, how, where, gate
):
    async def main() -> None:
        loop = asyncio.get_running_loop()
        stream = producer.aio.stream(Producer.gated, gate, 1)
        assert await anext(stream) == 0
        fd = stream._reader.ends.data
        waiting = [asyncio.ensure_future(anext(stream, "none")) for _ in range(3)]
        await waited_for(stream, 3)
        if where == "loop":
            stream.close()
        else:
            await asyncio.to_thread(stream.close)
        assert await asyncio.gather(*waiting) == ["none"] * 3
        readable, writable = os.pipe()
        # Whoever has the stream's number next is heard.
        os.dup2(readable, fd)
        come = asyncio.Event()
        loop.add_reader(fd, come.set)
        os.write(writable, b"x")
        await asyncio.wait_for(come.wait(), SHORT_S)
        loop.remove_reader(fd)
        for one in {fd, readable, writable}:
            os.close(one)
        gate.open()
        assert await producer.aio.ask(Producer.plain, 7) == 7

    run(main, how)


@HOW
def test_of_tasks_that_share_a_stream_each_sees_the_end(producer, how, gate):
    async def main() -> None:
        stream = producer.aio.stream(Producer.gated, gate, 1)
        assert await anext(stream) == 0
        waiting = [asyncio.ensure_future(anext(stream, "none")) for _ in range(3)]
        await waited_for(stream, 3)
        gate.open()
        assert sorted(map(str, await asyncio.gather(*waiting))) == ["1", "none", "none"]

    run(main, how)


@HOW
def test_a_loop_that_is_cancelled_closes_its_stream_though_its_frames_are_kept(producer, how):
    async def main() -> None:
        stream = producer.aio.stream(Producer.forever)

        async def read() -> None:
            async for _ in stream:
                pass

        async def cancel(task: asyncio.Task[None]) -> asyncio.CancelledError:
            await anext(stream)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await task
            return cancelled.value

        tasks = [asyncio.ensure_future(read()) for _ in range(2)]
        kept = [await cancel(tasks[0])]
        await anext(stream)  # another goes on
        kept.append(await cancel(tasks[1]))
        assert await anext(stream, None) is None
        assert await producer.aio.ask(Producer.plain, 7) == 7  # it is free again
        assert all(error.__traceback__ for error in kept)

    run(main, how)


@HOW
def test_a_stream_for_which_a_task_waits_is_not_sent_on(system, producer, how, gate):
    other = system.spawn(Reader)

    async def main() -> None:
        stream = producer.aio.stream(Producer.gated, gate, 1)
        assert await anext(stream) == 0
        waiting = asyncio.ensure_future(anext(stream))
        await waited_for(stream, 1)
        with pytest.raises(errors.EncodeError, match="a task waits for the items"):
            await other.aio.ask(Reader.read, stream)
        gate.open()
        assert await waiting == 1
        stream.close()

    run(main, how)
    other.stop()


@HOW
def test_a_loops_end_leaves_nothing(producer, how):
    async def main() -> None:
        task = asyncio.ensure_future(anext(producer.aio.stream(Producer.forever)))
        await asyncio.sleep(0)
        del task
        async for item in producer.aio.stream(Producer.forever):
            if item > 3:
                break

    with contextlib.suppress(asyncio.CancelledError):
        run(main, how)
    assert producer.ask(Producer.plain, 1) == 1


@HOW
def test_a_full_mailbox_holds_a_stream_and_not_the_loop(system, how, gate):
    actor = system.options(mailbox=1).spawn(Producer)

    async def main() -> None:
        held = actor.submit(Producer.hold, gate)
        gate.arrival()
        stream = actor.aio.stream(Producer.count, 10)
        other = actor.aio.stream(Producer.count, 10)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        other.close()
        gate.open()
        assert await waiting == 0
        assert [item async for item in stream] == list(range(1, 10))
        await held

    run(main, how)
    actor.stop()


def test_an_async_generator_does_not_hold_an_actor_that_takes_many(system, tmp_path):
    actor = system.options(max_concurrency=4, handle_timeout=1.0).spawn(Concurrent)
    streams = [actor.stream(Concurrent.rows) for _ in range(3)]
    for number in range(200):
        assert [next(stream) for stream in streams] == [number] * 3
    assert actor.ask(Concurrent.running) == 3
    # Their readers pause for longer than a hang takes: that is none.
    for _ in range(6):
        actor.ask(Concurrent.sleep, 0.25)
    assert [next(stream) for stream in streams] == [200] * 3
    for stream in streams:
        stream.close()
    eventually(lambda: actor.ask(Concurrent.running) == 0, "the generators closed")
    pid = actor.status().pid
    stream = actor.stream(Concurrent.rows)
    next(stream)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(errors.ActorDied, match="SIGKILL"):
        for _ in stream:
            pass
    actor.stop()
    eventually(lambda: not streams_in(system), "no file of a stream left")


class Concurrent(Actor):
    def __init__(self) -> None:
        self.open = 0

    async def rows(self) -> AsyncIterator[int]:
        self.open += 1
        try:
            number = 0
            while True:
                yield number
                number += 1
                await asyncio.sleep(0)
        finally:
            self.open -= 1

    async def running(self) -> int:
        return self.open

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
