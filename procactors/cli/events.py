"""``procactors events``: what happens in a running system, line by line.

Layer: cli. Runs in: processes outside of the systems.
Owns: nothing that outlives the command.
Never: holds up the system: what this terminal does not take is dropped there, and counted here.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from procactors.cli.arguments import whole
from procactors.cli.systems import add_system, chosen_system, print_json, seen
from procactors.cli.table import clock_time, complain
from procactors.model.plain_text import plain

if TYPE_CHECKING:
    import argparse

    from procactors.outside.happenings import Happening

__all__ = ["add_to", "run"]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its arguments to the command line."""
    parser = commands.add_parser(
        "events",
        help="show what has happened in a running system, and what happens",
        description=(
            "Show the last turns in the lives of actors, then what happens: starts, crashes, "
            "restarts, ends, dead letters, full mailboxes, slow handlers, progress. Ends with the "
            "system, or by Ctrl-C. The last four kinds are told from now on only, and cost the "
            "system nothing while nobody listens."
        ),
    )
    add_system(parser)
    parser.add_argument(
        "--tail", type=whole(0), default=20, metavar="N", help="past turns; default: %(default)s"
    )
    parser.add_argument("--no-follow", action="store_true", help="only what has happened")
    parser.add_argument(
        "--kind", action="append", metavar="KIND", help="only this kind, as in Crashed; repeatable"
    )
    parser.add_argument("--filter", metavar="TEXT", default="", help="only lines with this text")
    parser.set_defaults(run=seen(run), refuse=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Print what happens and return 0 when the system has ended."""
    from procactors.outside.happenings import KINDS, Happenings
    from procactors.outside.systems import NoSystem

    for kind in arguments.kind or ():
        if kind not in KINDS:
            arguments.refuse(f"no event is called {kind!r}; there are {', '.join(KINDS)}")
    view = chosen_system(arguments)
    happenings = Happenings(view.path)
    with contextlib.closing(happenings):
        past = [one for one in happenings.past() if _is_wanted(one, arguments)]
        _print(past[-arguments.tail :] if arguments.tail else [], arguments)
        if arguments.no_follow:
            return 0
        for problem in happenings.listen():
            complain(str(problem))
        with contextlib.suppress(NoSystem):
            while True:
                _print([one for one in happenings.next() if _is_wanted(one, arguments)], arguments)
    complain(f"{view.name} has ended")
    return 0


def _is_wanted(one: Happening, arguments: argparse.Namespace) -> bool:
    if arguments.kind and one.kind not in arguments.kind:
        return False
    return arguments.filter.casefold() in f"{one.kind} {one.text}".casefold()


def _print(found: list[Happening], arguments: argparse.Namespace) -> None:
    for one in found:
        if arguments.json:
            print_json(_as_json(one))
        else:
            print(f"{clock_time(one.wall)}  {one.kind:<15}  {plain(one.text)}", flush=True)


def _as_json(one: Happening) -> dict[str, Any]:
    return {
        "event": one.kind,
        "time": one.wall,
        "actor": one.actor,
        "text": one.text,
        **one.fields,
    }
