"""The event loop of one life of an actor in this process: made by its engine, and wound up.

Layer: local. Runs in: one process, in the thread that serves the actor just now.
Owns: the event loop (`wind_up`, `abandon`).
Never: lets a killed life wait for what it awaits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from procactors.runner.event_loop import EventLoop

__all__ = ["LocalEvents"]


class LocalEvents(EventLoop):
    """The event loop of one life.

    Args:
        engine: runs it.
        life: whose.

    Attributes:
        wake: has the loop look at its mailbox, once it does. From any thread.
    """

    def __init__(self, engine: Any, life: Any) -> None:
        super().__init__(lambda: engine.new_event_loop(life))
        self._life = life
        self._is_stepped = engine.is_virtual
        self.wake: Callable[[], None] | None = None

    def unwind(self, tasks: list[Any]) -> None:
        """Let go on, for a moment, what was cancelled; a time of our own stands still."""
        if self._is_stepped:
            loop: Any = self.loop
            loop.unwind()
        else:
            super().unwind(tasks)

    # What a task's bell is to the thread that serves it (`threads.Threads`).

    def set(self) -> None:
        """Have the thread of the life look what there is. From any thread."""
        with contextlib.suppress(RuntimeError):  # it is being closed
            if self.wake is not None:
                self.wake()
            if self._life.is_dead:
                # It may be in a hook, which waits for whatever it likes.
                self.loop.call_soon_threadsafe(self.loop.stop)
