"""The client of a system's supervisor: how any of its processes gives the supervisor a command.

Layer: runtime. Runs in: parent and actor.
Owns: nothing: the transport belongs to the process.
Never: decides what a command means: the supervisor does (`model.commands`).
"""

from __future__ import annotations

import contextlib
from time import monotonic
from typing import TYPE_CHECKING, Any

from procactors.errors import DeliveryError, ForeignProcess, ProcActorsError
from procactors.late import late
from procactors.wire.envelope import build_message
from procactors.wire.pickling.codec import Encoded
from procactors.wire.replies.port import PendingReply
from procactors.wire.replies.reader import NOT_SENT
from procactors.wire.storage import too_many_open
from procactors.wire.transport import SUPERVISOR, Transport

if TYPE_CHECKING:
    from procactors.model import commands as c
    from procactors.runtime import reply as futures
else:
    c = late("procactors.model.commands")
    futures = late("procactors.runtime.reply")

__all__ = ["SUPERVISOR_NAME", "Client"]

#: What it is called in errors.
SUPERVISOR_NAME = "the supervisor"


class _Supervisor:
    """Whose the replies to commands are."""

    name = SUPERVISOR_NAME
    _actor = SUPERVISOR


_THE_SUPERVISOR = _Supervisor()


class Client:
    """Gives the supervisor commands.

    Args:
        transport: of this process.
    """

    __slots__ = ("transport",)

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def ask(self, command: Any, timeout: float | None = None) -> Any:
        """Give a command and wait for what comes of it, up to `timeout` seconds (None: for ever).

        Raises:
            What the supervisor raises. ActorStopped: the system was stopped. ForeignProcess: this
            is a forked copy of a process of the system. AskTimeout: `timeout` has passed.
        """
        transport = self.transport
        transport.check_process()
        return transport.ask(SUPERVISOR, SUPERVISOR_NAME, b"", transport.encode(command), timeout)

    def tell(self, command: Any) -> None:
        """Give a command and go on.

        Raises:
            DeliveryError: it was not sent.
        """
        transport = self.transport
        transport.tell(SUPERVISOR, SUPERVISOR_NAME, b"", transport.encode(command))

    def submit(self, command: Any) -> futures.Reply[Any]:
        """Give a command; return its reply as a future.

        Raises:
            DeliveryError: it was not sent.
        """
        try:
            reply: futures.Reply[Any] = futures.Reply(self.transport, _THE_SUPERVISOR)
        except OSError as error:  # its module is loaded with the first one
            raise too_many_open("a reply", error, NOT_SENT) from error
        self.submit_to(reply, command)
        return reply

    def submit_to(self, pending: PendingReply, command: Any) -> None:
        """Give a command whose answer is handed to `pending`, in the thread that reads replies.

        Raises:
            DeliveryError: it was not sent, and nothing is delivered to `pending`.
        """
        transport = self.transport
        transport.submit(SUPERVISOR, SUPERVISOR_NAME, b"", transport.encode(command), pending)

    def report_given_up(self, reply: int, call: int) -> None:
        """Have what a command has started stopped, since its answer will not be looked at.

        Args:
            reply: number of the port on which the answer was awaited.
            call: id of the command there.
        """
        with contextlib.suppress(DeliveryError, ForeignProcess):  # the system has ended, or ends
            self.tell(c.GivenUp(reply, call))

    def report_full(self, actor: int) -> None:
        """Have those that listen to events told that a message met an actor's full mailbox."""
        with contextlib.suppress(ProcActorsError):  # the system ends: an event is worth no error
            self.tell(c.ReportOverflow(actor, self.transport.actor, monotonic()))

    def report_lost(self, actor: int, method: bytes, encoded: Encoded, why: str) -> None:
        """Have a message that was not handled kept as a dead letter.

        Args:
            actor: id of the actor that it was for.
            method: what was called, as it travels; empty for a message as a value.
            encoded: the arguments or the message.
            why: it was not handled.

        Raises:
            DeliveryError: it could not be sent to the supervisor.
        """
        transport = self.transport
        record = build_message(transport.store, actor, method, encoded, sender=transport.actor)
        self.tell(c.LostMessage(actor, record, why))
