"""Who listens to a system's events: what is looked out for and reported on their account.

Layer: supervision. Runs in: parent, in the supervisor's thread; `wanted` in any.
Owns: the look-out for slow handlers.
Never: costs anything while there is no listener.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procactors.model import commands as c
from procactors.model.events import Progress
from procactors.observe.events import Events
from procactors.supervision.backend import ReplyTo
from procactors.supervision.core import Core
from procactors.supervision.recovery import Recovery
from procactors.wire.mailbox.black_box import LISTENED_OVERFLOW, LISTENED_PROGRESS

if TYPE_CHECKING:
    from procactors.supervision.slow_handlers import SlowHandlers

__all__ = ["Listeners"]


class Listeners:
    """Serves those that listen.

    Args:
        core: of the supervision.
        recovery: tells of dead letters.
        events: the system's hub.
        slow_after: seconds from which a handler is slow.
    """

    def __init__(self, core: Core, recovery: Recovery, events: Events, slow_after: float) -> None:
        self._core = core
        self._recovery = recovery
        self._events = events
        self._slow_after = slow_after
        self._slow: SlowHandlers | None = None

    def wanted(self) -> int | None:
        """Return what actors are to report, as in the word LISTENED; None: nobody ever listened.

        From any thread; `changed` is to follow in the supervisor's.
        """
        events = self._events
        if not events.is_listened and self._core.announce is None:
            return None
        # Imported where somebody listens, for the first time; kept, since a listener may come back.
        from procactors.model.life_events import MailboxOverflow
        from procactors.supervision.announcements import Announcements

        if self._core.announce is None:
            announce = Announcements(events, self._core.clock)
            self._core.announce = self._recovery.announce = announce
        shown = LISTENED_PROGRESS * events.wants(Progress)
        return shown | LISTENED_OVERFLOW * events.wants(MailboxOverflow)

    def changed(self) -> None:
        """Look out for what only listeners want to know."""
        announce = self._core.announce
        if announce is None:
            return
        if self._slow is None:
            from procactors.supervision.slow_handlers import SlowHandlers  # only where it is used

            self._slow = SlowHandlers(self._core, self._events, announce, self._slow_after)
        self._slow.listeners_changed()

    def overflowed(self, command: c.ReportOverflow, _: ReplyTo) -> None:
        """Tell of a message that met a full mailbox."""
        actor = self._core.actors.get(command.actor)
        if actor is not None and self._core.announce is not None:
            sender = self._core.name_of(command.sender) if command.sender else ""
            capacity = actor.options.mailbox or 0
            self._core.announce.overflowed(actor.name, sender, capacity, command.time)

    def progressed(self, command: c.ReportProgress, _: ReplyTo) -> None:
        """Tell how far an actor is."""
        self._events.publish(
            Progress(
                actor=self._core.name_of(command.actor),
                time=command.at,
                done=command.done,
                total=command.total,
                what=command.what,
            )
        )
