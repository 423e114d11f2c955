"""What happens in the lives of actors, as events; loaded where they are listened to.

Layer: model. Runs in: parent.
Owns: nothing.
Never: passes an event on; that is the hub's work (`observe.events`).

    Started ─► SlowHandler, MailboxOverflow, Progress ─► Crashed ─► Restarting ─► Started ─► ...
                                                              └──► GaveUp ─► Stopped
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procactors.late_dataclass import dataclass
from procactors.model.events import Event

if TYPE_CHECKING:
    from procactors.crash import CrashReport, ExitReason

__all__ = [
    "Crashed",
    "DeadLettered",
    "GaveUp",
    "MailboxOverflow",
    "Restarting",
    "SlowHandler",
    "Started",
    "Stopped",
]


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """An incarnation is up: its `on_start` is done.

    Attributes:
        incarnation: which life it is, from 1.
        pid: of its process.
    """

    incarnation: int
    pid: int | None

    def __str__(self) -> str:
        return f"{self.actor} started (incarnation {self.incarnation}, pid {self.pid})"


@dataclass(frozen=True, kw_only=True)
class Crashed(Event):
    """An incarnation has ended, and neither by itself nor as it was ordered.

    Attributes:
        incarnation: which life it was, from 1; also one that did not come up.
        reason: how it ended.
        report: what is known of the death. Of a life that is followed by another it may still lack
            the peak memory, for which nobody waits then.
    """

    incarnation: int
    reason: ExitReason
    report: CrashReport

    def __str__(self) -> str:
        return f"{self.actor} {self.reason} (incarnation {self.incarnation})"


@dataclass(frozen=True, kw_only=True)
class Restarting(Event):
    """The next incarnation of an actor is about to be started.

    Attributes:
        incarnation: which life that will be.
        reason: how the life before it ended: a crash, a restart of its supervisor's, a recycling.
        wait_s: seconds until then, by the backoff; and until its children have ended.
    """

    incarnation: int
    reason: ExitReason
    wait_s: float

    def __str__(self) -> str:
        return (
            f"{self.actor} is started again (incarnation {self.incarnation}) in "
            f"{self.wait_s:.2f} s: the one before {self.reason}"
        )


@dataclass(frozen=True, kw_only=True)
class GaveUp(Event):
    """More deaths than the policy allows: there is no restart any more.

    `actor` is the actor's name, or that of the supervisor in a tree.

    Attributes:
        reason: how many deaths there were, and how many are allowed.
    """

    reason: str

    def __str__(self) -> str:
        return f"{self.actor} is given up: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Stopped(Event):
    """An actor has ended for good; the last event of its life.

    Attributes:
        reason: how it ended.
    """

    reason: ExitReason

    def __str__(self) -> str:
        return f"{self.actor} has ended for good: it {self.reason}"


@dataclass(frozen=True, kw_only=True)
class DeadLettered(Event):
    """A message became a dead letter: `system.dead_letters` has it with its content.

    `actor` is the one that it was for, and may have ended before.

    Attributes:
        handler: the method that was called, or ``receive``.
        reason: why it was not handled.
        killed: whether it ended the actor that had it in hand.
        serial: its number in `DeadLetters`.
    """

    handler: str
    reason: str
    killed: bool
    serial: int

    def __str__(self) -> str:
        why = self.reason.partition("\n")[0]
        return f"{self.handler} of {self.actor} became dead letter {self.serial}: {why}"


@dataclass(frozen=True, kw_only=True)
class MailboxOverflow(Event):
    """A message met a full mailbox: its sender waits, or was refused, as `Overflow` says.

    Each process reports it once a second for each actor.

    Attributes:
        sender: name of the actor that sent it; empty is the main program.
        capacity: places of the mailbox.
    """

    sender: str
    capacity: int

    def __str__(self) -> str:
        sender = self.sender or "the main program"
        return f"{sender} met the full mailbox of {self.actor} ({self.capacity} messages)"


@dataclass(frozen=True, kw_only=True)
class SlowHandler(Event):
    """A handler has run for longer than the system's ``slow_after`` seconds, and still does.

    Once for each message.

    Attributes:
        handler: its name.
        busy_s: seconds for which it has run.
        incarnation: the life that it runs in.
    """

    handler: str
    busy_s: float
    incarnation: int

    def __str__(self) -> str:
        return (
            f"{self.handler} of {self.actor} has run for {self.busy_s:.1f} s "
            f"(incarnation {self.incarnation})"
        )
