"""A call beside an actor, or beside the program: what another process would do in a thread.

Layer: local. Runs in: one process, in the thread that the engine gives it.
Owns: nothing.
Never: has an effect once the actor that began it was killed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from procactors.local.here import here

__all__ = ["Aside", "Beside", "here_beside"]


class Aside:
    """One such call, as a task of the engine in one step.

    Args:
        life: of the actor that begins it; None: the program does.
        call: it.
    """

    is_queued = is_running = False
    bell: object = None

    def __init__(self, life: Any, call: Callable[[], None]) -> None:
        self._life = life
        self._call = call

    def run(self) -> float | None:
        """Make the call."""
        beside = here.life = None if self._life is None else Beside(self._life)
        try:
            self._call()
        finally:
            here.life = None
            if beside is not None:
                beside.leave()
        return None


class Beside:
    """What a thread beside an actor is to the system: the same actor, at none of its messages.

    Attributes:
        waits_for: what it waits for just now, if it does.
    """

    #: It waits beside the actor's own handlers: no circle of asks is closed by that.
    is_concurrent = True
    loop = None
    owe = None

    def __init__(self, life: Any) -> None:
        # Not that of another call beside it: their end has nothing to do with each other.
        self._life = life = getattr(life, "life", life)
        self.life = life
        self.waits_for: Any = None
        life.beside[self] = None

    def leave(self) -> None:
        """The call is over."""
        self._life.beside.pop(self, None)

    def kill(self) -> None:
        """Have the call end, if it waits for something of the system."""
        waiter = self.waits_for
        if waiter is not None:
            waiter.kill()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._life, name)


def here_beside(life: Any) -> None:
    """Have what the calling thread does from now on be done beside an actor."""
    here.life = Beside(life)
