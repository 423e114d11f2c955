"""Who runs the actors of this thread's deterministic systems while a task of its event loop waits.

Layer: local. Runs in: one process, any thread.
Owns: the table of them by thread.
Never: is more than one look at an empty table where there is no such system.

In such a system actors run while the program waits. A program that waits in tasks of an event loop
of its own waits for the loop, which knows nothing of actors. So whoever has a task wait says so
here, and the system's driver has its turn among what the loop has ready.
"""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["DRIVERS", "Driver", "Port"]


class Port(Protocol):
    """An event loop, as what is brought to it (`runtime.loop_port.LoopPort`).

    Attributes:
        turns_due: turns of drivers that are among what is ready in the loop.
        on_post: are called when something is brought, by whoever brings it.
    """

    turns_due: int
    on_post: Any

    @property
    def loop(self) -> Any:
        """The event loop; None: it is gone."""

    @property
    def has_due(self) -> bool:
        """Whether something was brought and is not handed out yet."""


class Driver(Protocol):
    """Runs the actors of one system."""

    def wait_for(self, port: Port, future: Any, whose: Any) -> None:
        """Let actors run while a task waits.

        Args:
            port: of the loop that runs in this thread.
            future: for what.
            whose: transport of the system that brings it; None: it may well never come. No time
                passes for what another system brings.
        """


#: By the number of a thread: what drives the systems whose actors run as it waits.
DRIVERS: dict[int, list[Driver]] = {}
