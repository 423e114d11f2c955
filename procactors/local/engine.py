"""What the parts of a system in one process need of an engine: who runs next, time, waiting.

Layer: local. Runs in: one process, any thread.
Owns: nothing.
Never: knows what a message is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Alarm", "Engine", "Task", "VirtualEngine", "Waiter"]


class Task(Protocol):
    """Something that is done in steps, one at a time: an actor's life, the supervisor, callbacks.

    Attributes:
        is_queued: the engine's: its next step is to come.
        is_running: the engine's: it is in a step, which may wait for something.
        bell: the engine's: what wakes the thread that serves it.
    """

    is_queued: bool
    is_running: bool
    bell: object

    def run(self) -> float | None:
        """Take a step; return the seconds until the next one.

        0: at once. Infinity: when the engine is told so (`Engine.wake`). None: it is over.
        """


class Waiter(Protocol):
    """Something that one strand of execution waits for."""

    #: It may well never come: who waits longest for it is not told so.
    is_patient: bool

    @property
    def is_set(self) -> bool:
        """Whether it has come."""

    def set(self) -> None:
        """Say that it has come."""

    def kill(self) -> None:
        """Have who waits raise `Killed`."""


class Alarm(Protocol):
    """Something that is to be done at an instant."""

    def cancel(self) -> None:
        """Have it not be done."""


class Engine(Protocol):
    """Runs tasks.

    Attributes:
        name: of the backend, as users say it.
        is_virtual: its time is its own, and one thread runs at a time.
        yields: who sends something lets others run first, now and then.
        others: what is ready to run beside the task in a step; empty where it need not make way.
    """

    name: str
    is_virtual: bool
    yields: float
    others: list[Any]

    def now(self) -> float:
        """Return the instant, in seconds."""

    def now_ns(self) -> int:
        """Return the instant, in nanoseconds."""

    def start(self, task: Task, name: str) -> None:
        """Have a task's steps taken from now on."""

    def wake(self, task: Task) -> None:
        """Have the next step of a task taken, which may wait for that. From any thread."""

    def waiter(self) -> Waiter:
        """Return something that can be waited for."""

    def wait(self, waiter: Waiter, deadline: float | None, what: str) -> bool:
        """Wait until it has come, or the deadline has passed; return whether it has come.

        Args:
            waiter: for what.
            deadline: an instant; None: for ever.
            what: for people.

        Raises:
            Killed: the actor that waits was killed.
        """

    def at(self, when: float, action: Callable[[], None]) -> Alarm:
        """Have something done at an instant. It must neither block nor raise."""

    def later(self, callback: Callable[[], None]) -> None:
        """Have a user's callback called, outside of what runs just now."""

    def new_event_loop(self, task: Task) -> Any:
        """Return an asyncio event loop for a task that runs it in its steps."""

    def yield_(self) -> None:
        """Let others run, if the engine likes to."""

    def look(self) -> None:
        """Somebody looks whether something has come: let come what can, without time passing."""

    def bring(self, has_come: Callable[[], bool]) -> None:
        """Somebody is to wait for something by other means: let it come, if it can."""

    def close(self) -> None:
        """End what the engine has begun; no task is left."""


class VirtualEngine(Engine, Protocol):
    """An engine that says who runs, by a time of its own.

    Attributes:
        is_closed: it has ended.
        on_ready: called when something becomes ready that may be the program's doing; None: nobody
            is to be told.
    """

    is_closed: bool
    on_ready: Callable[[], None] | None

    def next_at(self) -> float:
        """Return the instant at which something is due next; infinity: nothing is."""

    def give_way(self) -> None:
        """Let others run that are ready."""

    def drive(self, waiter: Waiter, until: float | None) -> bool:
        """Let others run until something has come, or an instant; return whether it has come."""
