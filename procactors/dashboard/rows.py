"""An actor as a row of plain values, ready for JSON; rates from one look to the next.

Layer: dashboard. Runs in: the dashboard's process.
Owns: nothing.
Never: reads a clock, or a system.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from procactors.outside.roster import ActorView

__all__ = ["Row", "Rows", "totals"]

Row = dict[str, Any]

#: Seconds by which the begin of a message in hand may seem to move: it is reckoned from its age.
_SAME_BEGIN_S = 0.25
#: Parts of a rate that come from the last look; the rest is what it was before.
_NEW = 0.5


class Rows:
    """The rows of a system's actors, and what has changed with the last look.

    Attributes:
        rows: by the actor's id, in start order.
    """

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self._handled: dict[int, tuple[int, float]] = {}
        self._cpu: dict[int, tuple[int | None, float]] = {}
        self._at = 0.0

    def update(self, actors: dict[int, ActorView], now: float) -> tuple[list[Row], list[int]]:
        """Take a look's result; return the rows that are new or have changed, and the ids gone.

        Args:
            actors: all that live, by id.
            now: the instant of the look, in seconds since the epoch.
        """
        passed = now - self._at
        rows, changed = {}, []
        for actor, view in actors.items():
            before = self.rows.get(actor)
            row = self._row(view, before, passed, now)
            rows[actor] = row
            if row != before:
                changed.append(row)
        gone = [actor for actor in self.rows if actor not in rows]
        for actor in gone:
            self._handled.pop(actor, None)
            self._cpu.pop(actor, None)
        self.rows, self._at = rows, now
        return changed, gone

    def _row(self, view: ActorView, before: Row | None, passed: float, now: float) -> Row:
        return {
            "id": view.id,
            "name": view.name,
            "class": view.class_name,
            "kind": view.kind,
            "parent": view.parent,
            "supervisor": view.supervisor,
            "state": view.state,
            "suspended": view.suspended,
            "pooled": view.pooled,
            "pid": view.pid,
            "incarnation": view.incarnation,
            "restarts": view.restarts,
            "handled": view.handled,
            "rate": self._rate(view, before, passed),
            "mailbox": view.mailbox,
            "cpu": self._load(view, before, passed),
            "memory": view.memory,
            "in_hand": _in_hand(view, before, now),
            "waiting_on": view.waiting_on,
            "last_crash": view.last_crash,
        }

    def _rate(self, view: ActorView, before: Row | None, passed: float) -> float:
        """Return messages handled a second, smoothed a little."""
        handled, _ = self._handled.get(view.id, (view.handled, 0.0))
        self._handled[view.id] = (view.handled, passed)
        if before is None or passed <= 0:
            return 0.0
        fresh = max(0, view.handled - handled) / passed
        rate: float = _NEW * fresh + (1 - _NEW) * before["rate"]
        return round(rate, 1) if rate >= 0.1 else 0.0

    def _load(self, view: ActorView, row: Row | None, passed: float) -> float | None:
        """Return the processor time since the last look, in percent of a core; None: not known."""
        if view.cpu_s is None:
            return None
        used = view.cpu_s
        pid, before = self._cpu.get(view.id, (None, 0.0))  # the kernel counts in steps of 10 ms
        self._cpu[view.id] = (view.pid, used)
        if view.pid is None or pid != view.pid or passed <= 0:
            return 0.0
        fresh = max(0.0, 100 * (used - before) / passed)
        load: float = fresh if row is None else _NEW * fresh + (1 - _NEW) * row["cpu"]
        return round(load, 1) if load >= 0.1 else 0.0


def _in_hand(view: ActorView, before: Row | None, now: float) -> list[list[Any]]:
    """Return (handler, instant of its begin) of each message in hand."""
    known = [begun for _, begun in before["in_hand"]] if before else []
    found = []
    for handler, busy_s in view.in_hand:
        begun = now - busy_s
        same = [at for at in known if abs(at - begun) < _SAME_BEGIN_S]
        found.append([handler, same[0] if same else round(begun, 2)])
    return found


def totals(rows: dict[int, Row]) -> dict[str, float]:
    """Return the sums over all actors: how many, how many are busy, and of each series."""
    actors = [row for row in rows.values() if row["kind"] != "supervisor"]
    return {
        "actors": sum(row["kind"] == "actor" for row in actors),
        "busy": sum(row["state"] == "busy" for row in actors),
        "restarts": sum(row["restarts"] for row in actors),
        "rate": round(sum(row["rate"] for row in actors), 1),
        "mailbox": sum(row["mailbox"] or 0 for row in actors),
        "cpu": round(sum(row["cpu"] or 0.0 for row in actors), 1),
        "memory": sum(row["memory"] or 0 for row in actors),
    }
