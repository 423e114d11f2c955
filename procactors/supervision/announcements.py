"""What the supervisor says of the lives of actors to those that listen to its system's events.

Layer: supervision. Runs in: parent, in the supervisor's thread; dead letters in any. Loaded when
somebody listens for the first time.
Owns: nothing; the hub is the system's.
Never: decides anything; costs anything while there is no listener.

Events of one actor are published by one thread, in the order in which it happens.
"""

from __future__ import annotations

from collections.abc import Callable

from procactors.crash import CrashReport, ExitReason
from procactors.deadletters.letter import DeadLetter
from procactors.model import life_events as life
from procactors.observe.events import Events
from procactors.supervision.actor_record import ActorRecord

__all__ = ["Announcements"]


class Announcements:
    """Publishes the turns of actors' lives.

    Args:
        events: the system's hub.
        clock: the monotonic clock, in seconds.
    """

    def __init__(self, events: Events, clock: Callable[[], float]) -> None:
        self._events = events
        self._clock = clock

    def started(self, actor: ActorRecord) -> None:
        """An incarnation is up."""
        pid, incarnation = actor.host.pid, actor.incarnation
        now = self._clock()
        event = life.Started(actor=actor.name, time=now, incarnation=incarnation, pid=pid)
        self._events.publish(event)

    def crashed(self, actor: ActorRecord, report: CrashReport) -> None:
        """An incarnation has come to an end that nobody has ordered."""
        event = life.Crashed(
            actor=actor.name,
            time=self._clock(),
            incarnation=report.incarnation,
            reason=report.reason,
            report=report,
        )
        self._events.publish(event)

    def restarting(self, actor: ActorRecord, reason: ExitReason, wait_s: float) -> None:
        """The next life will be started in `wait_s` seconds."""
        event = life.Restarting(
            actor=actor.name,
            time=self._clock(),
            incarnation=actor.incarnation + 1,
            reason=reason,
            wait_s=wait_s,
        )
        self._events.publish(event)

    def gave_up(self, name: str, reason: str) -> None:
        """An actor, or the supervisor of that name, is not restarted any more."""
        self._events.publish(life.GaveUp(actor=name, time=self._clock(), reason=reason))

    def stopped(self, actor: ActorRecord, reason: ExitReason) -> None:
        """An actor has ended for good."""
        self._events.publish(life.Stopped(actor=actor.name, time=self._clock(), reason=reason))

    def dead_lettered(self, letter: DeadLetter) -> None:
        """A message will not be handled. From any thread."""
        event = life.DeadLettered(
            actor=letter.actor,
            time=self._clock(),
            handler=letter.handler,
            reason=letter.reason,
            killed=letter.killed,
            serial=letter.serial,
        )
        self._events.publish(event)

    def overflowed(self, actor: str, sender: str, capacity: int, time: float) -> None:
        """A message has met a full mailbox."""
        event = life.MailboxOverflow(actor=actor, time=time, sender=sender, capacity=capacity)
        self._events.publish(event)

    def slow(self, actor: ActorRecord, handler: str, busy_s: float) -> None:
        """A handler takes long."""
        event = life.SlowHandler(
            actor=actor.name,
            time=self._clock(),
            handler=handler,
            busy_s=busy_s,
            incarnation=actor.incarnation,
        )
        self._events.publish(event)
