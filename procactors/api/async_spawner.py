"""The system as an event loop sees it from any of its processes: spawning, finding, sharing.

Layer: api. Runs in: any process with an event loop.
Owns: nothing: these are views of a `Spawner` and of a `SystemHandle`.
Never: blocks the loop; leaves an actor behind whose spawn was cancelled.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from procactors.api.spawner import Spawner, SystemHandle, Worker
from procactors.errors import ProcActorsError
from procactors.model import commands as c
from procactors.model.checks import text
from procactors.model.tree import Supervisor
from procactors.model.words import worded
from procactors.runtime.aside import aside
from procactors.runtime.async_ref import AsyncActorRef
from procactors.runtime.async_supervisor_ref import AsyncSupervisorRef
from procactors.runtime.awaited import Awaited, Ignored, command
from procactors.runtime.client import Client
from procactors.runtime.shared import Shared
from procactors.wire.replies.port import Answer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from procactors.model.options import OptionWords
    from procactors.pool.async_pool import AsyncPool
    from procactors.runtime.async_topic import AsyncTopic

__all__ = ["AsyncSpawner", "AsyncSystemHandle"]

T = TypeVar("T")
P = ParamSpec("P")


class AsyncSpawner:
    """A system with options for what it spawns next: the asyncio view of a `Spawner` (`sync`)."""

    def __init__(self, spawner: Spawner) -> None:
        self.sync = spawner

    async def spawn(
        self, cls: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncActorRef[T]:
        """Start an actor of `cls` in a process of its own; return its ref, once it is up.

        Cancelled, it is left at once. No actor is: what comes up is stopped in order, behind its
        `on_start`; until then its name is taken.

        Raises:
            What `Spawner.spawn` raises.
        """
        spawner = self.sync
        handle = spawner._handle
        order = await aside(
            handle._spawn_order, spawner._options, spawner._parent, cls, args, kwargs,
            undo=_forget,
        )  # fmt: skip
        info = await command(handle._endpoint, order, kind=_Started)
        return AsyncActorRef(handle._ref(info, cls))  # type: ignore[arg-type]

    @overload
    def pool(self, cls: type[Worker] = ..., /) -> AsyncPool[Worker]: ...
    @overload
    def pool(self, cls: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> AsyncPool[T]: ...
    def pool(self, cls: Any = Worker, /, *args: Any, **kwargs: Any) -> AsyncPool[Any]:
        """Return a pool that starts when it is entered (``async with``) or awaited.

        Raises:
            Where it starts: what `Spawner.pool` raises.
        """
        from procactors.pool.async_pool import AsyncPool  # only where it is used

        return AsyncPool(lambda: self.sync.pool(cls, *args, **kwargs))


class AsyncSystemHandle:
    """What main program and actors can do with the system alike, in an event loop.

    Attributes:
        sync: the same for code that may block.
    """

    def __init__(self, handle: SystemHandle) -> None:
        self._handle: SystemHandle | None = handle

    @property
    def sync(self) -> SystemHandle:
        """The same for code that may block."""
        return self._started()

    async def spawn(
        self, cls: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncActorRef[T]:
        """Start an actor; see `AsyncSpawner.spawn`."""
        return await self.options().spawn(cls, *args, **kwargs)

    @overload
    def pool(self, cls: type[Worker] = ..., /) -> AsyncPool[Worker]: ...
    @overload
    def pool(self, cls: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> AsyncPool[T]: ...
    def pool(self, cls: Any = Worker, /, *args: Any, **kwargs: Any) -> AsyncPool[Any]:
        """Return a pool of one worker for each usable CPU; see `AsyncSpawner.pool`."""
        return self.options().pool(cls, *args, **kwargs)

    @worded
    def options(self, **options: Unpack[OptionWords]) -> AsyncSpawner:
        """Return a spawner with options (see `Options`).

        Raises:
            InvalidSpec: an unknown option, or a value that makes no sense.
        """
        return AsyncSpawner(self._started().options(**options))

    async def find(self, name: str) -> AsyncActorRef[Any] | None:
        """Return the live actor of that name, or None.

        Raises:
            InvalidSpec: no name.
        """
        handle = self._started()
        info = await command(handle._endpoint, c.Find(text("an actor's name", name)))
        return None if info is None else AsyncActorRef(handle._ref(info))

    async def actors(self) -> list[AsyncActorRef[Any]]:
        """Return the live actors in start order."""
        handle = self._started()
        infos = await command(handle._endpoint, c.ListActors())
        return [AsyncActorRef(handle._ref(info)) for info in infos]

    async def supervise(self, tree: Supervisor) -> AsyncSupervisorRef:
        """Start a supervision tree; return the ref of its root supervisor, once all of it is up.

        Cancelled, it is left at once, and the tree is stopped when it is up.

        Raises:
            What `SystemHandle.supervise` raises.
        """
        handle = self._started()
        order = await aside(handle._supervise_order, tree)
        info = await command(handle._endpoint, order, kind=_Supervised)
        return AsyncSupervisorRef(handle._supervisor_ref(info))

    async def share(self, value: T) -> Shared[T]:
        """Write a value into shared memory, once, for any number of readers; see `Shared`.

        Raises:
            What `SystemHandle.share` raises.
        """
        return await aside(self._started().share, value, undo=Shared.release)

    async def shares(self) -> list[Shared[Any]]:
        """Return handles of what is shared at this moment, by any process of the system."""
        return await aside(self._started().shares)

    def topic(self, name: str) -> AsyncTopic:
        """Return the topic of that name; see `SystemHandle.topic`.

        Raises:
            InvalidSpec: no name.
        """
        return self._started().topic(name).aio

    def _started(self) -> SystemHandle:
        assert self._handle is not None
        return self._handle

    def __repr__(self) -> str:
        return f"<aio of {self._handle!r}>"


class _Started(Awaited):
    """A spawn's answer. One that nobody waits for any more is of an actor that nobody knows."""

    __slots__ = ()

    def _unwanted(self, answer: Answer) -> None:
        self.transport.run_callback(lambda: self._end(answer))

    def _end(self, answer: Answer) -> None:
        is_good, info = self.transport.open(answer)
        if is_good:
            # The system may be stopped by now, and all with it.
            with contextlib.suppress(ProcActorsError):
                self._stop(info)

    def _stop(self, info: Any) -> None:
        # In order: its `on_start` has run, so its `on_stop` runs, too.
        self.transport.stop_in_order(info.actor)
        Client(self.transport).submit_to(Ignored(), c.Stop(info.actor, None))


class _Supervised(_Started):
    """The answer to the order of a tree."""

    __slots__ = ()

    def _stop(self, info: Any) -> None:
        Client(self.transport).submit_to(Ignored(), c.StopSupervisor(info.supervisor, None))


def _forget(order: c.Spawn) -> None:
    """Remove the blueprint of a spawn that was cancelled before it was ordered."""
    with contextlib.suppress(OSError):
        os.unlink(order.blueprint)
