"""A probe: a message that does nothing, and whose answer tells that those before it are over.

Layer: runtime. Runs in: any process of a system; `deliver` in the thread that reads replies.
Owns: nothing.
Never: waits for a place in a mailbox.
"""

from __future__ import annotations

from typing import Any

from procactors.errors import MailboxFull, ProcActorsError
from procactors.wire.pickling.plain import encode_plain
from procactors.wire.replies.port import Answer
from procactors.wire.transport import Transport

__all__ = ["LOOK_S", "PROBE_S", "Probe"]

#: Seconds behind which a probe is sent after what nobody has opened, and between later looks.
PROBE_S, LOOK_S = 1.0, 0.5

#: A method of every object.
_METHOD = b":__sizeof__"


class Probe:
    """One probe behind what this process has sent to an actor.

    Args:
        transport: of this process.
        ref: of the actor.

    Attributes:
        is_passed: the actor has come to it, or has stopped: nothing that was sent before is still
            to be handled.
    """

    #: Nobody is in a hurry for it.
    is_awaited = False
    call: int | None = None

    def __init__(self, transport: Transport, ref: Any) -> None:
        self._transport = transport
        self._ref = ref
        self._is_sent = False
        self.is_passed = False

    def send(self) -> None:
        """Send it, unless it is on its way. To a full mailbox it does not go: ask again."""
        if self._is_sent:
            return
        arguments = encode_plain(())
        assert arguments is not None
        actor, name = self._ref._actor, self._ref.name
        try:
            self._transport.submit(actor, name, _METHOD, arguments, self, None, 0.0)
        except MailboxFull:
            return
        except ProcActorsError:
            self.is_passed = True
        self._is_sent = True

    def deliver(self, answer: Answer | None, _error: BaseException | None) -> None:
        """Take note that the actor has come to it."""
        self.is_passed = True
        if answer is not None:
            self._transport.discard(answer)
