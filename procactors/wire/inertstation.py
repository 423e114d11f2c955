"""The place on the wire of a system that is inert: nothing is sent, and whoever waits is told.

Layer: wire. Runs in: zygote and actor.
Owns: nothing: no directory, no descriptor, no thread.
Never: lets a message of a handler vanish.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

from procactors.nesting import importer
from procactors.wire.codec import Encoded
from procactors.wire.home import Home
from procactors.wire.station import INERT, MAIN, SUPERVISOR, Station, enter, inert_error

__all__ = ["InertStation"]

_numbers = itertools.count(1)

#: Names what a question to the supervisor was about.
_HERE = "what is used here"


class _NoHome(Home):
    """Encodes nothing, since nobody will read it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def encode(self, value: Any, what: str = "message", *, hands_over: bool = False) -> Encoded:
        return Encoded(b"", ())


class InertStation(Station):
    """What refs of an inert system find in the process that made it.

    Args:
        module: that was being imported.
    """

    def __init__(self, module: str) -> None:
        # Nothing of the base class's: all that it would open is never used.
        self.path = f"{INERT}{module}/{os.getpid()}-{next(_numbers)}"
        self.actor = MAIN
        self.home = _NoHome(self.path)
        self.module = module
        self._pid = os.getpid()
        self._callbacks = None
        enter(self)

    def check_process(self) -> None:
        """Say that nobody is there."""
        raise inert_error(_HERE, self.module)

    def tell(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        timeout: float | None = None,
    ) -> None:
        """Drop what the module itself tells while it is imported: the program's own has told it."""
        if importer() is None:
            raise inert_error(name, self.module)

    def ask(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        timeout: float | None = None,
        place_timeout: float | None = None,
    ) -> Any:
        """Raise at once: no answer will ever come."""
        raise inert_error(_HERE if actor == SUPERVISOR else name, self.module)

    def submit(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        pending: Any,
        timeout: float | None = None,
        place_timeout: float | None = None,
    ) -> None:
        """Fail the reply and not the call: a module may only want to keep the future."""
        pending.deliver(None, inert_error(name, self.module))

    def stop_in_order(self, actor: int) -> None:
        """Put nothing anywhere; the command that follows is answered with the error."""

    def words(self, actor: int) -> memoryview | None:
        """Return None: there is no black box."""
        return None
