"""One system's changes, as they go to all pages that look at it.

Layer: dashboard. Runs in: the dashboard's process, in its event loop; looks in worker threads.
Owns: its watch, troubles and latencies; three tasks (`close`).
Never: keeps what a slow page has not taken: that gets the whole again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from procactors.dashboard import sse
from procactors.dashboard.latencies import Latencies
from procactors.dashboard.thrift import counted
from procactors.dashboard.troubles import Troubles
from procactors.dashboard.watch import Watch
from procactors.errors import ProcActorsError
from procactors.outside.guest import NoAnswer, OtherVersion
from procactors.outside.systems import NoSystem, SystemView

__all__ = ["Feed"]

_log = logging.getLogger("procactors")

#: Seconds between two looks while a page is there, and while none is: plots have a past then, too.
_LOOK_S, _ALONE_S = 0.5, 5.0
#: A look over many actors costs more: they take this part of one core at most.
_SHARE = 0.05
#: Seconds between two questions to the parent, where no crash was seen meanwhile.
_ASK_S = 2.0
#: Seconds between questions behind a crash that was seen, and how many there are of these.
_SOON_S, _TRIES = 0.3, 4
#: Seconds between two looks at how long handlers take, and the part of one core for them at most.
_MEASURE_S, _MEASURE_SHARE = 2.0, 0.02


class Feed:
    """The changes of one system.

    Args:
        view: the system.

    Attributes:
        watch: what is known by looking.
        troubles: what its parent tells.
        latencies: how long its handlers take.
    """

    def __init__(self, view: SystemView) -> None:
        self.view = view
        self.watch = Watch(view)
        self.troubles = Troubles(view.path)
        self.latencies = Latencies(view.path)
        #: Why the parent tells nothing; None while it does.
        self.silence: str | None = None
        self.pages = 0
        self._number = 0
        self._last = b""
        self._turn = asyncio.Event()
        self._hurry = asyncio.Event()
        self._crashed = asyncio.Event()
        #: Questions that follow soon: a crash was seen, and its report waits for the peak memory.
        self._owed = 0
        # The watch is looked at by one thread at a time, and pages read it in between.
        self._busy = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Begin to look. In the event loop; the constructor reads, and may run beside it."""
        actions = (self._look_on, self._ask_on, self._measure_on)
        self._tasks = [asyncio.create_task(self._guarded(action)) for action in actions]

    @property
    def has_ended(self) -> bool:
        """Whether the system is gone."""
        return self.watch.ended is not None

    async def close(self) -> None:
        """End the tasks, and leave the system."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.watch.close()
        await asyncio.to_thread(self.troubles.close)

    async def changes(self) -> AsyncIterator[bytes]:
        """Yield the whole, then each change, as server-sent events; for ever, also after the end.

        A page that is too slow for a change gets the whole again.
        """
        self.pages += 1
        self._hurry.set()
        try:
            number: int | None = None  # of the last change that this page has
            while True:
                turn = self._turn
                if number == self._number:
                    await turn.wait()
                elif number is not None and number == self._number - 1:
                    number = self._number
                    yield self._last
                else:
                    async with self._busy:
                        number = self._number
                        whole = self._whole()
                    yield whole
        finally:
            self.pages -= 1

    def _whole(self) -> bytes:
        known = {
            **self.watch.whole(),
            "crashes": list(self.troubles.crashes),
            "letters": self.troubles.letters,
            "silence": self.silence,
            "latencies": list(self.latencies.past),
        }
        return sse.event("whole", known)

    def _tell(self, change: dict[str, Any]) -> None:
        """Give a change to all pages."""
        self._number += 1
        self._last = sse.event("change", change)
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()

    async def _guarded(self, action: Callable[[], Awaitable[None]]) -> None:
        """Go on with an action until the system ends; an error of our own is said, and tried again.

        So wide because the page would else show what was, as if it were now, without a word.
        """
        while not self.has_ended:
            try:
                await action()
            except Exception as error:  # noqa: BLE001 - see above
                _log.exception("the dashboard met an error of its own, and goes on")
                self._tell({"silence": f"the dashboard met an error: {error!r}"})
                await asyncio.sleep(_ASK_S)

    async def _look_on(self) -> None:
        while not self.has_ended:
            async with self._busy:
                change, cost = await asyncio.to_thread(counted, self.watch.look)
                self._tell(change)
            if any(event["kind"] in ("crashed", "gave up") for event in change.get("events", ())):
                self._owed = _TRIES
                self._crashed.set()
            await asyncio.sleep(max(_LOOK_S, cost / _SHARE))
            if not self.pages:
                await self._pause(self._hurry, _ALONE_S)

    async def log_after(self, number: int) -> list[dict[str, Any]]:
        """Return what the actors have logged behind the record of that number."""
        async with self._busy:
            return await asyncio.to_thread(self.watch.log.after, number)

    async def _measure_on(self) -> None:
        while not self.has_ended:
            cost = 0.0
            if self.pages:
                with contextlib.suppress(OSError, ProcActorsError):  # it has just ended
                    news, cost = await asyncio.to_thread(counted, self.latencies.look)
                    self._tell(news)
            await asyncio.sleep(max(_MEASURE_S, cost / _MEASURE_SHARE))

    async def _ask_on(self) -> None:
        """Ask the parent; beside the looks, since it may be stuck."""
        while not self.has_ended:
            if self.pages:
                news = await self._asked()
                if news:
                    self._tell(news)
                self._owed = 0 if "crashes" in news else max(0, self._owed - 1)
            await self._pause(self._crashed, _SOON_S if self._owed else _ASK_S)

    async def _asked(self) -> dict[str, Any]:
        news: dict[str, Any] = {}
        silence = None
        try:
            news = await asyncio.to_thread(self.troubles.look)
        except (NoAnswer, OtherVersion, NoSystem, ProcActorsError, OSError) as error:
            silence = str(error)
            await asyncio.to_thread(self.troubles.close)
        if silence != self.silence and not self.has_ended:
            self.silence = news["silence"] = silence
        return news

    async def _pause(self, sooner: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(sooner.wait(), seconds)
        sooner.clear()
