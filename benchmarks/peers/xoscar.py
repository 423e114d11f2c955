"""xoscar: actors in sub-pools of one process each, under asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from itertools import count
from typing import Any, TypeVar

from benchmarks.peers.handlers import Handlers
from benchmarks.peers.rows import ActorPeer
from benchmarks.rounds import Absent

try:
    import xoscar
except ImportError as error:
    raise Absent("no xoscar is installed") from error

T = TypeVar("T")


class Counter(Handlers, xoscar.Actor):  # type: ignore[misc]
    """The handlers, as an actor of xoscar's."""


class Peer(ActorPeer):
    """A pool of one sub-process stands for an actor, since an actor alone has no process."""

    title = "xoscar"

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ids = count()

    def _run(self, awaited: Awaitable[T]) -> T:
        return self._loop.run_until_complete(awaited)

    async def _begin(self) -> Any:
        pool = await xoscar.create_actor_pool("127.0.0.1", n_process=1)
        actor = await xoscar.create_actor(
            Counter,
            address=pool.external_address,
            uid=f"counter-{next(self._ids)}",
            allocate_strategy=xoscar.allocate_strategy.ProcessIndex(1),
        )
        return pool, actor

    def begin(self) -> Any:
        return self._run(self._begin())

    def add(self, actor: Any) -> int:
        return self._run(actor[1].add(1))

    def stop(self, actor: Any) -> None:
        self._run(actor[0].stop())

    def pid(self, actor: Any) -> int:
        return self._run(actor[1].pid())

    def tell_all(self, actor: Any, messages: int) -> None:
        async def send() -> None:
            for _ in range(messages - 1):
                await actor[1].add.tell(1)
            await actor[1].add(1)

        self._run(send())

    def total(self, actor: Any, array: Any) -> int:
        return self._run(actor[1].total(array))

    def square_each(self, actors: list[Any], items: int) -> list[int]:
        async def send() -> list[list[int]]:
            return await asyncio.gather(
                *(actors[number % len(actors)][1].squares((number,)) for number in range(items))
            )

        return [found[0] for found in self._run(send())]

    def square_all(self, actors: list[Any], items: int) -> list[int]:
        share = items // len(actors)

        async def send() -> list[list[int]]:
            return await asyncio.gather(
                *(
                    actor[1].squares(list(range(at * share, (at + 1) * share)))
                    for at, actor in enumerate(actors)
                )
            )

        return [found for half in self._run(send()) for found in half]
