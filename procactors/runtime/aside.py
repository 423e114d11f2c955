"""Calls that may block, beside an event loop that awaits them: in threads of their own.

Layer: runtime. Runs in: any process with an event loop.
Owns: a thread for each call, until that returns.
Never: the loop's default executor: its few threads are the application's, and a loop that is closed
waits for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import sys
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from procactors.errors import ProcActorsError
from procactors.runtime.loop_port import LoopPort, port_here

__all__ = ["aside", "to_the_end"]

T = TypeVar("T")


async def aside(call: Callable[..., T], *args: Any, undo: Callable[[T], object] | None = None) -> T:
    """Make a call that may block, in a thread, and return what it returns.

    Cancelled, it is left at once. The call goes on, and what it returns is passed to `undo`, in
    its thread.
    """
    errand = _Errand(port_here(), functools.partial(call, *args))
    try:
        await errand.end()
    except BaseException:
        errand.leave(undo)
        raise
    return errand.outcome()


async def to_the_end(call: Callable[[], T], *harder: Callable[[], Any]) -> T:
    """Make a call that may block, in a thread, and wait for its end even when cancelled.

    Each cancellation makes the next call of `harder` beside it, which is to bring the end closer;
    when there are no more, it is only waited for. The cancellation is raised when all are over.
    """
    port, ways = port_here(), list(harder)
    first = _Errand(port, call)
    errands = [first]
    cancelled: asyncio.CancelledError | None = None
    with _shield():
        while errands:
            try:
                await errands[0].end()
            except asyncio.CancelledError as error:
                cancelled = error
                if ways:
                    errands.append(_Errand(port, ways.pop(0)))
            else:
                errands.pop(0)
    if cancelled is not None:
        try:
            raise cancelled
        finally:
            del cancelled  # no circle with the traceback, which has this frame
    return first.outcome()


def _shield() -> contextlib.AbstractContextManager[Any]:
    """Return what holds off anyio's cancellation, which comes anew in each turn of the loop."""
    anyio = sys.modules.get("anyio")
    return contextlib.nullcontext() if anyio is None else anyio.CancelScope(shield=True)


class _Errand(Generic[T]):
    """One call in a thread of its own, which begins at once."""

    def __init__(self, port: LoopPort, call: Callable[[], T]) -> None:
        self._port = port
        self._call: Callable[[], T] | None = call
        self._value: T | None = None
        self._error: BaseException | None = None
        self._undo: Callable[[T], object] | None = None
        self._is_over = self._is_left = False
        # Guards the end and the leaving: one of both sees the other.
        self._lock = threading.Lock()
        self._future: asyncio.Future[None] | None = None
        context = contextvars.copy_context()
        port.begin(functools.partial(context.run, self._run))

    def end(self) -> asyncio.Future[None]:
        """Return what is done when the call is over; it may be cancelled and asked for again."""
        self._future = self._port.new_future()
        if self._is_over:
            self._future.set_result(None)
        return self._future

    def release(self) -> None:
        """Let the task go on that waits for the end."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def outcome(self) -> T:
        """Return what the call has returned, or raise what it has raised."""
        value, error = self._value, self._error
        self._value = self._error = None
        if error is None:
            return value  # type: ignore[return-value]
        try:
            raise error
        finally:
            del self, error  # no circle with the traceback, which has this frame

    def leave(self, undo: Callable[[T], object] | None) -> None:
        """Want the call's outcome no more: have it undone."""
        with self._lock:
            self._is_left, self._undo = True, undo
            is_over = self._is_over
        if is_over and undo is not None:
            self._port.begin(self._take_back)

    def _run(self) -> None:
        call, self._call = self._call, None
        assert call is not None
        try:
            self._value = call()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's
            self._error = error
        del call
        with self._lock:
            self._is_over = True
            is_left = self._is_left
        if is_left:
            self._take_back()
        else:
            self._port.post(self)

    def _take_back(self) -> None:
        if self._error is None and self._undo is not None:
            # Its system may be stopped by now, and all with it.
            with contextlib.suppress(ProcActorsError):
                self._undo(self._value)  # type: ignore[arg-type]
