"""``procactors logs``: what the actors of a running system log, from another terminal.

Layer: cli. Runs in: processes outside of the systems.
Owns: nothing that outlives the command.
Never: sends a message or a signal.
"""

from __future__ import annotations

import argparse
import logging
import select
import time
from typing import TYPE_CHECKING

from procactors.cli.arguments import whole
from procactors.cli.systems import add_system, chosen_system, print_json, seen
from procactors.model.plain_text import plain, plain_lines

if TYPE_CHECKING:
    from procactors.outside.log_follower import ActorLine, LogFollower

__all__ = ["add_to", "run"]

#: Seconds between two looks, and lines that a follower is shown of what was before.
_LOOK_S, _BEFORE = 0.2, 10


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its arguments to the command line."""
    parser = commands.add_parser(
        "logs",
        help="show what the actors of a running system log",
        description=(
            "Show what the actors of a running system log, as it comes, until the system ends or "
            "Ctrl-C. It is read from the actors' own files: no actor is asked, and the program "
            "may be stuck. Exit code 4 when there is no such system or actor."
        ),
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="of one actor; all if left out")
    add_system(parser)
    parser.add_argument(
        "--tail",
        type=whole(0),
        metavar="N",
        help="print the last N records that are there, and end",
    )
    parser.add_argument(
        "--level",
        type=_level,
        default=logging.NOTSET,
        metavar="LEVEL",
        help="only records of this level or above, by name or number",
    )
    parser.set_defaults(run=seen(run))


def run(arguments: argparse.Namespace) -> int:
    """Print records and return the exit code."""
    from procactors.outside.log_follower import LogFollower
    from procactors.outside.roster import Roster
    from procactors.outside.systems import NoSystem

    view = chosen_system(arguments)
    with Roster(view.path) as roster:
        if arguments.name is not None:
            roster.find(arguments.name)
        follower = LogFollower(view.path, roster, arguments.name)
        most = _BEFORE if arguments.tail is None else arguments.tail
        lines = _wanted(follower, arguments.level)
        _show(lines[len(lines) - min(most, len(lines)) :], arguments.json)
        if arguments.tail is not None:
            return 0
        try:
            while True:
                select.poll().poll(_LOOK_S * 1000)
                _show(_wanted(follower, arguments.level), arguments.json)
        except NoSystem:
            return 0  # it has ended


def _wanted(follower: LogFollower, level: int) -> list[ActorLine]:
    return [line for line in follower.look() if line.entry.level >= level]


def _show(lines: list[ActorLine], as_json: bool) -> None:
    for actor, entry in lines:
        if as_json:
            print_json(
                {
                    "time": entry.created,
                    "actor": actor,
                    "level": entry.level_name,
                    "logger": entry.logger,
                    "text": entry.text,
                }
            )
            continue
        at = time.strftime("%H:%M:%S", time.localtime(entry.created))
        ms = int(entry.created % 1 * 1000)
        level, logger = plain(entry.level_name), plain(entry.logger)
        text = plain_lines(entry.text)
        print(f"{at}.{ms:03d} [{plain(actor)}] {level} {logger}: {text}", flush=True)


def _level(text: str) -> int:
    if text.isdecimal():
        return int(text)
    level = logging.getLevelName(text.upper())
    if not isinstance(level, int):
        raise argparse.ArgumentTypeError(f"no level: {text!r}")
    return level
