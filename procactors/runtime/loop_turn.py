"""A task's place among those that wait for a reply: threads have locks there, a task has this.

Layer: runtime. Runs in: any process with an event loop: `release` in the thread that ends the
reply.
Owns: its place in the reply's list, while it is awaited.
Never: carries what came of the reply: `asyncio` refuses some exceptions (a `StopIteration`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any

from procactors.runtime.loop_port import port_here

__all__ = ["LoopTurn"]


class LoopTurn:
    """Iterate it (``yield from``) to wait until it is released.

    Args:
        sleepers: the list of those that the end of the reply releases.
        is_ended: whether the reply has ended.
    """

    def __init__(self, sleepers: list[Any], is_ended: Callable[[], bool]) -> None:
        self._sleepers = sleepers
        self._is_ended = is_ended
        self._port = port_here()
        self._woken = _Woken(self._port.new_future())

    def release(self) -> None:
        """Wake the task. In any thread."""
        self._port.post(self._woken)

    def __iter__(self) -> Generator[Any, None, None]:
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

    def __init__(self, future: Any) -> None:
        self.future = future

    def release(self) -> None:
        """Let the task go on. In the loop's thread."""
        if not self.future.done():
            self.future.set_result(None)
