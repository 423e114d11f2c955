"""Event loops of all kinds that the asyncio half is used in."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from typing import Any

from tests.support.waiting import SHORT_S

#: Names of the ways to run a coroutine.
LOOPS = ("asyncio", "uvloop", "anyio")


def new_uvloop() -> asyncio.AbstractEventLoop:
    """Return a new loop of uvloop's."""
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


# Its first loop makes a pipe for signals, which libuv keeps for the process's whole life.
with contextlib.closing(new_uvloop()) as _first:
    _first.run_until_complete(asyncio.sleep(0))


def run(main: Callable[[], Any], how: str = "asyncio") -> Any:
    """Run an async function in a loop of that kind, no longer than a test may take."""

    async def limited() -> Any:
        return await asyncio.wait_for(main(), SHORT_S)

    match how:
        case "asyncio":
            return asyncio.run(limited())
        case "uvloop":
            loop = new_uvloop()
            try:
                return loop.run_until_complete(limited())
            finally:
                loop.run_until_complete(loop.shutdown_default_executor())
                loop.close()
        case "anyio":
            import anyio

            return anyio.run(functools.partial(_in_a_group, main))
    raise AssertionError(how)


async def _in_a_group(main: Callable[[], Any]) -> Any:
    """Run it as anyio's programs do: in a task of a task group."""
    import anyio

    results = []

    async def task() -> None:
        results.append(await main())

    with anyio.fail_after(SHORT_S):
        async with anyio.create_task_group() as group:
            group.start_soon(task)
    return results[0]


class Pulse:
    """Counts how often the loop goes round while something is awaited in it."""

    def __init__(self) -> None:
        self.beats = 0

    async def __aenter__(self) -> Pulse:  # noqa: PYI034 - Self is newer than 3.10
        self._task = asyncio.ensure_future(self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.beats += 1


async def until(condition: Callable[[], Any]) -> None:
    """Wait in a loop until a condition holds."""

    async def look() -> None:
        while not condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.001)

    await asyncio.wait_for(look(), SHORT_S)


async def arrived(gate: Any) -> int:
    """Wait in a loop until a visitor stands at a gate, and return its pid."""
    return await asyncio.to_thread(gate.arrival)
