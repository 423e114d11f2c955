"""All systems of this user, and the feeds of those that pages look at.

Layer: dashboard. Runs in: the dashboard's process, in its event loop.
Owns: the feeds; a task that looks which systems run (`close`).
Never: looks into a system that no page has asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from procactors.dashboard import sse
from procactors.dashboard.feed import Feed
from procactors.dashboard.thrift import counted
from procactors.dashboard.watch import key_of
from procactors.outside.systems import NoSystem, SystemView, find_systems

__all__ = ["Observatory"]

#: Seconds between two looks at which systems run, while a page is there. Where many processes hold
#: locks a look costs more: this part of one core at most.
_LOOK_S, _SHARE = 1.0, 0.01
#: Seconds until it is tried again to look into one that is just beginning.
_AGAIN_S = 0.2
#: Feeds that are kept though no page looks at them: they have the plots' past.
_KEPT = 8


class Observatory:
    """Which systems run, and one feed for each that is looked at.

    Args:
        wanted: a name or process id: only systems of that name, or that process, are shown; None:
            all of this user.
        find: finds the running systems.
    """

    def __init__(
        self, wanted: str | None = None, find: Callable[[], list[SystemView]] = find_systems
    ) -> None:
        self._wanted, self._find = wanted, find
        self.systems: list[SystemView] = []
        self._feeds: dict[str, Feed] = {}
        self._pages = 0
        self._turn = asyncio.Event()
        self._wanted_now = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Look for the first time, and go on looking while pages are there."""
        await self._look()
        self._task = asyncio.create_task(self._look_on())

    async def close(self) -> None:
        """End all that goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for feed in self._feeds.values():
            await feed.close()
        self._feeds.clear()

    def feed(self, key: str) -> Feed | None:
        """Return the feed of a system that a page looks at, or has looked at lately."""
        return self._feeds.get(key)

    async def open_feed(self, key: str) -> Feed:
        """Return the feed of a system; make it if there is none yet.

        Raises:
            NoSystem: no such system runs, or was looked at lately.
        """
        async with self._opening:
            if (feed := self._feeds.get(key)) is not None:
                return feed
            found = [view for view in self.systems if key_of(view) == key]
            if not found:
                raise NoSystem("this system has ended")
            await self._drop_some()
            feed = self._feeds[key] = await asyncio.to_thread(Feed, found[0])
            feed.open()
            return feed

    async def changes_of(self, key: str) -> AsyncIterator[bytes]:
        """Yield what `Feed.changes` does for a system; nothing if it is none, or is gone.

        A system that is just beginning has its lock before its journal: it is waited for.
        """
        while key in self._feeds or any(key_of(view) == key for view in self.systems):
            try:
                feed = await self.open_feed(key)
            except (NoSystem, OSError):
                await asyncio.sleep(_AGAIN_S)
                continue
            async for change in feed.changes():
                yield change

    async def changes(self) -> AsyncIterator[bytes]:
        """Yield the list of systems now, and whenever it has become another one."""
        self._pages += 1
        self._wanted_now.set()
        try:
            while True:
                turn = self._turn
                yield sse.event("systems", [self._said(view) for view in self.systems])
                await turn.wait()
        finally:
            self._pages -= 1

    async def _drop_some(self) -> None:
        idle = [key for key, feed in self._feeds.items() if not feed.pages]
        for key in idle[: max(0, len(self._feeds) - _KEPT + 1)]:
            await self._feeds.pop(key).close()

    async def _look_on(self) -> None:
        cost = 0.0
        while True:
            await asyncio.sleep(max(_LOOK_S, cost / _SHARE))
            if not self._pages:
                self._wanted_now.clear()
                await self._wanted_now.wait()
            with contextlib.suppress(OSError):
                cost = await self._look()

    async def _look(self) -> float:
        """Look which systems run; return the seconds of processor time that it took."""
        systems, cost = await asyncio.to_thread(counted, self._find)
        if self._wanted is not None:
            wanted = self._wanted
            systems = [view for view in systems if wanted in (view.name, str(view.pid), view.path)]
        if systems != self.systems:
            self.systems = systems
            turn, self._turn = self._turn, asyncio.Event()
            turn.set()
        return cost

    def _said(self, view: SystemView) -> dict[str, Any]:
        return {
            "key": key_of(view),
            "name": view.name,
            "pid": view.pid,
            "python": view.python,
            "version": view.version,
            "argv": list(view.argv),
            "cwd": view.cwd,
            "started": view.started,
        }
