"""Work of a pool's own beside its callers: a thread, or a task where one thing runs at a time.

Layer: pool. Runs in: the pool's process.
Owns: nothing: a thread ends with its work.
Never: keeps the program from ending.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from procactors.wire.transport import Transport

__all__ = ["start_aside"]


class _Once:
    """A task of one step (see `local.engine.Task`)."""

    is_queued = is_running = False
    bell: object = None

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action

    def run(self) -> float | None:
        """Do it."""
        self._action()
        return None


def start_aside(transport: Transport, name: str, action: Callable[[], None]) -> None:
    """Have something done once, aside; it may wait, and must not raise."""
    if transport.beside is not None:
        transport.beside(_Once(action), name)
    else:
        threading.Thread(target=action, name=f"procactors-{name}", daemon=True).start()
