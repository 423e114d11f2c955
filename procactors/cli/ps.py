"""``procactors ps``: the actors of a running system, in one look.

Layer: cli. Runs in: processes outside of the systems.
Owns: nothing that outlives the command.
Never: sends a message or a signal.
"""

from __future__ import annotations

import dataclasses
import select
from typing import TYPE_CHECKING, Any

from procactors.cli.rows import COLUMNS, NUMBERS, SORTS, chosen, row_of, share_of
from procactors.cli.systems import add_system, chosen_system, print_json, seen
from procactors.cli.table import clock_time, print_table

if TYPE_CHECKING:
    import argparse

    from procactors.outside.roster import ActorView, Roster
    from procactors.outside.systems import SystemView

__all__ = ["actor_as_json", "add_to", "run", "system_as_json"]

#: Seconds over which the share of a core is measured.
_LOOK_S = 0.2


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its arguments to the command line."""
    parser = commands.add_parser(
        "ps",
        help="list the actors of a running system",
        description=(
            "List the actors of a running system: what each does, since when, and what it takes. "
            "No actor is asked. Where several systems run and --system names none, they are "
            "listed instead. Exit code 4 when there is no such system."
        ),
    )
    add_system(parser)
    parser.add_argument("--sort", choices=SORTS, default="start", help="default: %(default)s")
    parser.add_argument("--filter", metavar="TEXT", default="", help="only rows with this text")
    parser.set_defaults(run=seen(run))


def run(arguments: argparse.Namespace) -> int:
    """Print the table and return the exit code."""
    from procactors.outside.roster import Roster
    from procactors.outside.systems import find_systems

    if arguments.system is None and len(systems := find_systems()) > 1:
        _print_systems(systems, as_json=arguments.json)
        return 0
    view = chosen_system(arguments)
    with Roster(view.path) as roster:
        cpu = _shares(roster)
        rows = chosen(roster.actors.values(), cpu, arguments.sort, arguments.filter)
    if arguments.json:
        actors = [{**actor_as_json(row), "cpu": share_of(row, cpu)} for row in rows]
        print_json({"system": system_as_json(view), "actors": actors})
    else:
        cells = [row_of(row, cpu.get(row.id)) for row in rows]
        print_table(COLUMNS, cells, NUMBERS)
    return 0


def _shares(roster: Roster) -> dict[int, float]:
    """Look twice; return each actor's share of a core in between, in percent."""
    before = {view.id: (view.pid, view.cpu_s) for view in roster.actors.values()}
    select.poll().poll(_LOOK_S * 1000)
    roster.refresh()
    shares = {}
    for view in roster.actors.values():
        pid, cpu_s = before.get(view.id, (None, None))
        if pid is None or pid != view.pid:
            continue
        if cpu_s is not None and view.cpu_s is not None:
            shares[view.id] = round(max(0.0, view.cpu_s - cpu_s) / _LOOK_S * 100, 1)
    return shares


def _print_systems(systems: list[SystemView], *, as_json: bool) -> None:
    if as_json:
        print_json({"systems": [system_as_json(view) for view in systems]})
        return
    rows = [
        [view.name, str(view.pid), _version(view), clock_time(view.started), " ".join(view.argv)]
        for view in systems
    ]
    print_table(("system", "pid", "versions", "since", "program"), rows, ("pid",))


def _version(view: SystemView) -> str:
    return f"{view.version}, Python {view.python}" if view.version else "older"


def system_as_json(view: SystemView) -> dict[str, Any]:
    """Return a system as plain values."""
    return dataclasses.asdict(view)


def actor_as_json(view: ActorView) -> dict[str, Any]:
    """Return an actor as plain values; of each message in hand its handler and its seconds."""
    known = dataclasses.asdict(view)
    known["in_hand"] = [{"handler": handler, "busy_s": busy} for handler, busy in view.in_hand]
    return known
