"""Looks out for handlers that take long, while somebody wants to know.

Layer: supervision. Runs in: parent, in the supervisor's thread, by its timers. Loaded when somebody
listens for the first time.
Owns: which messages were reported.
Never: ends anything: that is the watchdog's, by `handle_timeout`; looks while nobody listens.
"""

from __future__ import annotations

from procactors.model.life_events import SlowHandler
from procactors.observe.events import Events
from procactors.supervision.actor_record import ActorRecord, Life
from procactors.supervision.announcements import Announcements
from procactors.supervision.core import Core
from procactors.wire.mailbox.black_box import DEBUGGED

__all__ = ["SlowHandlers"]

#: Looks within the time from which a handler is slow, and least and most seconds between two.
_LOOKS, _LEAST_S, _MOST_S = 4, 0.02, 1.0


class SlowHandlers:
    """Reports handlers that run for longer than they should.

    Args:
        core: has the actors, and the timers.
        events: says whether anybody listens.
        announcements: publishes what was found.
        slow_after: seconds from which a handler is slow.
    """

    def __init__(
        self, core: Core, events: Events, announcements: Announcements, slow_after: float
    ) -> None:
        self._core = core
        self._events = events
        self._announcements = announcements
        self._slow_after = slow_after
        self._every_s = min(_MOST_S, max(_LEAST_S, slow_after / _LOOKS))
        self._is_looking = False
        #: By actor: when the message began that was reported last.
        self._reported: dict[int, float] = {}

    def listeners_changed(self) -> None:
        """Begin to look, if somebody listens now."""
        if not self._is_looking and self._events.wants(SlowHandler):
            self._look_around()

    def _look_around(self) -> None:
        self._is_looking = self._events.wants(SlowHandler)
        if not self._is_looking:
            self._reported.clear()
            return
        try:
            self._look_at_all()
        finally:
            self._core.after(self._every_s, self._look_around)

    def _look_at_all(self) -> None:
        now = self._core.clock()
        self._reported = {
            actor.id: began
            for actor in list(self._core.actors.values())
            if actor.life is Life.UP and (began := self._look_at(actor, now)) is not None
        }

    def _look_at(self, actor: ActorRecord, now: float) -> float | None:
        """Report an actor's handler if it is slow; return when the one began that was reported."""
        began = actor.host.look(now).busy_since
        if began is None or now - began < self._slow_after or actor.words[DEBUGGED]:
            return None
        if self._reported.get(actor.id) != began:
            handler = actor.host.at_work()
            if handler is None:  # it has just gone on
                return None
            self._announcements.slow(actor, handler, now - began)
        return began
