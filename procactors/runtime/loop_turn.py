"""A task's place among those that wait for a reply: threads have locks there, a task has this.

Layer: runtime. Runs in: any process with an event loop; `release` in the thread that ends the
reply.
Owns: its place in the reply's list, while it is awaited.
Never: carries what came of the reply: `asyncio` refuses some exceptions (a `StopIteration`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator
from typing import Any, Protocol

from procactors.runtime.aside import aside
from procactors.runtime.loop_port import port_here
from procactors.wire.transport import Transport

__all__ = ["Awaitable", "LoopTurn", "opened", "turn_of"]


class Awaitable(Protocol):
    """What is needed of a `Reply` here, which imports this module."""

    _endpoint: Transport
    _sleepers: list[Any]

    def done(self) -> bool:
        """Whether it has ended."""

    def cancelled(self) -> bool:
        """Whether it was cancelled."""

    def want_no_more(self) -> None:
        """Give it up, and cancel its message; does not wait."""

    def _is_large(self) -> bool: ...

    def _open(self) -> None: ...


def opened(reply: Awaitable) -> Generator[Any, None, None]:
    """Wait for the end of a reply, and for its decoding if that may take long (``yield from``).

    Raises:
        asyncio.CancelledError: the task was cancelled, and with it the reply; or the reply was.
    """
    try:
        if not reply.done():
            reply._endpoint.check_copy()  # where no thread reads the answers
            yield from turn_of(reply).__await__()
        if reply.cancelled():
            raise asyncio.CancelledError
        if reply._is_large():
            yield from aside(reply._open).__await__()
    except asyncio.CancelledError:
        reply.want_no_more()
        raise


def turn_of(reply: Awaitable) -> LoopTurn:
    """Return a task's place among those that wait for the end of a reply."""
    return LoopTurn(reply._sleepers, reply.done, reply._endpoint)


class LoopTurn:
    """Await it to wait until it is released.

    Args:
        sleepers: the list of those that the end of the reply releases.
        is_ended: whether the reply has ended.
        whose: transport of its system.
    """

    def __init__(self, sleepers: list[Any], is_ended: Callable[[], bool], whose: Transport) -> None:
        self._sleepers = sleepers
        self._is_ended = is_ended
        self._port = port_here()
        self._woken = _Woken(self._port.new_future(whose))

    def release(self) -> None:
        """Wake the task. In any thread."""
        self._port.post(self._woken)

    def __await__(self) -> Generator[Any, None, None]:
        self._sleepers.append(self)
        try:
            # Behind the entry, as a thread does it: who ends the reply sets its state first.
            if not self._is_ended():
                yield from self._woken.future
        finally:
            with contextlib.suppress(ValueError):
                self._sleepers.remove(self)


class _Woken:
    """What the loop lets go on."""

    def __init__(self, future: asyncio.Future[None]) -> None:
        self.future = future

    def release(self) -> None:
        """Let the task go on. In the loop's thread."""
        if not self.future.done():
            self.future.set_result(None)
