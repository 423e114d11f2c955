"""A system's events for an event loop.

Layer: runtime. Runs in: parent; `offer` in the thread that publishes, the rest in the loop's.
Owns: nothing: the hub is the system's, and a stream goes with its loop or when it is closed.
Never: blocks the loop; holds up the thread that publishes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from queue import Empty
from typing import Any, TypeVar, overload

from procactors.model.checks import whole
from procactors.model.events import Event
from procactors.observe.events import BOUND, Events
from procactors.observe.subscription import Feed, Subscription
from procactors.runtime.loop_port import LoopPort, port_here

__all__ = ["AsyncEventStream", "AsyncEvents"]

E = TypeVar("E", bound=Event)


class AsyncEvents:
    """The events of a system: iterate with ``async for`` from now on, or `subscribe`.

    Attributes:
        sync: the same for code that may block.
    """

    def __init__(self, events: Events) -> None:
        self.sync = events

    @overload
    def subscribe(
        self, callback: Callable[[Event], object], kinds: None = None, *, bound: int = BOUND
    ) -> Subscription[Event]: ...

    @overload
    def subscribe(
        self, callback: Callable[[E], object], kinds: Iterable[type[E]], *, bound: int = BOUND
    ) -> Subscription[E]: ...

    def subscribe(
        self,
        callback: Callable[[Any], object],
        kinds: Iterable[type[Event]] | None = None,
        *,
        bound: int = BOUND,
    ) -> Subscription[Any]:
        """Have `callback` called, in a thread of its own, with each event; see `Events.subscribe`.

        Does not block, and needs no loop.
        """
        return self.sync.subscribe(callback, kinds, bound=bound)

    def stream(
        self, kinds: Iterable[type[Event]] | None = None, *, bound: int = BOUND
    ) -> AsyncEventStream:
        """Return a stream of the events from now on, for ``async for`` in the loop that runs here.

        Args:
            kinds: classes of the events that it gets; None: all.
            bound: most events that wait in it; of more, the oldest are dropped and counted
                (`dropped`).

        Raises:
            InvalidSpec: a kind that is no class of events, or a bound below 1.
        """
        feed = _LoopFeed(port_here(), whole("bound (events)", bound, 1))
        self.sync.feed(feed, kinds)
        return AsyncEventStream(self.sync, feed)

    def __aiter__(self) -> AsyncEventStream:
        """Return a stream of all events from now on; empty when the system has ended."""
        return self.stream()


class AsyncEventStream(AsyncIterator[Event]):
    """The events from the stream's making on, until it is closed or the system ends.

    For one task at a time. One that is left is closed when it is collected.
    """

    def __init__(self, events: Events, feed: _LoopFeed) -> None:
        self._events = events
        self._feed = feed
        self._ended = False

    @property
    def dropped(self) -> int:
        """How many were dropped since more than the bound waited: the oldest each time."""
        return self._feed.dropped

    async def __anext__(self) -> Event:
        while not self._ended:
            try:
                event = self._feed.take_now()
            except Empty:
                await self._feed.comes()
                continue
            if event is not None:
                return event
            self._ended = True
        raise StopAsyncIteration

    def close(self) -> None:
        """End the stream; a task that waits in it goes on behind its loop. Does not block."""
        self._events.leave(self._feed)
        self._feed.end()

    async def aclose(self) -> None:
        """Do what `close` does: for `contextlib.aclosing`."""
        self.close()

    def __del__(self) -> None:
        self._events.leave(self._feed)


class _LoopFeed(Feed[Event]):
    """A feed whose reader is a task: each offer has its loop look."""

    def __init__(self, port: LoopPort, bound: int) -> None:
        super().__init__("an async loop over the events", "events", latest=True, bound=bound)
        self._port = port
        self._future: asyncio.Future[None] | None = None

    def offer(self, thing: Event) -> None:
        super().offer(thing)
        self._port.post(self)

    def end(self) -> None:
        super().end()
        self._port.post(self)

    def comes(self) -> asyncio.Future[None]:
        """Return what is done when something waits."""
        self._future = future = self._port.new_future()
        if len(self):  # offered, and the loop has looked, before the future was there
            future.set_result(None)
        return future

    def release(self) -> None:
        """Let the task go on that waits. In the loop's thread."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
