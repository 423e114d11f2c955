"""A dead letter: a message that the runtime has given up, and why.

Layer: deadletters. Runs in: parent; the command line.
Owns: nothing; a value.
Never: unpickles the message by itself: that may run, or kill, anything.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from procactors.errors import DeliveryError
from procactors.late_dataclass import dataclass
from procactors.wire.pickling.codec import Encoded, decode

__all__ = ["DeadLetter"]


@dataclass(frozen=True)
class DeadLetter:
    """A message that was not handled to its end.

    Attributes:
        actor: name of the actor that it was sent to.
        handler: name of the method, or ``receive``.
        reason: why it will not be handled, in words; the crash report if it was in hand.
        deliveries: how often its handling was begun.
        sender: id of the actor that sent it; 0 is the main program.
        at: when it was given up, in UTC, ISO 8601.
        class_name: qualified name of the actor's class; empty if it is not known any more.
        killed: its actor's process ended with it in hand, and not by our order: run it again with
            care. So too a tell whose handler raised.
        asked: it was an ask, whose caller has got an error. Such letters are in a file only (see
            ``ActorSystem(dead_letter_file=...)``), and only if they are `killed`.
    """

    actor: str
    handler: str
    reason: str
    deliveries: int
    sender: int
    head: bytes = dataclasses.field(repr=False)
    buffers: tuple[bytes, ...] = dataclasses.field(default=(), repr=False)
    is_call: bool = dataclasses.field(default=False, repr=False)
    at: str = ""
    class_name: str = ""
    killed: bool = False
    asked: bool = False
    #: How the method travels, for sending it again.
    method: bytes = dataclasses.field(default=b"", repr=False)
    #: The actor's id, and the letter's number, in its system.
    actor_id: int = dataclasses.field(default=0, repr=False)
    serial: int = dataclasses.field(default=0, repr=False)

    @property
    def message(self) -> Any:
        """The message, unpickled now, in this process; for a method ``(args, kwargs)``.

        Unpickling runs code that the message names, and what killed an actor may kill this
        process too.

        Raises:
            DecodeError: it cannot be unpickled here.
        """
        return decode(self.head, [bytearray(buffer) for buffer in self.buffers])

    @property
    def encoded(self) -> Encoded:
        """The message as it travels.

        Raises:
            DeliveryError: its content was lost.
        """
        if not self.head:
            raise DeliveryError(
                f"the content of this letter to {self.actor} was lost, so it cannot be sent again"
            )
        return Encoded(self.head, [memoryview(buffer) for buffer in self.buffers])
