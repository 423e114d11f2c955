"""An actor's asyncio event loop: made when its class has coroutines, and wound up at the end.

Layer: runner. Runs in: actor, main thread.
Owns: the event loop (`wind_up`).
Never: waits for what does not end: the supervisor's deadlines see to that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Generator
from time import monotonic
from typing import Any

#: Seconds for which the tasks of a life that is over may unwind.
_UNWIND_S = 1.0

__all__ = ["EventLoop", "Stepped", "awaited", "is_awaitable"]


class EventLoop:
    """The event loop of one life, by the policy that the actor's module may have set.

    Attributes:
        loop: it.
    """

    def __init__(
        self, make: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    ) -> None:
        self.loop = make()
        asyncio.set_event_loop(self.loop)

    def finish(self, value: Any) -> Any:
        """Return a value, or, of an awaitable, what comes of it: the loop runs so long."""
        if not is_awaitable(value):
            return value
        return self.loop.run_until_complete(awaited(value))

    def wind_up(self) -> None:
        """Cancel what user code has left running, and wait for it; then close the loop."""
        tasks = self._cancel_all()
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                said = {"message": "unhandled exception in a task that was cancelled at the end"}
                self.loop.call_exception_handler({**said, "exception": error, "task": task})
        asyncio.set_event_loop(None)
        self.loop.close()

    def abandon(self) -> None:
        """Close the loop of a life that has failed or was killed; what awaits there is cancelled.

        What does not leave then in a moment is left behind, and nothing is said of it.
        """
        loop = self.loop
        if loop.is_closed():
            return
        loop.set_exception_handler(lambda _loop, _about: None)
        tasks = self._cancel_all()
        if tasks:
            # So wide: whatever what unwinds raises, the loop is to be closed.
            with contextlib.suppress(BaseException):
                self.unwind(tasks)
        asyncio.set_event_loop(None)
        loop.close()

    def unwind(self, tasks: list[asyncio.Task[Any]]) -> None:
        """Let go on, for a moment, what was cancelled."""
        self.loop.run_until_complete(asyncio.wait(tasks, timeout=_UNWIND_S))

    def _cancel_all(self) -> list[asyncio.Task[Any]]:
        # By their hashes: where those are drawn from a seed, so is this order.
        tasks = sorted(asyncio.all_tasks(self.loop), key=hash)
        for task in tasks:
            task.cancel()
        return tasks


def is_awaitable(value: object) -> bool:
    """Whether a handler has returned what is still to be awaited."""
    return hasattr(type(value), "__await__")


async def awaited(value: Awaitable[Any]) -> Any:
    """Return what comes of an awaitable; a coroutine, as an event loop wants it."""
    return await value


class Stepped(Coroutine[Any, Any, Any]):
    """A handler's coroutine that notes when one of its steps has held up the event loop.

    Args:
        inner: the coroutine.
        limit_s: seconds that a step may take.
        report: called with the seconds that one took which was longer.
        clock: by which they are taken.
    """

    __slots__ = ("_clock", "_inner", "_limit_s", "_report")

    def __init__(
        self,
        inner: Coroutine[Any, Any, Any],
        limit_s: float,
        report: Callable[[float], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._inner = inner
        self._limit_s = limit_s
        self._report = report
        self._clock = clock

    def send(self, value: Any) -> Any:
        """Take the next step."""
        began = self._clock()
        try:
            return self._inner.send(value)
        finally:
            if (took_s := self._clock() - began) > self._limit_s:
                self._report(took_s)

    def throw(self, *error: Any) -> Any:
        """Take the next step, with an exception."""
        began = self._clock()
        try:
            return self._inner.throw(*error)
        finally:
            if (took_s := self._clock() - began) > self._limit_s:
                self._report(took_s)

    def close(self) -> None:
        """End the coroutine."""
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()

    def __getattr__(self, name: str) -> Any:
        # Its frame, code and name: for a task's stack, and for people.
        return getattr(self._inner, name)
