"""Calls that may block, in threads of their own."""

from __future__ import annotations

import asyncio
import threading

import pytest

from procactors.runtime.aside import aside, to_the_end
from tests.support.loops import until
from tests.support.waiting import eventually


def test_what_is_left_is_undone_in_a_thread():
    undone, begun, go_on = [], threading.Event(), threading.Event()

    def call():
        begun.set()
        go_on.wait()
        return 7

    async def main():
        task = asyncio.ensure_future(aside(call, undo=undone.append))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not undone
        go_on.set()

    asyncio.run(main())
    assert eventually(lambda: undone, "the undoing") == [7]


def test_what_it_raises_is_raised_whatever_it_is():
    async def main():
        for error in (ValueError("x"), SystemExit(3), StopIteration()):
            with pytest.raises((type(error), RuntimeError)) as raised:
                await aside(raiser, error)
            assert error in (raised.value, raised.value.__cause__)

    asyncio.run(main())


def raiser(error):
    raise error


def test_a_call_to_the_end_is_not_left_and_each_cancellation_is_harder():
    calls, gates = [], [threading.Event() for _ in range(3)]

    def step(number):
        calls.append(number)
        gates[number].wait()
        return number

    async def main():
        task = asyncio.ensure_future(to_the_end(lambda: step(0), lambda: step(1), lambda: step(2)))
        for number in range(4):  # the last one has no step of its own
            begun = min(number + 1, 3)
            await until(lambda begun=begun: len(calls) == begun)
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done()
        for gate in gates:
            gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await to_the_end(lambda: step(0))

    assert asyncio.run(main()) == 0
    assert calls == [0, 1, 2, 0]
