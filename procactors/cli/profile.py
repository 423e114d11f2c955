"""``procactors profile``: where an actor spends its time.

Layer: cli. Runs in: a process outside of the system.
Owns: the files that it writes.
Never: writes a file before the profile is there.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from procactors.cli.arguments import seconds_of_work, whole
from procactors.cli.stack import folder_of
from procactors.cli.systems import add_system, near_system, print_json, seen
from procactors.cli.table import complain, say

if TYPE_CHECKING:
    import argparse

    from procactors.outside.profile import Profile

__all__ = ["add_to", "run"]

#: Functions that are printed.
_SHOWN = 10
#: Samples a second that a profile may take: more would slow the actor down.
_MOST_RATE = 1000


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its arguments to the command line."""
    parser = commands.add_parser(
        "profile",
        help="sample where a live actor spends its time",
        description=(
            "Sample a live actor for some seconds, beside its handlers, and write a flame graph "
            "(SVG) and a file for speedscope (JSON). By py-spy if that is installed, else by a "
            "thread in the actor. Exit code 1 when it has ended or is stopped, 4 when there is no "
            "such system or actor."
        ),
    )
    parser.add_argument("name", metavar="NAME", help="the actor's name")
    parser.add_argument("--seconds", type=seconds_of_work, default=10.0, help="default: 10")
    parser.add_argument("--rate", type=whole(1), default=100, help="samples a second; default: 100")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="FILE.svg or FILE.json for one of both, else both behind this name; "
        "default: profile-NAME-PID",
    )
    parser.add_argument("--all", action="store_true", help="with the runtime's own frames")
    add_system(parser)
    parser.set_defaults(run=seen(run))


def run(arguments: argparse.Namespace) -> int:
    """Sample, write the files, and return the exit code."""
    from procactors.outside.profile import profile_of
    from procactors.outside.roster import Roster
    from procactors.outside.stacks import ActorSuspended

    if arguments.rate > _MOST_RATE:
        complain(f"--rate is at most {_MOST_RATE}")
        return 2
    system = near_system(arguments)
    with Roster(system.path) as roster:
        view = roster.find(arguments.name)
    folder = folder_of(system.path, view)
    try:
        found = profile_of(folder, arguments.seconds, arguments.rate, all_frames=arguments.all)
    except ActorSuspended as error:
        complain(f"{view.name} cannot be sampled: {error}")
        return 1
    try:
        files = _write(found, view.name, arguments.output)
    except OSError as error:
        complain(str(error))
        return 1
    _show(found, view.name, files, arguments)
    return 0


def _write(found: Profile, name: str, output: str | None) -> list[str]:
    from procactors.outside.flames import as_speedscope, as_svg

    base = output or f"profile-{re.sub(r'[^A-Za-z0-9_.-]+', '_', name)}-{found.pid}"
    title = f"{name}, process {found.pid}"
    _, ending = os.path.splitext(base)
    if ending == ".svg":
        texts = {base: as_svg(found, title)}
    elif ending == ".json":
        texts = {base: as_speedscope(found, title)}
    else:
        texts = {
            f"{base}.svg": as_svg(found, title),
            f"{base}.speedscope.json": as_speedscope(found, title),
        }
    for path, text in texts.items():
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    return list(texts)


def _show(found: Profile, name: str, files: list[str], arguments: argparse.Namespace) -> None:
    from procactors.outside.profile import self_times

    times = self_times(found)
    if arguments.json:
        functions = [{"function": function, "seconds": seconds} for function, seconds in times]
        known = found._asdict()
        del known["stacks"]
        print_json({"name": name, **known, "files": files, "functions": functions})
        return
    total = sum(seconds for _, seconds in times)
    say(f"{name}, process {found.pid}: {found.seconds:.1f} s, by {found.source}")
    if found.note:
        say(f"note: {found.note}")
    for function, seconds in times[:_SHOWN]:
        say(f"{100 * seconds / total:6.1f} %  {seconds:8.2f} s  {function}")
    for path in files:
        say(f"written: {path}")
