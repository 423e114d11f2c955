"""Nothing that was handed out is held any longer: results, exceptions, and the frames of either."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref

import pytest

from procactors import Actor
from procactors.futures import ActorPoolExecutor
from tests.support.waiting import SHORT_S, eventually


class Thing:
    pass


class Fault(Exception):
    pass


def make(_: object) -> Thing:
    return Thing()


def fail(_: object) -> None:
    raise Fault


class Maker(Actor):
    def make(self) -> Thing:
        return Thing()

    def fail(self) -> None:
        raise Fault


@pytest.fixture
def no_collector():
    """Without the garbage collector: what is in a circle stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def let_go(held: weakref.ref) -> None:
    """Check that nothing holds it: the thread that brought it may do so for a moment more."""
    eventually(lambda: held() is None, "nothing to hold it")


MAPS = {
    "executor": lambda pool, executor: executor.map(make, range(5)),
    "executor, in chunks": lambda pool, executor: executor.map(make, range(5), chunksize=2),
    "executor, its iterator": lambda pool, executor: iter(executor.map(make, range(5))),
    "pool": lambda pool, executor: pool.map(make, range(5)),
    "pool, as they come": lambda pool, executor: pool.map(make, range(5), ordered=False),
    "pool, in chunks": lambda pool, executor: pool.map(make, range(5), chunk=5),
    "pool, errors": lambda pool, executor: pool.map(fail, range(5), on_error="collect"),
}


@pytest.mark.parametrize("how", MAPS)
def test_a_map_holds_nothing_that_it_has_handed_out(system, no_collector, how):
    with system.options(size=1).pool() as pool, ActorPoolExecutor(1, system=system) as executor:
        count = 0
        for result in MAPS[how](pool, executor):
            held = weakref.ref(result)
            del result
            let_go(held)
            count += 1
        assert count == 5


def test_a_map_that_was_done_before_it_was_read_holds_nothing(system, no_collector):
    with ActorPoolExecutor(1, system=system) as executor:
        results = executor.map(make, range(5))
        executor.shutdown()
        for result in results:
            held = weakref.ref(result)
            del result
            let_go(held)


CALLS = {
    "ask": lambda maker, pool, executor: maker.ask(Maker.fail),
    "result": lambda maker, pool, executor: maker.submit(Maker.fail).result(),
    "pool.ask": lambda maker, pool, executor: pool.ask(fail, 0),
    "gather": lambda maker, pool, executor: pool.gather(fail, 0),
    "map": lambda maker, pool, executor: list(pool.map(fail, [0])),
    "executor.map": lambda maker, pool, executor: list(executor.map(fail, [0])),
    "executor": lambda maker, pool, executor: executor.submit(fail, 0).result(),
}


@pytest.mark.parametrize("how", CALLS)
def test_an_exception_keeps_neither_itself_nor_its_callers_frames(system, no_collector, how):
    with system.options(size=1).pool() as pool, ActorPoolExecutor(1, system=system) as executor:
        maker = system.spawn(Maker)

        def fails():
            large = Thing()
            try:
                CALLS[how](maker, pool, executor)
            except Fault as error:
                return weakref.ref(large), weakref.ref(error)

        frame, error = fails()
        let_go(error)
        let_go(frame)


def test_an_exception_that_was_awaited_is_not_kept(system, no_collector):
    maker = system.spawn(Maker)

    async def fails():
        try:
            await maker.submit(Maker.fail)
        except Fault as error:
            return weakref.ref(error)

    async def look():
        # Inside: the loop's own end makes circles.
        error = await fails()
        deadline = time.monotonic() + SHORT_S
        # The thread that brought it has it in its frame until it is given the processor again.
        while error() is not None and time.monotonic() < deadline:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)
        return error() is None

    assert asyncio.run(look())


def test_a_reply_that_has_gone_holds_its_result_no_longer(system, no_collector):
    reply = system.spawn(Maker).submit(Maker.make)
    held = weakref.ref(reply.result())
    assert held() is not None
    del reply
    let_go(held)
