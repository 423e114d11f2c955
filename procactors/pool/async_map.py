"""A map's results for an event loop: a thread iterates the map, the loop takes what it has.

Layer: pool. Runs in: the pool's process: `_Feeder._run` in a thread of its own, the rest in the
loop's.
Owns: the thread, until the map has ended or is closed.
Never: runs ahead of the loop further than `_AHEAD` results, or than the map's `in_flight` allows.

    MapResults ─► thread ─► blocks of results ─► loop: one wake-up for many ─► async for
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, TypeVar

from procactors.pool.map import MapResults
from procactors.runtime.aside import aside
from procactors.runtime.loop_port import LoopPort, port_here
from procactors.wire.transport import Transport

__all__ = ["AsyncMapResults"]

R = TypeVar("R")

#: Results that lie ready for the loop beyond the block that it has: a hand-over costs 0.1 ms, and
#: more on a busy machine; these share it.
_AHEAD = 128
#: Results that are taken in a row before the loop goes round, though more are ready.
_IN_A_TURN = 128
#: Seconds after which a thread with nothing to do looks whether its loop is still there.
_LOOK_S = 1.0


class AsyncMapResults(AsyncIterator[R]):
    """What a map gives, item for item: iterate it, once, by ``async for``.

    `aclose` gives the rest up; left to the garbage collector it is closed. The items are taken from
    the input, and pickled, in a thread of the map: no more than its workers need.
    """

    def __init__(
        self, transport: Transport, begin: Callable[[], MapResults[R]], is_exact: bool
    ) -> None:
        self._port = port_here()
        self._values: deque[R] = deque()
        self._taken = 0
        self._feeder = _Feeder(self._port, transport, begin, 0 if is_exact else _AHEAD)

    def __aiter__(self) -> AsyncMapResults[R]:
        return self

    async def __anext__(self) -> R:
        self._taken += 1
        if not self._taken % _IN_A_TURN:
            await asyncio.sleep(0)
        values = self._values
        while not values:
            await self._feeder.fill(values)
        return values.popleft()

    async def aclose(self) -> None:
        """Give up what has not been begun. What is in hand ends, and its result is dropped."""
        self._values.clear()
        job = self._feeder.leave()
        if job is not None:
            await aside(job.close)

    async def __aenter__(self) -> AsyncMapResults[R]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        feeder = self.__dict__.get("_feeder")  # of one whose making failed, none
        job = None if feeder is None else feeder.leave()
        if job is not None:
            # As the garbage collector runs on top of any frame: in the thread for callbacks.
            job.dispatcher.transport.run_callback(job.close)


class _Feeder:
    """The map's thread, and what it has ready.

    Args:
        port: of the loop that takes the results.
        transport: of the pool.
        begin: begins the map; called in the thread.
        ahead: results that may lie ready; 0: none that was not asked for.
    """

    def __init__(
        self,
        port: LoopPort,
        transport: Transport,
        begin: Callable[[], MapResults[Any]],
        ahead: int,
    ) -> None:
        self._port = port
        self._begin: Callable[[], MapResults[Any]] | None = begin
        self._ahead = ahead
        self._ready: deque[Any] = deque()
        self._error: BaseException | None = None
        self._results: MapResults[Any] | None = None
        self._is_over = self._is_left = self._is_asked = False
        # Guards all of it. Reentrant: the garbage collector may call `leave` on top of its holder.
        self._lock = transport.make_guard()
        self._changed = transport.make_condition(self._lock)
        self._transport = transport
        # Nobody but a thread can find its loop gone.
        self._look_s = _LOOK_S if transport.has_threads else None
        self._future: asyncio.Future[None] | None = None
        context = contextvars.copy_context()
        transport.begin(functools.partial(context.run, self._run), "map")

    # -- in the loop's thread -------------------------------------------------------------------

    async def fill(self, values: deque[Any]) -> None:
        """Move what is ready to `values`, or wait until there is something.

        Raises:
            RuntimeError: another task waits here. StopAsyncIteration: all was given. Whatever has
                ended the map: behind what came before it.
        """
        if self._future is not None and not self._future.done():
            raise RuntimeError("these results are being iterated by another task")
        with self._lock:
            if self._ready:
                values.extend(self._ready)
                self._ready.clear()
                self._changed.notify_all()
                return
            if self._is_over:
                error, self._error = self._error, None
                if error is None:
                    raise StopAsyncIteration
                try:
                    raise error
                finally:
                    del self, error  # no circle with the traceback, which has this frame
            self._is_asked = True
            self._changed.notify_all()
            self._future = future = self._port.new_future(self._transport)
        await future

    def release(self) -> None:
        """Let the task go on that waits for results."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def leave(self) -> Any:
        """Want no more; return the map's job, which is to be closed; None if it has ended."""
        with self._lock:
            self._is_left = True
            results, is_over = self._results, self._is_over
            self._is_over = True  # for a loop that goes on iterating
            self._ready.clear()
            self._changed.notify_all()
        return None if results is None or is_over else results._job

    # -- in the map's thread --------------------------------------------------------------------

    def _run(self) -> None:
        begin, self._begin = self._begin, None
        assert begin is not None
        error: BaseException | None = None
        try:
            results = begin()
            del begin
            with self._lock:
                self._results = results
            if not self._is_left:
                self._pump(results)
            results.close()
        except BaseException as raised:  # noqa: BLE001 - whatever it is, it is the caller's
            error = raised
        with self._lock:
            self._is_over, self._results = True, None
            self._error = None if self._is_left else error
        del error
        self._port.post(self)

    def _pump(self, results: MapResults[Any]) -> None:
        while self._has_room():
            # Into the list first: no variable here is to hold a result beyond its use.
            with contextlib.suppress(StopIteration):
                self._give(next(results._blocks))
                continue
            return

    def _has_room(self) -> bool:
        """Wait until more results may lie ready; return False: none is wanted any more."""
        with self._lock:
            while not self._is_left:
                if len(self._ready) < self._ahead or (self._is_asked and not self._ready):
                    return True
                if not self._changed.wait(self._look_s) and self._port.is_closed():
                    break
        return False

    def _give(self, block: Any) -> None:
        with self._lock:
            if self._is_left:
                return
            had = len(self._ready)
            self._ready.extend(block)
            if len(self._ready) == had:
                return
            self._is_asked = False
        self._port.post(self)
