"""The engines of a system on a cluster: the program's, and that of an actor's process.

Layer: cluster. Runs in: the program and the actors' processes, any thread.
Owns: nothing beside its base's.
Never: takes a step of an actor's life in the program.

A message is handled in the very thread in which Ray hands it over: to wake another one, and to
wait for that, costs half as much as the whole call where the machine is busy. That thread is the
only one of its kind, so an actor has one thread for all that it does. What is to be done in it
without a message, as a timer, waits for a turn, which the program gives.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

from procactors.local.threads import Threads

__all__ = ["ClusterEngine", "LifeEngine"]


class ClusterEngine(Threads):
    """The engine of `backend="ray"`."""

    name = "ray"


class LifeEngine(ClusterEngine):
    """The same in an actor's process.

    Args:
        ask_for_turn: has the program call `turn` here.
    """

    def __init__(self, ask_for_turn: Callable[[], None]) -> None:
        super().__init__()
        self._ask_for_turn = ask_for_turn
        self._threads_wake = self.wake
        self.wake = self._wake
        # After each message its result goes, whatever else there is to do.
        self.others = [None]
        #: The life, if it goes without a thread of its own.
        self._life: Any = None
        self._thread = 0
        self._is_asked = False
        self._alarm: Any = None

    def adopt(self, life: Any) -> None:
        """Serve a life in the thread of those that call `step`, from now on."""
        self._thread = threading.get_ident()
        self._life = life

    @property
    def has_life(self) -> bool:
        """Whether there is such a life, and no thread for it."""
        return self._life is not None

    def step(self) -> bool:
        """Take a step of the life; return whether it is to be asked for another one, or is over."""
        self._is_asked = False
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        wait = self._life.run()
        if wait is None:
            return False
        if not wait:
            return True
        if wait != math.inf:
            self._alarm = self.at(self.now() + wait, self._ask)
        return False

    def more(self) -> None:
        """There is more to do: ask for a turn."""
        self._ask()

    def _wake(self, task: Any) -> None:
        if task is not self._life:
            self._threads_wake(task)
        elif threading.get_ident() != self._thread:
            self._ask()

    def _ask(self) -> None:
        if not self._is_asked:
            self._is_asked = True
            self._ask_for_turn()
