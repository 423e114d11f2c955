"""Pools and maps in an event loop."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading

import pytest

from procactors import AsyncMapResults, AsyncPool, errors
from procactors.runtime.loop_port import port_here
from tests.support.actors import Counter
from tests.support.loops import LOOPS, Pulse, arrived, run, until
from tests.support.waiting import eventually


def square(number):
    return number * number


def as_text(number):
    if number == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return str(number)


def refuse(number):
    raise ValueError(number)


def stand_at(gate):
    gate.wait()
    return "passed"


def map_threads():
    return [one for one in threading.enumerate() if one.name == "procactors-map"]


@pytest.mark.methods
@pytest.mark.parametrize("how", LOOPS)
def test_a_pool_does_in_a_loop_what_it_does_without(system, how):
    async def main():
        async with system.aio.options(size=2).pool(Counter, 5) as pool:
            assert isinstance(pool, AsyncPool)
            assert await pool.ask(Counter.increment, 2) == 7
            assert await pool.ask(square, 7) == 49
            assert await pool.submit(square, 8) == 64
            await pool.tell(Counter.increment)
            assert len(await pool.gather(Counter.get_value)) == 2
            assert await pool.first(square, 3) == 9
            await pool.broadcast(Counter.increment)
            assert await pool.by_key("a").ask(Counter.get_value) > 5
            assert [ref.name for ref in pool.workers()] == [f"{pool.name}-1", f"{pool.name}-2"]
            await pool.resize(1)
            assert pool.size == 1
            await pool.autoscale(1, 2)
            assert pool.sync.aio.sync is pool.sync
            return [value async for value in pool.map(square, range(1000))]

    assert run(main, how) == [square(number) for number in range(1000)]


@pytest.mark.parametrize("how", LOOPS)
def test_a_map_gives_what_it_gives_without_a_loop(system, how):
    async def main():
        async with system.aio.options(size=2).pool() as pool:
            texts = [one async for one in pool.map(as_text, range(50), on_error="collect")]
            unordered = {one async for one in pool.map(square, range(500), ordered=False)}
            exact = [one async for one in pool.starmap(pow, [(2, 3), (3, 2)], in_flight=1)]
            nothing = [one async for one in pool.map(square, [])]
            return texts, unordered, exact, nothing

    texts, unordered, exact, nothing = run(main, how)
    assert isinstance(texts.pop(13), errors.ActorDied)
    assert texts == [str(number) for number in range(50) if number != 13]
    assert unordered == {square(number) for number in range(500)}
    assert (exact, nothing) == ([8, 9], [])


def test_a_failure_in_a_map_comes_behind_what_came_before_it(system):
    def numbers():
        yield 1
        yield 2
        raise KeyError("input")

    async def main():
        seen = []
        async with system.aio.options(size=1).pool() as pool:
            with pytest.raises(KeyError, match="input"):
                await _read(pool.map(square, numbers()), seen)
            with pytest.raises(ValueError, match="7"):
                await _read(pool.map(refuse, [7]), seen)
            with pytest.raises(errors.InvalidSpec):
                pool.map(square, [1], chunk=0)
            with pytest.raises(errors.EncodeError):
                await _read(pool.map(threading.Lock().acquire, [1]), seen)
        return seen

    assert run(main) == [1, 4]


@pytest.mark.parametrize("how", LOOPS)
def test_a_map_over_endless_input_is_left_early_in_each_way(system, how):
    async def main():
        async with system.aio.options(size=2).pool() as pool:
            async for value in pool.map(as_text, itertools.count(100)):
                if value == "200":
                    break
            await until(lambda: not map_threads())
            results = pool.map(square, itertools.count())
            assert isinstance(results, AsyncMapResults)
            assert await anext(results) == 0
            await results.aclose()
            assert [value async for value in results] == []
            async with pool.map(square, itertools.count()) as results:
                assert await anext(results) == 0
            del results
            waits = asyncio.ensure_future(_read(pool.map(square, itertools.count())))
            await asyncio.sleep(0.01)
            waits.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waits
            del waits
            unread = pool.map(square, itertools.count())
            del unread
            assert await pool.ask(square, 3) == 9

    run(main, how)
    eventually(lambda: not map_threads(), "the end of the maps' threads")


async def _read(results, seen=None):
    async for value in results:
        if seen is not None:
            seen.append(value)


def test_a_slow_reader_holds_its_map(system):
    """Lazily: what is taken from the input is bounded by what was read."""
    taken = []

    def numbers():
        for number in itertools.count():
            taken.append(number)
            yield number

    async def main():
        async with system.aio.options(size=1).pool() as pool:
            async with pool.map(square, numbers(), in_flight=4) as results:
                for number in range(20):
                    assert await anext(results) == square(number)
                    assert len(taken) <= number + 1 + 2 * 4

    run(main)


@pytest.mark.parametrize("how", LOOPS)
def test_a_loop_goes_round_while_it_reads_a_map(system, how):
    async def main():
        async with system.aio.options(size=2).pool() as pool, Pulse() as pulse:
            async for _ in pool.map(square, range(20_000)):
                pass
            return pulse.beats

    assert run(main, how) >= 20_000 // 128


def test_a_bounded_queue_holds_its_callers_and_not_the_loop(system, gate):
    async def main():
        async with system.aio.options(size=1, mailbox=2).pool() as pool:
            asks = [asyncio.ensure_future(pool.ask(stand_at, gate)) for _ in range(10)]
            await arrived(gate)
            replies = [pool.submit(square, number) for number in range(10)]
            tells = [asyncio.ensure_future(pool.tell(square, 1)) for _ in range(3)]
            async with Pulse() as pulse:
                await until(lambda: pulse.beats > 100)
            assert port_here().lanes
            assert replies[9].cancel()
            asks[9].cancel()
            gate.open()
            await asyncio.gather(*tells)
            passed = await asyncio.gather(*asks, return_exceptions=True)
            assert passed[:9] == ["passed"] * 9
            assert [await reply for reply in replies[:9]] == [square(n) for n in range(9)]

    run(main)


def test_a_pool_whose_start_is_cancelled_leaves_no_worker(system, gate):
    async def main():
        starting = asyncio.ensure_future(_open(system.aio.options(size=2).pool(Gated, gate)))
        await arrived(gate)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    run(main)
    gate.open()
    eventually(lambda: not system.actors(), "the workers that nobody knows to end")


async def _open(pool):
    return await pool


class Gated:
    def __init__(self, gate):
        gate.wait()


@pytest.mark.parametrize("how", LOOPS)
def test_a_cancelled_stop_of_a_pool_ends_its_patience(system, gate, how):
    async def main():
        pool = await system.aio.options(size=1).pool()
        reply = pool.submit(stand_at, gate)
        await arrived(gate)
        stopping = asyncio.ensure_future(pool.stop())
        await until(lambda: pool.sync._dispatcher.closing)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert reply.exception(0) is not None

    run(main, how)
    assert not system.actors()


def test_what_is_not_a_pools_is_named(system):
    async def main():
        pool = system.aio.pool()
        with pytest.raises(RuntimeError, match="not started"):
            pool.submit(square, 1)
        async with system.aio.options(size=1).pool() as pool:
            with pytest.raises(AttributeError, match="ask"):
                pool.apply(square, 1)

    run(main)


def test_two_tasks_do_not_share_a_map(system, gate):
    async def main():
        async with system.aio.options(size=1).pool() as pool:
            results = pool.map(stand_at, [gate])
            one = asyncio.ensure_future(anext(results))
            await arrived(gate)
            with pytest.raises(RuntimeError, match="another task"):
                await anext(results)
            gate.open()
            assert await one == "passed"

    run(main)


def test_the_first_good_result_of_all_workers_counts(system, tmp_path):
    async def main():
        async with system.aio.options(size=3).pool() as pool:
            assert await pool.first(make_once, tmp_path / "made") == "made"
            with pytest.raises(FileExistsError):
                await pool.first(make_once, tmp_path / "made")

    run(main)


def make_once(path):
    path.touch(exist_ok=False)
    return "made"
