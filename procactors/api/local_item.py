"""An item of a stream of this process, as a task waits for it.

Layer: api. Runs in: one process, in an event loop.
Owns: nothing.
Never: blocks the loop; takes an item that its task does not get.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procactors.runtime.loop_port import LoopPort, port_here

if TYPE_CHECKING:
    from procactors.local.channel import Channel
    from procactors.local.transport import LocalTransport

__all__ = ["next_item"]


async def next_item(
    transport: LocalTransport, channel: Channel, timeout: float | None
) -> tuple[bool, Any] | None:
    """Return (True, the next item), (False, None) at the end; None: none came in time."""
    port, engine = port_here(), transport.engine
    deadline = None if timeout is None else engine.now() + timeout
    make: Callable[[], _Turn] = lambda: _Turn(port, transport)  # noqa: E731
    await asyncio.sleep(0)  # a stream that never rests lets other tasks run
    while not isinstance(found := channel.look(make), tuple):
        if deadline is not None and engine.now() >= deadline:
            return None
        alarm = None if deadline is None else engine.at(deadline, found.set)
        try:
            await found.future
        finally:
            if alarm is not None:
                alarm.cancel()
    return found


class _Turn:
    """A task's wait; see `local.engine.Waiter`."""

    def __init__(self, port: LoopPort, transport: LocalTransport) -> None:
        self._port = port
        self.future = port.new_future(transport)

    def set(self) -> None:
        """Say that something has come. From any thread."""
        self._port.post(self)

    def release(self) -> None:
        """Let the task go on. In the loop's thread."""
        if not self.future.done():
            self.future.set_result(None)
