"""A wish to stop, kept from the moment a signal comes until the job looks.

Layer: demo. Runs in: parent.
Owns: nothing; the command line installs the signal handlers that call it.
Never: raises in a signal handler at the first signal: an exception there may land in a
    finalizer, where Python prints it and carries on.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StopAsked", "StopRequest"]


class StopAsked(Exception):
    """The job ended early because a signal asked it to.

    Attributes:
        signum: the signal, as a member of ``signal.Signals``.
    """

    def __init__(self, signum: int) -> None:
        self.signum = signal.Signals(signum)
        super().__init__(f"stopped by {self.signum.name}")


class StopRequest:
    """Remembers the first signal and wakes whoever waits; a second Ctrl-C does not wait any more.

    An instance is a signal handler. The job calls ``check`` between two pieces of work.
    """

    def __init__(self) -> None:
        self._signum: int | None = None
        self._wake: Callable[[], None] | None = None

    def __call__(self, signum: int, frame: object) -> None:
        """Note the signal.

        Raises:
            KeyboardInterrupt: a Ctrl-C after a first signal; who presses twice is in a hurry.
        """
        if self._signum is None:
            self._signum = signum
            if self._wake is not None:
                self._wake()
        elif signum == signal.SIGINT:
            raise KeyboardInterrupt

    def on_request(self, wake: Callable[[], None]) -> None:
        """Set what is called when the signal comes; it runs inside a signal handler."""
        self._wake = wake

    def check(self) -> None:
        """Return if nobody asked to stop.

        Raises:
            StopAsked: a signal came.
        """
        if self._signum is not None:
            raise StopAsked(self._signum)
