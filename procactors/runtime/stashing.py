"""Putting messages aside, and who is to take messages as values.

Layer: runtime. Runs in: actor, main thread; loaded where it is used.
Owns: nothing: what is put aside is in the hands table.
Never: puts more aside than it says: an actor that never takes them up again would fill the disk.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any

from procactors.errors import InvalidSpec, MailboxFull
from procactors.late import late
from procactors.model.handlers import kind_of, refusal
from procactors.runner.loop import Loop
from procactors.runner.method_table import table_of
from procactors.runtime.forwarding import message_in_hand
from procactors.wire.mailbox.hands import STASHED
from procactors.wire.transport import Transport

if TYPE_CHECKING:
    import inspect
else:
    inspect = late("inspect")

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
        InvalidSpec: it cannot be called, does not return its result, or does not take the message;
            or nobody can send messages as values to such an actor.
    """
    if not table_of(cls).receives:
        raise InvalidSpec(
            f"become has messages as values handled by another function than receive, and "
            f"{cls.__qualname__} has no receive, so none is ever sent to it: define "
            f"receive(self, message)"
        )
    if not callable(handler):
        raise InvalidSpec(
            f"become takes a function or a bound method that takes the message, not {handler!r}"
        )
    kind = kind_of(getattr(handler, "__func__", handler))
    if kind and not (kind == "async def" and table_of(cls).is_async):
        raise InvalidSpec(f"become takes a plain function, and {handler!r} is {kind}")
    if not _takes_message(handler):
        name = getattr(handler, "__name__", "")
        is_unbound = name and getattr(cls, name, None) is handler
        raise InvalidSpec(
            f"become takes what can be called with the message alone, and {handler!r} cannot; "
            + (f"say become(self.{name})" if is_unbound else "give it one parameter")
        )
    return handler  # type: ignore[no-any-return]  # it is callable


def _takes_message(handler: Callable[..., Any]) -> bool:
    """Whether a call with one argument fits."""
    code: Any = getattr(getattr(handler, "__func__", handler), "__code__", None)
    is_plain = code is not None and not code.co_kwonlyargcount
    if is_plain and code.co_argcount - isinstance(handler, MethodType) == 1:
        return True  # nearly all, and at once: states change often
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):  # code in C may not say what it takes
        return True
    return refusal(signature, (None,), {}) is None
