"""Runs a deterministic system's actors while tasks of the program's event loop wait for them.

Layer: local. Runs in: one process, in the thread of the event loop.
Owns: nothing that has to be closed.
Never: holds up the loop longer than actors run without the passing of time; lets time pass while
another task of the program could go on.

    a task waits ─► the loop's other tasks have their turn ─► actors run, as when a program waits
         ▲                                                                 │
         └──── what has come is handed out ◄── to the next instant at which something is due
"""

from __future__ import annotations

import contextlib
import math
import weakref
from typing import TYPE_CHECKING, Any

from procactors.errors import AskTimeout
from procactors.local.driving import Port

if TYPE_CHECKING:
    from procactors.local.engine import VirtualEngine

__all__ = ["TaskDriver"]

#: Turns of the loop behind which its tasks that go on have gone on: one hands out what has come,
#: the next one has them run.
_TURNS = 2
#: Seconds between two looks whether the loop's tasks can go on without the actors.
_LOOK_EVERY_S = 1.0


class TaskDriver:
    """What has an engine's actors run while tasks wait; see `driving.Driver`."""

    def __init__(self, engine: VirtualEngine) -> None:
        self._engine = engine
        self._turns: weakref.WeakKeyDictionary[Port, _Turns] = weakref.WeakKeyDictionary()

    def wait_for(self, port: Port, future: Any, whose: Any) -> None:
        """Let actors run while a task waits."""
        turns = self._turns.get(port)
        if turns is None:
            turns = self._turns[port] = _Turns(self._engine, port)
        turns.add(future, is_patient=getattr(whose, "engine", None) is not self._engine)

    def close(self) -> None:
        """Let go of the loops."""
        for turns in list(self._turns.values()):
            turns.close()
        self._turns.clear()


class _Turns:
    """The engine's turns in one event loop."""

    def __init__(self, engine: VirtualEngine, port: Port) -> None:
        self._engine = engine
        self._port = weakref.ref(port)
        #: What tasks wait for, the latest last, and whether that is patient.
        self._waits: list[tuple[Any, bool]] = []
        self._is_due = self._is_looking = False
        self._calm = 0
        #: The engine's turn is on, and ends when something is brought.
        self._waiter: Any = None
        port.on_post = (*port.on_post, self._brought)

    def add(self, future: Any, *, is_patient: bool) -> None:
        """Have the engine take turns until a future is done."""
        self._waits.append((future, is_patient))
        self._calm = 0
        self._take_turn_soon()

    def close(self) -> None:
        """Be told no more of what is brought."""
        port = self._port()
        if port is not None:
            port.on_post = tuple(told for told in port.on_post if told != self._brought)

    def _brought(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            waiter.set()

    def _take_turn_soon(self) -> None:
        port = self._port()
        loop = None if port is None else port.loop
        if port is not None and loop and not self._is_due and not loop.is_closed():
            self._is_due = True
            port.turns_due += 1
            loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._is_due = False
        port, engine = self._port(), self._engine
        if port is not None:
            port.turns_due -= 1
        self._waits = [wait for wait in self._waits if not wait[0].done()]
        if port is None or not self._waits or engine.is_closed:
            return
        if port.has_due or self._calm < _TURNS:
            self._calm = 0 if port.has_due else self._calm + 1
            self._take_turn_soon()
            return
        self._calm = 0
        is_patient = all(is_patient for _, is_patient in self._waits)
        stands_still = is_patient or _has_ready(port)
        until = engine.now() if stands_still else engine.next_at()
        if self._drive(until) or port.has_due or (until < math.inf and not is_patient):
            self._take_turn_soon()
        elif is_patient:
            engine.on_ready = self._ready_again
        elif _may_go_on(port.loop):
            engine.on_ready = self._ready_again
            self._look_again(port.loop)
        else:
            self._drive(None)
            self._take_turn_soon()

    def _look_again(self, loop: Any) -> None:
        """Look from time to time whether something could still have one of the tasks go on."""
        if not self._is_looking:
            self._is_looking = True
            loop.call_later(_LOOK_EVERY_S, self._looked)

    def _looked(self) -> None:
        self._is_looking = False
        self._take_turn_soon()

    def _ready_again(self) -> None:
        """The program has sent something."""
        self._engine.on_ready = None
        port = self._port()
        loop = None if port is None else port.loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # closed
                loop.call_soon_threadsafe(self._take_turn_soon)

    def _drive(self, until: float | None) -> bool:
        """Let actors run until something is brought, or an instant; return whether it was.

        Args:
            until: the instant; None: for ever. What will never come is an error then.
        """
        engine = self._engine
        self._waiter = waiter = engine.waiter()
        try:
            return engine.drive(waiter, until)
        except AskTimeout as error:
            last = next((one for one, is_patient in reversed(self._waits) if not is_patient), None)
            if last is not None and not last.done():
                last.set_exception(error)
            return True
        finally:
            self._waiter = None


def _has_ready(port: Port) -> bool:
    """Whether another task could go on now, as far as the loop shows it."""
    return len(getattr(port.loop, "_ready", ())) > port.turns_due


def _may_go_on(loop: Any) -> bool:
    """Whether anything else than the system could have a task of a loop go on.

    As far as the loops of `asyncio` show it; of others it is taken for granted. What a thread of
    the program's may bring is not seen, unless it is one of the loop's own.
    """
    try:
        if loop._ready or any(not timer.cancelled() for timer in loop._scheduled):
            return True
        if loop._default_executor is not None:
            return True
        return bool(len(loop._selector.get_map()) > loop._internal_fds)
    except AttributeError:
        return True
