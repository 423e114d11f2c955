"""``procactors top``: the actors of a running system, live.

Layer: cli. Runs in: processes outside of the systems.
Owns: the terminal while it runs (`cli.screen`).
Never: sends a message or a signal; looks more often than it is told to.
"""

from __future__ import annotations

import select
import sys
from time import monotonic, time
from typing import TYPE_CHECKING

from procactors.cli.arguments import seconds, whole
from procactors.cli.rows import SORTS, chosen, in_hand, share_of, state_of
from procactors.cli.systems import add_system, chosen_system, print_json, seen
from procactors.cli.table import complain, cut, duration, padded, size, width_of
from procactors.model.plain_text import plain

if TYPE_CHECKING:
    import argparse

    from procactors.outside.roster import ActorView, Roster
    from procactors.outside.systems import SystemView

__all__ = ["Top", "add_to", "run"]

#: Columns, their widths, and whether they stand at the right; the last two take what is left.
_COLUMNS = (
    ("PID", 8, True),
    ("STATE", 10, False),
    ("CPU%", 5, True),
    ("MEM", 6, True),
    ("WAIT", 6, True),
    ("HAND/S", 7, True),
    ("RST", 4, True),
    ("IN HAND", 24, False),
    ("WAITS FOR", 12, False),
)
_LEAST_NAME, _MOST_NAME = 12, 32
#: Bold, reversed, and plain again.
_BOLD, _REVERSED, _PLAIN = "\x1b[1m", "\x1b[7m", "\x1b[0m"
_HELP = "q quit   s ← → sort   / filter   t tree   ↑ ↓ scroll"
#: Seconds between frames at most; less is a burden without being seen.
_LEAST_S = 0.1


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its arguments to the command line."""
    parser = commands.add_parser(
        "top",
        help="show the actors of a running system, live",
        description=(
            "Show the actors of a running system, live: the busiest first. No actor is asked. "
            f"Keys: {_HELP}. Into a pipe, or with -n, frames of text are printed one after the "
            "other. Exit code 4 when there is no such system."
        ),
    )
    add_system(parser)
    parser.add_argument(
        "--interval", type=seconds, default=0.5, metavar="SECONDS", help="default: %(default)s"
    )
    parser.add_argument("-n", type=whole(1), metavar="N", help="end after so many frames")
    parser.add_argument("--sort", choices=SORTS, default="cpu", help="default: %(default)s")
    parser.add_argument("--filter", metavar="TEXT", default="", help="only rows with this text")
    parser.add_argument("--tree", action="store_true", help="each below its supervisor or parent")
    parser.set_defaults(run=seen(run))


def run(arguments: argparse.Namespace) -> int:
    """Show frames until the user, or the system, ends it; return the exit code."""
    from procactors.outside.roster import Roster
    from procactors.outside.systems import NoSystem

    system = chosen_system(arguments)
    with Roster(system.path) as roster:
        top = Top(system, roster, arguments.sort, arguments.filter, is_tree=arguments.tree)
        interval = max(_LEAST_S, arguments.interval)
        is_live = sys.stdin.isatty() and sys.stdout.isatty()
        try:
            if is_live and not arguments.json and arguments.n is None:
                _show(top, interval)
            else:
                _print(top, interval, arguments.n, as_json=arguments.json)
        except NoSystem:
            complain(f"{system.name} has ended")
    return 0


def _show(top: Top, interval: float) -> None:
    """Draw frames on the terminal until the user has enough."""
    from procactors.cli.screen import Screen

    with Screen() as screen:
        due = monotonic() + interval
        while True:
            screen.draw(top.frame(*screen.size))
            for key in screen.keys(max(0.0, due - monotonic())):
                if not top.press(key):
                    return
            if monotonic() >= due:
                due = max(due, monotonic() - interval) + interval
                top.look()


def _print(top: Top, interval: float, frames: int | None, *, as_json: bool) -> None:
    """Print frames, one after the other; the first one behind the first interval."""
    poll = select.poll()
    shown = 0
    while frames is None or shown < frames:
        poll.poll(interval * 1000)
        top.look()
        if as_json:
            print_json(top.as_json())
        else:
            print("\n".join([*top.frame(0, 0), ""]), flush=True)
        shown += 1


class Top:
    """What is shown: the last look, and how the user wants it.

    Args:
        system: the system.
        roster: looks.
        sort: a key of `SORTS`.
        text: only rows with this text.
        is_tree: each below its supervisor or parent, instead of sorted.
    """

    def __init__(
        self, system: SystemView, roster: Roster, sort: str, text: str, *, is_tree: bool = False
    ) -> None:
        self._system = system
        self._roster = roster
        self.sort = sort
        self.text = text
        self.is_tree = is_tree
        self._first = 0  # row at the top
        self._page = 1
        self._typed: str | None = None  # of a filter that is being typed
        self._at = monotonic()
        #: By actor: share of a core in percent, and messages a second.
        self.cpu: dict[int, float] = {}
        self.rate: dict[int, float] = {}

    # -- looking ------------------------------------------------------------------------------

    def look(self) -> None:
        """Look again, and see what has changed since the last look.

        Raises:
            NoSystem: the system has ended.
        """
        before, began = self._roster.actors, self._at
        self._roster.refresh()
        self._at = now = monotonic()
        past = max(now - began, 1e-3)
        self.cpu, self.rate = {}, {}
        for view in self._roster.actors.values():
            last = before.get(view.id)
            if last is None:
                continue
            self.rate[view.id] = max(0, view.handled - last.handled) / past
            if view.cpu_s is None or last.cpu_s is None:
                continue
            if view.pid is not None and view.pid == last.pid:
                self.cpu[view.id] = max(0.0, view.cpu_s - last.cpu_s) / past * 100

    # -- keys ---------------------------------------------------------------------------------

    def press(self, key: str) -> bool:
        """Do what a key is for; return False if that is to end."""
        if self._typed is not None:
            self._type(key)
        elif key in ("q", "Q"):
            return False
        elif key in ("s", "right", "left"):
            sorts = list(SORTS)
            step = -1 if key == "left" else 1
            self.sort = sorts[(sorts.index(self.sort) + step) % len(sorts)]
            self.is_tree = False
        elif key == "/":
            self._typed = self.text
        elif key == "t":
            self.is_tree = not self.is_tree
        elif key in _SCROLL:
            pages, rows = _SCROLL[key]
            self._first = max(0, self._first + pages * self._page + rows)
        return True

    def _type(self, key: str) -> None:
        assert self._typed is not None
        if key == "enter":
            self._typed = None
        elif key == "escape":
            self.text, self._typed = "", None
        elif key == "backspace":
            self.text = self._typed = self._typed[:-1]
        elif len(key) == 1 and key.isprintable():
            self.text = self._typed = self._typed + key
        self._first = 0

    # -- frames -------------------------------------------------------------------------------

    def frame(self, width: int, height: int) -> list[str]:
        """Return the lines of a frame that fit; with width and height 0, all, and in plain text."""
        rows = self._rows()
        is_live = height > 0
        if is_live:
            self._page = max(1, height - 3)
            self._first = min(self._first, max(0, len(rows) - self._page))
            shown = rows[self._first : self._first + self._page]
        else:
            shown = rows
        names = max([width_of(name) for name, _ in shown], default=0)
        names = min(max(names, _LEAST_NAME), _MOST_NAME)
        body = [_row(name, names, self._cells(view)) for name, view in shown]
        head = _row("NAME", names, [title for title, _, _ in _COLUMNS])
        if not is_live:
            return [self._summary(), head.rstrip(), *(line.rstrip() for line in body)]
        return [
            _BOLD + cut(self._summary(), width) + _PLAIN,
            cut(self._second(len(rows)), width),
            _REVERSED + padded(cut(head, width), width) + _PLAIN,
            *(cut(line, width) for line in body),
        ][:height]

    def as_json(self) -> dict[str, object]:
        """Return a frame as plain values."""
        from procactors.cli.ps import actor_as_json, system_as_json

        actors = [
            {
                **actor_as_json(view),
                "cpu": None if (share := share_of(view, self.cpu)) is None else round(share, 1),
                "handled_per_s": round(self.rate.get(view.id, 0.0), 1),
            }
            for _, view in self._rows()
            if view is not None
        ]
        return {"time": time(), "system": system_as_json(self._system), "actors": actors}

    def _rows(self) -> list[tuple[str, ActorView | None]]:
        views = list(self._roster.actors.values())
        if not self.is_tree:
            rows = chosen(views, self.cpu, self.sort, self.text)
            return [(plain(view.name), view) for view in rows]
        from procactors.cli.live_tree import branches
        from procactors.outside.forest import forest_of

        wanted = {view.id for view in chosen(views, self.cpu, "start", self.text)}
        return [
            (prefix + plain(node.name), node.view)
            for prefix, node in branches(forest_of(views))
            if not self.text or (node.view is not None and node.view.id in wanted)
        ]

    def _cells(self, view: ActorView | None) -> list[str]:
        if view is None:
            return ["-", "pool", *["-"] * 7]
        has_process = view.pid is not None
        share = share_of(view, self.cpu) if has_process else None
        has_mailbox = view.kind != "supervisor"
        rate = self.rate.get(view.id, 0.0)
        return [
            str(view.pid) if has_process else "-",
            state_of(view),
            "-" if share is None else f"{share:.0f}",
            size(view.memory),
            str(view.mailbox) if has_mailbox else "-",
            (f"{rate:.0f}" if rate >= 10 or not rate else f"{rate:.1f}") if has_mailbox else "-",
            str(view.restarts) if view.restarts else "-",
            plain(in_hand(view)),
            plain(view.waiting_on or "-"),
        ]

    def _summary(self) -> str:
        views = self._roster.actors.values()
        actors = [view for view in views if view.kind == "actor"]
        busy = sum(view.state == "busy" for view in actors)
        started = self._system.started
        words = [
            f"{self._system.name} (pid {self._system.pid})",
            f"up {duration(max(0.0, time() - started))}" if started else "",
            f"{len(actors)} actors, {busy} busy",
            f"{sum(view.mailbox for view in views)} waiting",
            f"{sum(self.rate.values()):.0f} handled/s",
            f"cpu {sum(self.cpu.values()):.0f} %",
            f"memory {size(sum(view.memory or 0 for view in views))}",
        ]
        return plain("  ".join(word for word in words if word))

    def _second(self, rows: int) -> str:
        if self._typed is not None:
            return f"filter: {plain(self._typed)}_   (enter: keep, escape: none)"
        order = "tree" if self.is_tree else f"by {self.sort}"
        said = f"{order}, {rows} rows"
        if self.text:
            said += f" with {plain(self.text)!r}"
        return f"{said}   {_HELP}"


#: What keys scroll: pages and rows.
_SCROLL = {"up": (0, -1), "down": (0, 1), "page up": (-1, 0), "page down": (1, 0)}


def _row(name: str, names: int, cells: list[str]) -> str:
    placed = [padded(cut(name, names), names)]
    for cell, (_, width, is_right) in zip(cells, _COLUMNS, strict=True):
        placed.append(padded(cut(cell, width), width, is_right=is_right))
    return " ".join(placed)
