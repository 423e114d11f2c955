"""A pool as an event loop uses it.

Layer: pool. Runs in: the pool's process, in an event loop.
Owns: the `Pool` that it starts (`stop`, `kill`).
Never: blocks the loop.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Generator, Iterable
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    NoReturn,
    ParamSpec,
    TypeVar,
    overload,
)

from procactors.errors import MailboxFull
from procactors.model.checks import deadline
from procactors.model.choices import Overflow
from procactors.model.words import showing
from procactors.pool.async_map import AsyncMapResults
from procactors.pool.calls import PoolReply
from procactors.pool.map import MapResults
from procactors.pool.map_options import checked_options
from procactors.pool.mapper import map_shown
from procactors.pool.mistakes import check_inputs
from procactors.pool.pool import Pool
from procactors.runtime.aside import aside, to_the_end
from procactors.runtime.async_ref import AsyncActorRef
from procactors.runtime.awaited import Awaited
from procactors.runtime.lane import Sending, send_later
from procactors.runtime.leaving import is_broken_off
from procactors.runtime.loop_port import LoopPort, port_here
from procactors.runtime.loop_turn import turn_of
from procactors.runtime.reply import Reply
from procactors.wire.payload_store import LARGE
from procactors.wire.pickling.weight import weighs_less

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from procactors.pool.map_options import MapWords

__all__ = ["AsyncPool"]

A = TypeVar("A")
T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")

_with_words = showing(map_shown)


class AsyncPool(Generic[A]):
    """Actors of one class that share work: the asyncio half of `Pool`.

    Made by ``system.options(size=...).pool(cls, ...)``; use it as ``async with ... as pool``, or
    start it by ``pool = await system.pool(...)``. The calls mean what those of `Pool` mean.

    Args:
        start: starts the pool, or returns the one that there is; may block.
    """

    def __init__(self, start: Callable[[], Pool[A]]) -> None:
        self._start_pool = start
        self._pool: Pool[A] | None = None

    @classmethod
    def of(cls, pool: Pool[A]) -> AsyncPool[A]:
        """Return the view of a pool that runs; `Pool.aio` is shorter."""
        view = cls(lambda: pool)
        view._pool = pool
        return view

    @property
    def sync(self) -> Pool[A]:
        """The same for code that may block.

        Raises:
            RuntimeError: it is not started.
        """
        if self._pool is None:
            raise RuntimeError(
                "this pool is not started: say `async with system.pool(...) as pool:`, or `pool = "
                "await system.pool(...)`"
            )
        return self._pool

    @property
    def name(self) -> str:
        """The pool's; its workers have it with their number behind it."""
        return self.sync.name

    @property
    def size(self) -> int:
        """How many workers there are."""
        return self.sync.size

    # -- calls --------------------------------------------------------------------------------

    @overload
    def submit(
        self,
        method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Reply[R]: ...
    @overload
    def submit(
        self, method: Callable[Concatenate[A, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Reply[R]: ...
    @overload
    def submit(
        self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Reply[R]: ...
    def submit(self, what: Any, /, *args: Any, **kwargs: Any) -> Reply[Any]:
        """Have a worker call a method or a function; return the reply at once: await it.

        What cannot be queued at once, for want of a place or since it is large, is queued by a
        thread of the runtime; if it is not in the end, the reply has the error.

        Raises:
            What `Pool.submit` raises.
        """
        pool = self.sync
        reply: PoolReply[Any] = PoolReply(pool._transport, pool._dispatcher)
        call = functools.partial(pool._call, reply, what, args, kwargs, None)
        self._soon(port_here(), call, (what, args, kwargs), reply, lambda: not reply.cancelled())
        return reply

    @overload
    async def ask(
        self,
        method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...
    @overload
    async def ask(
        self, method: Callable[Concatenate[A, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def ask(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def ask(self, what: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Have a worker call a method or a function; wait for the result.

        Cancelled, it takes the call back while no worker has it.

        Raises:
            What `Pool.ask` raises.
        """
        if (turn := port_here().enter()) is not None:
            await turn
        return await self.submit(what, *args, **kwargs)

    @overload
    async def tell(
        self, method: Callable[Concatenate[A, P], Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    @overload
    async def tell(
        self, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    async def tell(self, what: Any, /, *args: Any, **kwargs: Any) -> None:
        """Have a worker call a method or a function; wait only until it is queued."""
        port, pool = port_here(), self.sync
        if (turn := port.enter()) is not None:
            await turn
        told = Awaited(port, pool._transport)
        call = functools.partial(pool._tell, what, args, kwargs)
        if not self._soon(port, call, (what, args, kwargs), told, told.is_wanted, is_told=True):
            await told

    def _soon(
        self,
        port: LoopPort,
        call: Callable[..., None],
        message: Any,
        whose: Any,
        is_wanted: Callable[[], bool],
        *,
        is_told: bool = False,
    ) -> bool:
        """Queue a call at once and return True; or have a thread do it, behind those that wait."""
        pool = self.sync
        is_large = not weighs_less(message, LARGE)
        key = id(pool)  # alive while a lane has calls of it
        is_patient = pool._options.overflow is Overflow.BLOCK
        if not is_large and key not in port.lanes:
            try:
                call(wait_s=0.0)
            except MailboxFull:
                if not is_patient:
                    raise
            else:
                return True
        sending = Sending(
            lambda wait_s: call(wait_s=wait_s),
            whose,
            is_wanted,
            None if is_patient else 0.0,
            is_told=is_told,
            is_large=is_large,
            clock=pool._transport.now,
        )
        send_later(port, key, sending, pool._transport)
        return False

    # -- all of them --------------------------------------------------------------------------

    @overload
    async def gather(
        self,
        method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> list[R]: ...
    @overload
    async def gather(
        self, method: Callable[Concatenate[A, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> list[R]: ...
    @overload
    async def gather(
        self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> list[R]: ...
    async def gather(self, what: Any, /, *args: Any, **kwargs: Any) -> list[Any]:
        """Have every worker make the call; return their results, in the order of their numbers.

        Raises:
            What the first of them raised that raised, once all have ended.
        """
        replies = await aside(self.sync._ask_all, what, args, kwargs, undo=_cancel_all)
        try:
            for reply in replies:
                await _ended(reply)
        except BaseException:
            _cancel_all(replies)
            raise
        results: list[Any] = []
        while replies:
            results.append(await replies.pop(0))  # out of the list first: no circle with its error
        return results

    @overload
    async def first(
        self,
        method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...
    @overload
    async def first(
        self, method: Callable[Concatenate[A, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def first(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def first(self, what: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Have every worker make the call; return the result that comes first.

        What no worker has begun by then is taken back; the others' results are dropped.

        Raises:
            What the last of them raised, if all of them did.
        """
        replies = await aside(self.sync._ask_all, what, args, kwargs, undo=_cancel_all)
        waits = {asyncio.ensure_future(_ended(reply)): reply for reply in replies}
        left, error = set(waits), None
        try:
            while left:
                done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                for wait in done:
                    error = waits[wait].exception(0)
                    if error is None:
                        return await waits[wait]
            assert error is not None
            raise error
        finally:
            for wait in left:
                wait.cancel()
            _cancel_all(replies)
            del error  # no circle with its traceback, which has this frame

    @overload
    async def broadcast(
        self, method: Callable[Concatenate[A, P], Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    @overload
    async def broadcast(
        self, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    async def broadcast(self, what: Any, /, *args: Any, **kwargs: Any) -> None:
        """Tell every worker that there is now. One that comes later, or anew, gets nothing."""
        pool = self.sync
        await aside(lambda: pool.broadcast(what, *args, **kwargs))

    def by_key(self, key: Any) -> AsyncActorRef[A]:
        """Return the worker that a key belongs to; see `Pool.by_key`."""
        return self.sync.by_key(key).aio

    def workers(self) -> list[AsyncActorRef[A]]:
        """Return the workers, in the order of their numbers."""
        return [ref.aio for ref in self.sync.workers()]

    # -- many items ---------------------------------------------------------------------------

    @overload
    def map(
        self,
        method: Callable[[A, T], Coroutine[Any, Any, R]],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["raise", "skip"] = "raise",
        **words: Unpack[MapWords],
    ) -> AsyncMapResults[R]: ...
    @overload
    def map(
        self,
        method: Callable[[A, T], R],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["raise", "skip"] = "raise",
        **words: Unpack[MapWords],
    ) -> AsyncMapResults[R]: ...
    @overload
    def map(
        self,
        method: Callable[[A, T], Coroutine[Any, Any, R]],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["collect"],
        **words: Unpack[MapWords],
    ) -> AsyncMapResults[R | BaseException]: ...
    @overload
    def map(
        self,
        method: Callable[[A, T], R],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["collect"],
        **words: Unpack[MapWords],
    ) -> AsyncMapResults[R | BaseException]: ...
    @overload
    def map(
        self,
        function: Callable[[T], R],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["raise", "skip"] = "raise",
        **words: Unpack[MapWords],
    ) -> AsyncMapResults[R]: ...
    @overload
    def map(
        self,
        function: Callable[[T], R],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["collect"],
        **words: Unpack[MapWords],
    ) -> AsyncMapResults[R | BaseException]: ...
    @_with_words
    def map(
        self, what: Any, /, items: Iterable[Any], *more: Any, **words: Any
    ) -> AsyncMapResults[Any]:
        """Call a method or a function once for each item; return the results for ``async for``.

        Begins at once. See `Pool.map` for the words. The items are taken, and pickled, in a thread
        of the map.

        Raises:
            InvalidSpec: an argument that makes no sense. When it is iterated: what `Pool.map` and
                its iteration raise else.
        """
        return self._map("map", what, items, more, words)

    @overload
    def starmap(
        self,
        method: Callable[..., Coroutine[Any, Any, R]],
        /,
        items: Iterable[tuple[Any, ...]],
        *,
        on_error: Literal["raise", "skip"] = "raise",
        **words: Unpack[MapWords],
    ) -> AsyncMapResults[R]: ...
    @overload
    def starmap(
        self,
        method: Callable[..., R],
        /,
        items: Iterable[tuple[Any, ...]],
        *,
        on_error: Literal["raise", "skip"] = "raise",
        **words: Unpack[MapWords],
    ) -> AsyncMapResults[R]: ...
    @overload
    def starmap(
        self,
        method: Callable[..., Coroutine[Any, Any, R]],
        /,
        items: Iterable[tuple[Any, ...]],
        *,
        on_error: Literal["collect"],
        **words: Unpack[MapWords],
    ) -> AsyncMapResults[R | BaseException]: ...
    @overload
    def starmap(
        self,
        method: Callable[..., R],
        /,
        items: Iterable[tuple[Any, ...]],
        *,
        on_error: Literal["collect"],
        **words: Unpack[MapWords],
    ) -> AsyncMapResults[R | BaseException]: ...
    @_with_words
    def starmap(
        self, what: Any, /, items: Iterable[Any], *more: Any, **words: Any
    ) -> AsyncMapResults[Any]:
        """Do what `map` does, where each item is a tuple of arguments."""
        return self._map("starmap", what, items, more, words)

    def _map(
        self, verb: str, what: Any, items: Any, more: tuple[Any, ...], words: dict[str, Any]
    ) -> AsyncMapResults[Any]:
        pool, is_spread = self.sync, verb == "starmap"
        pool._check_open()
        check_inputs(what, pool._table, items, more, verb)
        options = checked_options(is_spread, pool._timeout, words)
        return AsyncMapResults(
            pool._transport,
            lambda: MapResults(pool._job(what, items, is_spread, words)),
            is_exact=options.in_flight is not None,
        )

    # -- size and end -------------------------------------------------------------------------

    async def resize(self, size: int) -> None:
        """Have so many workers from now on. Cancelled, it is no longer waited for.

        Raises:
            What `Pool.resize` raises.
        """
        await aside(self.sync.resize, size)

    async def autoscale(self, least: int, most: int) -> None:
        """Let the number of workers follow the load between two bounds from now on.

        Raises:
            What `Pool.autoscale` raises.
        """
        await aside(self.sync.autoscale, least, most)

    async def stop(self, timeout: float | None = None) -> None:
        """Take no more work, finish what was taken, and stop the workers; see `Pool.stop`.

        Cancelled, it does not leave before the workers are gone, but has no more patience: what is
        in hand is unwound by SIGTERM and killed a second later. Cancelled once more, it kills.
        """
        if timeout is not None:
            timeout = deadline("timeout", timeout)
        pool = self.sync
        await to_the_end(functools.partial(pool.stop, timeout), pool._workers.leave, pool.kill)

    async def kill(self) -> None:
        """End all workers at once; what was not done ends as with `stop` at its deadline."""
        await to_the_end(self.sync.kill)

    async def __aenter__(self) -> AsyncPool[A]:
        await self._start()
        self.sync._check_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pool = self.sync
        if is_broken_off(error):  # waits for no result any more
            await to_the_end(pool._workers.leave, pool.kill)
        else:
            await to_the_end(pool.stop, pool._workers.leave, pool.kill)

    def __await__(self) -> Generator[Any, None, AsyncPool[A]]:
        yield from self._start().__await__()
        return self

    async def _start(self) -> None:
        """Start it. Cancelled, it is left at once, and the workers are killed when they are up."""
        if self._pool is None:
            self._pool = await aside(self._start_pool, undo=Pool.kill)

    if not TYPE_CHECKING:  # a checker would take it for leave to use any name

        def __getattr__(self, name: str) -> NoReturn:
            """Say what a pool has instead."""
            if name.startswith("_"):
                raise AttributeError(name)
            self.sync.__getattr__(name)

    def __repr__(self) -> str:
        return "<AsyncPool (not started)>" if self._pool is None else f"<aio of {self._pool!r}>"

    def __reduce__(self) -> Any:
        return self.sync.__reduce__()


async def _ended(reply: Reply[Any]) -> None:
    """Wait until a reply has ended, however it has; what came of it is left there."""
    if not reply.done():
        await turn_of(reply)


def _cancel_all(replies: Iterable[Reply[Any]]) -> None:
    """Take back what was not begun; what has failed is not logged as never looked at."""
    for reply in replies:
        reply.want_no_more()
        reply.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
