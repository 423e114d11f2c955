"""The rows of `ps` and `top`: which columns there are, and in which order the rows stand.

Layer: cli. Runs in: processes outside of the systems.
Owns: nothing.
Never: looks at anything but the views that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from procactors.cli.table import duration, size

if TYPE_CHECKING:
    from procactors.outside.roster import ActorView

__all__ = ["COLUMNS", "NUMBERS", "SORTS", "chosen", "row_of", "share_of", "state_of"]

#: The columns of `ps`, and those that stand at the right.
COLUMNS = (
    "name",
    "pid",
    "state",
    "cpu %",
    "memory",
    "waiting",
    "handled",
    "restarts",
    "in hand",
    "waits for",
)
NUMBERS = ("pid", "cpu %", "memory", "waiting", "handled", "restarts")

#: What rows are sorted by; the greatest first, but for names and starts.
SORTS: dict[str, Callable[[ActorView, float], Any]] = {
    "start": lambda view, _: view.id,
    "name": lambda view, _: view.name,
    "state": lambda view, _: state_of(view),
    "cpu": lambda _, cpu: -cpu,
    "memory": lambda view, _: -(view.memory or 0),
    "waiting": lambda view, _: -view.mailbox,
    "handled": lambda view, _: -view.handled,
    "busy": lambda view, _: -max((busy for _, busy in view.in_hand), default=-1.0),
    "restarts": lambda view, _: -view.restarts,
}


def state_of(view: ActorView) -> str:
    """Return an actor's state as it is shown; a suspended one says so, whatever else it is at."""
    return "suspended" if view.suspended else view.state


def chosen(
    views: Iterable[ActorView], cpu: dict[int, float], sort: str, text: str
) -> list[ActorView]:
    """Return the rows that have a text, in order.

    Args:
        views: all there are.
        cpu: by actor: share of a core, in percent.
        sort: a key of `SORTS`.
        text: is looked for in names, classes, states and handlers, in whatever case; empty: all.
    """
    key, wanted = SORTS[sort], text.casefold()
    found = [view for view in views if not wanted or wanted in _text_of(view)]
    return sorted(found, key=lambda view: key(view, cpu.get(view.id, 0.0)))


def row_of(view: ActorView, cpu: float | None) -> list[str]:
    """Return the cells of one row, in the order of `COLUMNS`; the share of a core in percent."""
    alive = view.pid is not None
    return [
        view.name,
        str(view.pid) if view.pid is not None else "-",
        state_of(view),
        f"{cpu:.0f}" if alive and cpu is not None else "-",
        size(view.memory),
        str(view.mailbox) if view.kind != "supervisor" else "-",
        str(view.handled) if view.kind != "supervisor" else "-",
        str(view.restarts) if view.restarts else "-",
        in_hand(view),
        view.waiting_on or "-",
    ]


def share_of(view: ActorView, cpu: dict[int, float]) -> float | None:
    """Return an actor's share of a core in percent; None: what it takes is not known."""
    return None if view.cpu_s is None else cpu.get(view.id, 0.0)


def in_hand(view: ActorView) -> str:
    """Return what an actor has in hand, and since when; or what it waits for between two lives."""
    if view.state == "restarting":
        return f"(starts in {duration(view.wait_s)})" if view.wait_s > 0 else "-"
    if not view.in_hand:
        return "-"
    (handler, busy_s), *others = view.in_hand
    text = f"{handler} {duration(busy_s)}"
    return f"{text} +{len(others)}" if others else text


def _text_of(view: ActorView) -> str:
    handlers = " ".join(handler for handler, _ in view.in_hand)
    return f"{view.name} {view.class_name} {state_of(view)} {handlers}".casefold()
