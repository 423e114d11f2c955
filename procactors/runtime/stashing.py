"""Putting messages aside, and who is to take messages as values.

Layer: runtime. Runs in: actor, main thread; loaded where it is used.
Owns: nothing: what is put aside is in the hands table.
Never: puts more aside than it says: an actor that never takes them up again would fill the disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from procactors.errors import InvalidSpec, MailboxFull
from procactors.model.handlers import kind_of
from procactors.runner.loop import Loop
from procactors.runner.method_table import table_of
from procactors.runtime.forwarding import message_in_hand
from procactors.wire.mailbox.hands import STASHED
from procactors.wire.transport import Transport

__all__ = ["STASH_LIMIT", "check_handler", "stash"]

#: Messages that an actor may have put aside: 4 MiB of its runtime directory.
STASH_LIMIT = 1000


def stash(loop: Loop | None, transport: Transport, name: str) -> None:
    """Put the message in hand aside; see `Context.stash`.

    Args:
        loop: the actor's; None: it serves nothing yet.
        transport: of this process.
        name: the actor's, for the error.
    """
    message_in_hand(loop, transport, "be stashed")
    assert loop is not None
    if loop.held.stashed() >= STASH_LIMIT:
        raise MailboxFull(
            f"{name} has put {STASH_LIMIT} messages aside, which is as many as it may: "
            f"unstash_all() has them begun again"
        )
    loop.put_aside(STASHED)


def check_handler(handler: Any, cls: type) -> Callable[[Any], Any]:
    """Return what messages may be given to.

    Args:
        handler: what is given to `become`.
        cls: the actor's class: one with ``async def`` handlers may become another such.

    Raises:
        InvalidSpec: it cannot be called, or does not return its result.
    """
    if not callable(handler):
        raise InvalidSpec(
            f"become takes a function or a bound method that takes the message, not {handler!r}"
        )
    kind = kind_of(getattr(handler, "__func__", handler))
    if kind and not (kind == "async def" and table_of(cls).is_async):
        raise InvalidSpec(f"become takes a plain function, and {handler!r} is {kind}")
    return handler  # type: ignore[no-any-return]  # it is callable
