"""One system as the page shows it: what a look brings, and what has changed since the last one.

Layer: dashboard. Runs in: the dashboard's process, in worker threads, one at a time.
Owns: the system's roster and journal readers (`close`).
Never: sends a message to an actor; asks the parent: `troubles` does, beside it.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from procactors.dashboard.history import SERIES, TOTAL, History
from procactors.dashboard.log_book import LogBook
from procactors.dashboard.rows import Row, Rows, totals
from procactors.dashboard.waits import circles
from procactors.outside.journal import JournalReader, Turn
from procactors.outside.roster import Roster
from procactors.outside.systems import NoSystem, SystemView, is_running
from procactors.wire import journal as j

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Watch", "key_of"]

#: Events that are kept, for pages that come later.
_EVENTS = 500

#: What is told of each turn, in words; the values are those of the journal's line.
_TOLD = {
    j.STARTING: lambda v: f"starts its life {v[0]}",
    j.UP: lambda v: f"is up: life {v[0]}, process {v[2]}" if v[2] else "is up",
    j.CRASHED: lambda v: f"crashed in life {v[0]}: {v[1]}",
    j.RESTARTING: lambda v: f"is started again{f' in {v[2]:.1f} s' if v[2] else ''}: {v[3]}",
    j.GAVE_UP: lambda v: f"gave up: {v[0]}",
    j.STOPPED: lambda v: f"is over: {v[1]}",
}


def key_of(view: SystemView) -> str:
    """Return what names a running system in the page's requests: no other will have it again."""
    return view.path.rpartition("/")[2]


class Watch:
    """Looks at one system, again and again.

    Args:
        view: the system.

    Raises:
        NoSystem: it has ended.

    Attributes:
        view: the system.
        ended: instant at which it was seen to be gone, in seconds since the epoch; None: it runs.
        circles: actors that wait for each other, by names.
        events: the last turns of its actors' lives.
        history: the last minutes.
    """

    def __init__(self, view: SystemView) -> None:
        self.view = view
        self.ended: float | None = None
        self.circles: list[list[str]] = []
        self.events: deque[dict[str, Any]] = deque(maxlen=_EVENTS)
        self.history = History()
        self._rows = Rows()
        self._names: dict[int, str] = {}
        self._number = 0
        self._journal = JournalReader(view.path)
        self._roster = Roster(view.path)
        #: What the actors log; read when a page wants to see it.
        self.log = LogBook(view.path, self._roster)

    @property
    def rows(self) -> dict[int, Row]:
        """The actors at the last look, by id."""
        return self._rows.rows

    def close(self) -> None:
        """Close the readers."""
        self._roster.close()
        self._journal.close()

    def look(self) -> dict[str, Any]:
        """Look again; return what has changed, ready for JSON.

        Does not wait for anything. A system that is gone is shown as it was, from then on.
        """
        now = time.time()
        if self.ended is None:
            try:
                self._roster.refresh()
                turns = self._journal.read()
            except NoSystem:
                self._end(now)
            else:
                return self._changes(now, turns)
        return {"at": round(now, 2), "ended": self.ended}

    def whole(self) -> dict[str, Any]:
        """Return all that is known by the last look, ready for JSON."""
        return {
            "rows": list(self.rows.values()),
            "circles": self.circles,
            "events": list(self.events),
            "totals": totals(self.rows),
            "history": self.history.of(TOTAL),
            "ended": self.ended,
        }

    def _end(self, now: float) -> None:
        self.ended = round(now, 2)
        self.close()

    def _changes(self, now: float, turns: Iterable[Turn]) -> dict[str, Any]:
        changed, gone = self._rows.update(self._roster.actors, now)
        sums = totals(self.rows)
        numbers = {
            row["id"]: (row["rate"], row["mailbox"] or 0, row["cpu"] or 0.0, row["memory"] or 0)
            for row in self.rows.values()
            if row["kind"] != "supervisor"
        }
        numbers[TOTAL] = tuple(float(sums[name]) for name in SERIES)  # type: ignore[assignment]
        self.history.record(now, numbers)
        waiting = {row["name"]: row["waiting_on"] for row in self.rows.values()}
        self.circles = circles({name: whom for name, whom in waiting.items() if whom})
        events = [event for turn in turns if (event := self._told(turn)) is not None]
        self.events.extend(events)
        if not is_running(self.view.path):
            self._end(now)
        return {
            "at": round(now, 2),
            "rows": changed,
            "gone": gone,
            "totals": sums,
            "circles": self.circles,
            "events": events,
            "ended": self.ended,
        }

    def _told(self, turn: Turn) -> dict[str, Any] | None:
        """Return an event for the page; None: it was told already, or is none."""
        if turn.kind in (j.MADE, j.TREE):
            self._names[turn.actor] = turn.values[0]
        words = _TOLD.get(turn.kind)
        if words is None or turn.number <= self._number:
            return None
        self._number = turn.number
        event = {
            "number": turn.number,
            "at": turn.wall,
            "kind": turn.kind,
            "actor": self._names.get(turn.actor, f"actor {turn.actor}"),
            "says": words(turn.values),
        }
        if turn.kind == j.STOPPED:
            self._names.pop(turn.actor, None)
        return event
