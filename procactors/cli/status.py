"""``procactors status NAME``: everything that is known of one actor, at this moment.

Layer: cli. Runs in: processes outside of the systems.
Owns: nothing that outlives the command.
Never: sends a message or a signal; needs the actor or its parent to run.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

from procactors.cli.ps import actor_as_json, system_as_json
from procactors.cli.rows import state_of
from procactors.cli.systems import add_system, chosen_system, print_json, seen
from procactors.cli.table import clock_time, duration, size
from procactors.model.plain_text import plain

if TYPE_CHECKING:
    import argparse

    from procactors.outside.roster import ActorView, Roster
    from procactors.outside.systems import SystemView

__all__ = ["add_to", "run"]

#: Seconds over which the share of a core is measured.
_LOOK_S = 0.2

#: The kernel's letters for what a process does.
_PROCESS = {
    "R": "running",
    "S": "asleep",
    "D": "waiting for a disk",
    "T": "stopped",
    "t": "stopped by a debugger",
    "Z": "ended",
    "I": "idle",
    "": "gone",
}
#: Instead of what the kernel would tell.
_ELSEWHERE = "in another container"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its arguments to the command line."""
    parser = commands.add_parser(
        "status",
        help="show everything of one actor of a running system",
        description=(
            "Show everything that is known of one actor: also of one that hangs, is stopped, "
            "waits, comes up, or has ended, and while its parent is stuck. Nobody is asked. "
            "Exit code 4 for no such actor."
        ),
    )
    parser.add_argument("name", metavar="NAME", help="name of the actor")
    add_system(parser)
    parser.set_defaults(run=seen(run))


def run(arguments: argparse.Namespace) -> int:
    """Print what is known and return 0."""
    from procactors.outside.roster import Roster

    system = chosen_system(arguments)
    with Roster(system.path) as roster:
        first = roster.find(arguments.name)
        if first.pid is not None:
            select.poll().poll(_LOOK_S * 1000)
            roster.refresh()
        view = roster.find(arguments.name)
        known = _known(roster, system, first, view)
    if arguments.json:
        print_json(known)
    else:
        print("\n".join(_lines(roster, known, view)))
    return 0


def _known(roster: Roster, system: SystemView, first: ActorView, view: ActorView) -> dict[str, Any]:
    """Return all that is known, as plain values."""
    from procactors.outside.waits import cycle_of, waits_of

    chain = waits_of(roster.actors, view)
    cpu = None
    used, before = view.cpu_s, first.cpu_s
    if used is not None and before is not None and view.pid is not None and view.pid == first.pid:
        cpu = round(max(0.0, used - before) / _LOOK_S * 100, 1)
    return {
        "actor": actor_as_json(view),
        "cpu": cpu,
        "process": None if system.is_elsewhere else _process(view.pid),
        "waits": [one.name for one in chain],
        "cycle": [one.name for one in cycle_of(view, chain)],
        "asked_by": [one.name for one in roster.actors.values() if one.waiting_for == view.id],
        "system": system_as_json(system),
        "parent": {
            "pid": system.pid,
            "process": None if system.is_elsewhere else _process(system.pid),
        },
    }


def _process(pid: int | None) -> str | None:
    """Return what a process does, by the kernel's word; None: there is none."""
    from procactors.wire.procstat import STATE, stat_of

    if pid is None:
        return None
    letter = b"".join(stat_of(pid)[STATE : STATE + 1]).decode("ascii")
    return _PROCESS.get(letter, letter)


def _lines(roster: Roster, known: dict[str, Any], view: ActorView) -> list[str]:
    """Return it as lines for people."""
    system, parent = known["system"], known["parent"]["process"] or _ELSEWHERE
    rows = [
        ("actor", f"{view.name} ({view.class_name}), {view.kind} {view.id}"),
        ("system", f"{system['name']}, pid {system['pid']}, parent {parent}"),
        ("state", _state(view)),
        *_life(known, view),
        *_work(view),
        *_waits(known),
        ("belongs to", _belongs(roster, view)),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name.ljust(width)}  {plain(text)}" for name, text in rows if text]
    if view.last_crash:
        lines += ["last crash", *(f"  {plain(line)}" for line in view.last_crash.splitlines())]
    return lines


def _state(view: ActorView) -> str:
    text = state_of(view)
    if view.suspended and view.state != text:
        text += f" while {view.state}"
    if view.reason:
        text += f": it {view.reason}"
    if view.wait_s:
        text += f"; starts in {duration(view.wait_s)}"
    is_up = view.state in ("idle", "busy", "up")
    return text if is_up else f"{text}, since {clock_time(view.since)}"


def _life(known: dict[str, Any], view: ActorView) -> list[tuple[str, str]]:
    restarts = f"{view.restarts} restart{'' if view.restarts == 1 else 's'}"
    text = f"incarnation {view.incarnation}, {restarts}, {view.restart}"
    if view.state in ("idle", "busy", "up"):
        text += f", up since {clock_time(view.since)}"
    rows = [("life", text)]
    if view.pid is not None and view.cpu_s is None:
        rows.append(("process", f"pid {view.pid}, {_ELSEWHERE}"))
    elif view.pid is not None:
        share = f", {known['cpu']:.0f} % of a core now" if known["cpu"] is not None else ""
        rows += [
            ("process", f"pid {view.pid}, {known['process']}, {size(view.memory)} resident"),
            ("cpu", f"{duration(view.cpu_s or 0.0)} in this life{share}"),
        ]
    return rows


def _work(view: ActorView) -> list[tuple[str, str]]:
    if view.kind == "supervisor":
        return []
    places = f" of {view.capacity}" if view.capacity else ""
    hands = [f"{handler} for {duration(busy_s)}" for handler, busy_s in view.in_hand]
    return [
        ("mailbox", f"{view.mailbox}{places} waiting, {view.handled} handled"),
        ("in hand", "; ".join(hands)),
    ]


def _waits(known: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if known["waits"]:
        rows.append(("waits for", " → ".join(known["waits"])))
    if known["cycle"]:
        rows.append(("cycle", " → ".join([*known["cycle"], known["cycle"][0]]) + ": for ever"))
    if known["asked_by"]:
        rows.append(("asked by", ", ".join(known["asked_by"])))
    return rows


def _belongs(roster: Roster, view: ActorView) -> str:
    above = roster.actors.get(view.supervisor or view.parent)
    kind = "supervisor" if view.supervisor else "actor"
    return f"{kind} {above.name}" if above is not None else "the main program"
