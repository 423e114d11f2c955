"""An event loop as other threads see it: what they bring, and how much of it in a turn.

Layer: runtime. Runs in: any process with an event loop: `post` in any thread, the rest in the
loop's.
Owns: nothing that has to be closed: a port goes with its loop.
Never: blocks; keeps a loop alive.

A wake-up of a loop is a write to its own pipe and a switch of threads, 10 µs and more. Replies come
in swarms: so what is brought is gathered, and one wake-up fetches all of it.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Callable
from threading import get_ident
from typing import Any, Protocol

from procactors.local.driving import DRIVERS

__all__ = ["Brought", "LoopPort", "port_here"]

#: Sends that begin, and deliveries that are handed out, in one turn of the loop: 0.5 ms of work.
#: Ten thousand that are begun at once would else keep everything else waiting for half a second.
_IN_A_TURN = 16


class Brought(Protocol):
    """What another thread brings to a loop."""

    def release(self) -> None:
        """Say that it is there. Called in the loop's thread; must run no user code."""


class LoopPort:
    """One event loop's deliveries and sends.

    Attributes:
        lanes: what waits to be sent from this loop (`lane.Lane`), by the actor that it is for.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._due: deque[Brought] = deque()
        self._is_woken = False
        self._room = _IN_A_TURN
        self._queue: deque[asyncio.Future[None]] = deque()
        self.lanes: dict[Any, Any] = {}
        # Whoever runs the loop begins what is to go on beside it.
        self._is_run_by_engine = hasattr(loop, "begin_aside")
        # Of drivers; and what they have called behind what is brought, by whoever brings it.
        self.turns_due = 0
        self.on_post: tuple[Callable[[], None], ...] = ()

    def post(self, brought: Brought) -> bool:
        """Have `brought` released in the loop's thread; return False if the loop is closed."""
        self._due.append(brought)
        for told in self.on_post:
            told()
        # Looked at behind the entry: `_fetch` takes the mark away before it looks at the entries.
        return (self._is_woken and not self.is_closed()) or self._wake()

    def is_of(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether it is this loop's."""
        return self._loop() is loop

    def is_closed(self) -> bool:
        """Whether nothing more will run in the loop."""
        loop = self._loop()
        return loop is None or loop.is_closed()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop; None: it is gone."""
        return self._loop()

    @property
    def has_due(self) -> bool:
        """Whether something was brought and is not handed out yet."""
        return bool(self._due)

    def new_future(self, whose: Any = None) -> asyncio.Future[None]:
        """Return a future of the loop, which runs in this thread: for what others bring.

        Args:
            whose: transport of the system that brings it for certain; None: it may never come.

        Raises:
            UnsupportedOnBackend: actors of that system do not run while this thread waits.
        """
        future = self._own_future()
        if DRIVERS and not self._is_run_by_engine:
            drivers = DRIVERS.get(get_ident(), ())
            if not drivers and whose is not None and not whose.has_threads:
                whose.refuse("threads")
            for driver in drivers:
                driver.wait_for(self, future, whose)
        return future

    def begin(self, call: Callable[[], None]) -> None:
        """Begin a call that may block, beside the loop.

        In a thread of its own; where actors run only while this thread waits, here and now.
        """
        loop: Any = self._loop()
        if self._is_run_by_engine:
            loop.begin_aside(call)
        elif DRIVERS and get_ident() in DRIVERS:
            call()
        else:
            threading.Thread(target=call, name="procactors-aside", daemon=True).start()

    def _own_future(self) -> asyncio.Future[None]:
        loop = self._loop()
        assert loop is not None
        return loop.create_future()

    def enter(self) -> asyncio.Future[None] | None:
        """Begin a send; return None, or what is to be awaited first as this turn has done enough.

        Also what lets other tasks run in a loop over sends that need no waiting.
        """
        if self._room:
            self._room -= 1
            return None
        if not self._queue:
            asyncio.get_running_loop().call_soon(self._renew)
        turn = self._own_future()
        self._queue.append(turn)
        return turn

    def _renew(self) -> None:
        room, queue = _IN_A_TURN, self._queue
        while room and queue:
            turn = queue.popleft()
            if not turn.done():  # else its task was cancelled
                turn.set_result(None)
                room -= 1
        self._room = room
        if queue:
            asyncio.get_running_loop().call_soon(self._renew)

    def _wake(self) -> bool:
        loop = self._loop()
        if loop is None:
            return False
        self._is_woken = True
        try:
            loop.call_soon_threadsafe(self._fetch)
        except RuntimeError:  # closed
            self._due.clear()
            return False
        return True

    def _fetch(self) -> None:
        self._is_woken = False
        due = self._due
        try:
            for _ in range(min(len(due), _IN_A_TURN)):
                due[0].release()
                due.popleft()  # behind it: a signal handler may raise between the two
        finally:
            if due and not self._is_woken:
                self._is_woken = True
                asyncio.get_running_loop().call_soon(self._fetch)


_ports: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopPort] = weakref.WeakKeyDictionary()

#: The port that each thread has asked for last: it nearly always asks for the same.
_last = threading.local()


def port_here() -> LoopPort:
    """Return the port of the loop that runs in this thread.

    Raises:
        RuntimeError: none does.
    """
    loop = asyncio.get_running_loop()
    port: LoopPort | None = getattr(_last, "port", None)
    if port is not None and port.is_of(loop):
        return port
    port = _ports.get(loop)
    if port is None:
        port = _ports[loop] = LoopPort(loop)
    _last.port = port
    return port
