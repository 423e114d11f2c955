"""The transport of a system that is inert: nothing is sent, and the sender is told so.

Layer: wire. Runs in: zygote and actor.
Owns: nothing: no directory, no descriptor, no thread.
Never: lets a message of a handler vanish.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any, NoReturn

from procactors.nesting import importer
from procactors.wire.codec import Encoded
from procactors.wire.home import Home
from procactors.wire.reply import PendingReply
from procactors.wire.transport import INERT, MAIN, SUPERVISOR, enter, inert_error

__all__ = ["InertStation"]

_numbers = itertools.count(1)

#: Names what a question to the supervisor was about.
_HERE = "what is used here"


class InertStation:
    """What refs of an inert system find in the process that made it.

    Args:
        module: that was being imported.
    """

    def __init__(self, module: str) -> None:
        self.path = f"{INERT}{module}/{os.getpid()}-{next(_numbers)}"
        self.actor = MAIN
        self.is_abandoned = False
        self.module = module
        self.encode: Callable[..., Encoded] = _nothing
        enter(self)

    @property
    def home(self) -> Home:
        """Raise: there is no directory."""
        raise inert_error(_HERE, self.module)

    @property
    def is_copy(self) -> bool:
        """Say no: there is nothing that a copy could disturb."""
        return False

    @property
    def reply_number(self) -> int:
        """Raise: no answer will ever come."""
        raise inert_error(_HERE, self.module)

    def check_process(self) -> None:
        """Raise: the system is not there."""
        raise inert_error(_HERE, self.module)

    def check_copy(self) -> None:
        """Raise nothing: a reply that is waited for has its error already."""

    def tell(self, actor: int, name: str, *_: Any, **__: Any) -> None:
        """Drop what the module itself tells while it is imported: the program's own has told it."""
        if importer() is None:
            raise inert_error(name, self.module)

    def ask(self, actor: int, name: str, *_: Any, **__: Any) -> NoReturn:
        """Raise at once: no answer will ever come."""
        raise inert_error(_HERE if actor == SUPERVISOR else name, self.module)

    def submit(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        pending: PendingReply,
        *_: Any,
        **__: Any,
    ) -> None:
        """Fail the reply and not the call: a module may only want to keep the future."""
        pending.deliver(None, inert_error(name, self.module))

    def stop_in_order(self, actor: int) -> None:
        """Put nothing anywhere; the command that follows is answered with the error."""

    def open(self, answer: Any) -> tuple[bool, Any]:
        """Raise: no answer will ever come."""
        raise inert_error(_HERE, self.module)

    def discard(self, answer: Any) -> None:
        """Do nothing: an answer that never comes has no payload."""

    def words(self, actor: int) -> memoryview | None:
        """Return None: there is no black box."""
        return None

    def run_callback(self, callback: Callable[[], None]) -> None:
        """Run it at once: there is no thread."""
        callback()

    def on_close(self, action: Callable[[], None]) -> None:
        """Do nothing: what is not open is not closed."""

    def off_close(self, action: Callable[[], None]) -> None:
        """Do nothing."""


def _nothing(value: Any, what: str = "message", *, hands_over: bool = False) -> Encoded:
    """Encode nothing: no process will read it."""
    return Encoded(b"", ())
