"""A message that is begun and not answered, where several may be: the one that a handler is at.

Layer: runner. Runs in: actor, main thread; `here` in whatever its handlers run.
Owns: nothing: the slot that holds it is the hands table's.
Never: is loaded by an actor without coroutines.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procactors.wire.envelope import handler_name, open_envelope
from procactors.wire.mailbox.hands import Slot
from procactors.wire.record import Kind
from procactors.wire.shm.segments import Received

if TYPE_CHECKING:
    from procactors.runner.schedule import Timer

__all__ = ["TIMER", "Hand", "Here", "Run", "here"]

_CALL = int(Kind.CALL)
#: Kind of a hand that is no message: a timer's.
TIMER = 0


class Hand:
    """A message that is begun and not answered.

    Attributes:
        kind, key, call, reply, deadline: from its envelope; of a timer there is none.
        body: its payload.
        flags: how that is encoded.
        slot: holds it; None: it is in hand in the batch.
        received: its payload's segment, to be freed with the batch's record.
        task: runs its handler; None: that is no coroutine.
        is_taken: it is answered elsewhere, or later.
        is_put_aside: it stays in its slot when its handler has ended.
        on_raised: see `Loop`.
    """

    __slots__ = (
        "body",
        "call",
        "deadline",
        "flags",
        "is_put_aside",
        "is_taken",
        "key",
        "kind",
        "on_raised",
        "received",
        "reply",
        "slot",
        "task",
    )

    def __init__(self, record: Any, slot: Slot | None) -> None:
        self.kind, self.flags, body = record
        self.key, self.call, self.reply, self.deadline = b"", 0, 0, 0.0
        if self.kind == _CALL:
            self.call, self.reply, _, self.deadline, self.key, body = open_envelope(body)
        # A copy: the batch is read into again.
        self.body = bytes(body)
        self.slot = slot
        self.received: Received | None = None
        self.task: asyncio.Task[Any] | None = None
        self.is_taken = self.is_put_aside = False
        self.on_raised: Callable[[BaseException], bool] | None = None

    @property
    def name(self) -> str:
        """Of its handler, for people."""
        return handler_name(self.key) if self.kind == _CALL else "a hook for an event"


class Run(Hand):
    """A run of a timer, which is no message and has no caller.

    Attributes:
        timer: whose.
        since: when it began, in nanoseconds of its loop's clock.
    """

    __slots__ = ("since", "timer")

    def __init__(self, timer: Timer, since: int) -> None:
        super().__init__((TIMER, 0, b""), None)
        self.timer = timer
        self.since = since

    @property
    def name(self) -> str:
        """Of the timer, for people."""
        return self.timer.label.decode()


#: The message that is being handled where it is looked at.
here: contextvars.ContextVar[Hand | None] = contextvars.ContextVar("procactors_hand", default=None)


class Here:
    """An attribute that each message has for itself: that of the one handled where it is looked at.

    Args:
        name: of the attribute of `Hand`.
        otherwise: its value where no message is handled; there it cannot be set.
    """

    def __init__(self, name: str, otherwise: Any) -> None:
        self._name = name
        self._otherwise = otherwise

    def __get__(self, loop: Any, _cls: type) -> Any:
        hand = here.get()
        return self._otherwise if hand is None else getattr(hand, self._name)

    def __set__(self, loop: Any, value: Any) -> None:
        if (hand := here.get()) is not None:
            setattr(hand, self._name, value)
