"""A probe: a message that does nothing, and whose answer tells that those before it are over.

Layer: runtime. Runs in: any process of a system.
Owns: nothing.
Never: waits for a place in a mailbox.
"""

from __future__ import annotations

from typing import Any

from procactors.errors import MailboxFull, ProcActorsError
from procactors.wire.pickling.plain import encode_plain
from procactors.wire.replies.port import PendingReply
from procactors.wire.transport import Transport

__all__ = ["send_probe"]

#: A method of every object.
_METHOD = b":__sizeof__"


def send_probe(transport: Transport, ref: Any, pending: PendingReply) -> bool | None:
    """Send a probe behind what this process has sent to an actor.

    Returns:
        True: it is on its way. False: the mailbox is full, ask again. None: the actor has stopped,
        and nothing that was sent to it is still to be handled.
    """
    arguments = encode_plain(())
    assert arguments is not None
    try:
        transport.submit(ref._actor, ref.name, _METHOD, arguments, pending, None, 0.0)
    except MailboxFull:
        return False
    except ProcActorsError:
        return None
    return True
