"""How far a map is: shown to people, and published as events.

Layer: pool. Runs in: the thread that iterates the map.
Owns: the view, until the map ends (`close`).
Never: costs anything while it is neither shown nor listened to.
"""

from __future__ import annotations

from time import monotonic

from procactors.model.events import Progress
from procactors.observe.events import Events
from procactors.observe.progress_bar import open_view
from procactors.observe.progress_view import ProgressView

__all__ = ["MapProgress"]

#: Seconds between two events, but for the last.
_EVENT_EVERY_S = 0.1


class MapProgress:
    """Shows how far one map is, and publishes it.

    Args:
        source: name of the pool.
        what: name of what is called.
        total: items that there are; None if that is not known.
        events: of the system; None in an actor, which has none.
        shown: whether to show it on stderr.
    """

    def __init__(
        self, source: str, what: str, total: int | None, events: Events | None, shown: bool
    ) -> None:
        self._source = source
        self._what = what
        self._total = total
        self._events = events
        self._view: ProgressView | None = None
        if shown:
            self._view = open_view("auto", what, total, unit="items")
        self._next_event = 0.0
        self._published = -1

    def advance(self, done: int, failed: int) -> None:
        """Note that so many items have been given, some of them as failures."""
        if self._view is not None:
            self._view.advance(done, failed)
        if self._events is not None and self._events.wants(Progress):
            now = monotonic()
            if now >= self._next_event:
                self._next_event = now + _EVENT_EVERY_S
                self._publish(self._events, done)

    def close(self, done: int, failed: int) -> None:
        """Show and publish the last state, and end the view."""
        if self._view is not None:
            self._view.advance(done, failed)
            self._view.close()
        if self._events is not None and done != self._published and self._events.wants(Progress):
            self._publish(self._events, done)

    def _publish(self, events: Events, done: int) -> None:
        self._published = done
        events.publish(Progress(actor=self._source, done=done, total=self._total, what=self._what))
