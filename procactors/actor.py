"""What an actor sees from inside: the base class with its hooks, and the context.

Layer: api. Runs in: actor, main thread.
Owns: nothing.
Never: is needed: any class will do as an actor; this one adds hooks and `context`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from procactors.handle import Spawner, SystemHandle
from procactors.ref import ActorRef
from procactors.supervision.crash import CrashReport, ExitReason

if TYPE_CHECKING:
    from procactors.process.loop import Loop

__all__ = ["Actor", "Context", "set_current"]

T = TypeVar("T")
P = ParamSpec("P")


class Context:
    """The actor's view of itself and of its system; valid inside the actor only.

    Attributes:
        ref: the actor's own ref, to be sent to others.
        parent: ref of the actor that spawned this one; None if the main program did.
        system: the system: find others by name.
        incarnation: which life this is, from 1.
    """

    def __init__(
        self,
        handle: SystemHandle,
        ref: ActorRef[Any],
        parent: ActorRef[Any] | None,
        incarnation: int,
    ) -> None:
        self.ref = ref
        self.parent = parent
        self.system = handle
        self.incarnation = incarnation
        self._loop: Loop | None = None
        self._children = False
        self._leaving = False

    @property
    def log(self) -> logging.Logger:
        """A logger named after the actor."""
        return logging.getLogger(f"procactors.actor.{self.ref.name}")

    def spawn(self, cls: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> ActorRef[T]:
        """Start a child: it is stopped with this actor, and before its next life.

        Blocks until the child's `on_start` is done.

        Raises:
            SpawnError: its constructor or `on_start` raised.
        """
        return self.options().spawn(cls, *args, **kwargs)

    def options(self, **options: Any) -> Spawner:
        """Return a spawner of children with options (see `Options`).

        Raises:
            InvalidSpec: an unknown option or a value that makes no sense.
        """
        self._children = True
        return self.system.child_spawner(options)

    def stop(self) -> None:
        """Stop this actor after the message in hand; it ends as `normal`.

        What is left in its mailbox is answered with `ActorStopped` or becomes dead letters,
        unless its restart policy is PERMANENT: then the next incarnation handles it.
        """
        self._leaving = True
        if self._loop is not None:
            self._loop.leaving = True

    @property
    def deadline(self) -> float | None:
        """Monotonic instant until which the caller of the message in hand waits; None: ever."""
        return (self._loop.deadline or None) if self._loop is not None else None

    @property
    def deliveries(self) -> int:
        """How often the message in hand has been begun: 1 unless it was redelivered."""
        return self._loop.deliveries if self._loop is not None else 0


class Actor:
    """Optional base class of actors: hooks, and `self.context`.

    All hooks run in the actor's process, in its main thread, and may be left out.
    """

    @property
    def context(self) -> Context:
        """The actor's context, from the constructor on.

        Raises:
            RuntimeError: this object is not an actor, but an instance made by hand.
        """
        if _current is None:
            raise RuntimeError(
                f"{type(self).__name__} was made by calling its class, so it has no context; "
                f"system.spawn({type(self).__name__}, ...) makes an actor"
            )
        return _current

    def on_start(self) -> None:
        """Run before the first message of each incarnation; raising makes the start fail."""

    def on_restart(self, report: CrashReport) -> None:
        """Run after `on_start` in every incarnation but the first, with the last one's death."""

    def on_stop(self, reason: ExitReason) -> None:
        """Run after the last message of an orderly end; not after a crash or a kill."""


#: This process's context: a process is one actor.
_current: Context | None = None


def set_current(context: Context | None) -> None:
    """Make `context` the one that this process's actor sees; None: there is none any more."""
    global _current  # noqa: PLW0603 - one process is one actor
    _current = context
