"""``procactors stack``: where an actor is, or the program itself, line by line.

Layer: cli. Runs in: processes outside of the systems.
Owns: nothing that outlives the command.
Never: sends a message.
"""

from __future__ import annotations

import linecache
from typing import TYPE_CHECKING, Any

from procactors.cli.systems import add_system, near_system, print_json, seen
from procactors.cli.table import complain, duration, say

if TYPE_CHECKING:
    import argparse

    from procactors.outside.roster import ActorView
    from procactors.outside.stacks import Frame, Stack, Stacks

__all__ = ["add_to", "folder_of", "run"]

_USAGE = 2


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its arguments to the command line."""
    parser = commands.add_parser(
        "stack",
        help="show where an actor of a running system is, in its code",
        description=(
            "Show the Python stacks of an actor: at work, waiting, stuck in C code or just "
            "starting. No message is sent. With --parent, those of the program itself. Exit code 1 "
            "when the actor has no process now, 4 when there is no such system or actor."
        ),
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="the actor's name")
    parser.add_argument("--parent", action="store_true", help="of the program, not of an actor")
    parser.add_argument(
        "--native", action="store_true", help="with the frames of C code, by py-spy"
    )
    parser.add_argument("--all", action="store_true", help="with the runtime's own frames")
    add_system(parser)
    parser.set_defaults(run=seen(run))


def run(arguments: argparse.Namespace) -> int:
    """Print the stacks and return the exit code."""
    from procactors.outside.roster import Roster
    from procactors.outside.stacks import stacks_of, stacks_of_parent

    if (arguments.name is None) != arguments.parent:
        complain("name one actor, or --parent for the program")
        return _USAGE
    system = near_system(arguments)
    if arguments.parent:
        found = stacks_of_parent(system, native=arguments.native)
        return _show(None, f"{system.name}, the program", found, arguments)
    with Roster(system.path) as roster:
        view = roster.find(arguments.name)
        found = stacks_of(folder_of(system.path, view), native=arguments.native)
        roster.refresh()
        view = roster.actors.get(view.id, view)
    title = f"{view.name} ({view.class_name}), incarnation {view.incarnation}: {view.state}"
    return _show(view, title, found, arguments)


def folder_of(path: str, view: ActorView) -> str:
    """Return the folder of an actor that has a process.

    Raises:
        NotAtHome: it never has one, or has ended.
    """
    from procactors.outside.visit import NotAtHome

    if view.kind != "actor":
        raise NotAtHome(f"{view.name} is of kind {view.kind}, and has no process of its own")
    if view.state == "stopped":
        raise NotAtHome(f"{view.name} has ended: it {view.reason}")
    return f"{path}/actors/{view.id}"


def _show(view: ActorView | None, title: str, found: Stacks, arguments: argparse.Namespace) -> int:
    if arguments.json:
        print_json(_as_json(view, title, found, arguments.all))
        return 0
    say(f"{title}, process {found.pid}")
    for handler, busy_s in view.in_hand if view is not None else ():
        say(f"in hand: {handler}, for {duration(busy_s)}")
    if view is not None and view.waiting_on:
        say(f"waits for an answer of {view.waiting_on}")
    if found.note:
        say(f"note: {found.note}")
    for stack in _shown(found, arguments.all):
        print()
        say(f"{_name(stack)} (most recent call last, by {found.source}):")
        for frame in reversed(_frames(stack, arguments.all)):
            _print_frame(frame)
    return 0


def _shown(found: Stacks, all_frames: bool) -> list[Stack]:
    from procactors.outside.stacks import is_runtimes

    return [stack for stack in found.stacks if all_frames or not is_runtimes(stack)]


def _name(stack: Stack) -> str:
    kind = "Task" if stack.is_task else "Thread"
    name = stack.name or ("MainThread" if stack.is_main else "without a name")
    return f"{kind} {name}"


def _frames(stack: Stack, all_frames: bool) -> tuple[Frame, ...]:
    from procactors.outside.stacks import without_ours

    return stack.frames if all_frames else without_ours(stack.frames)


def _print_frame(frame: Frame) -> None:
    say(f'  File "{frame.file}", line {frame.line}, in {frame.function}')
    line = linecache.getline(frame.file, frame.line).strip()
    if line:
        say(f"    {line}")


def _as_json(view: ActorView | None, title: str, found: Stacks, all_frames: bool) -> dict[str, Any]:
    return {
        "name": view.name if view is not None else title,
        "pid": found.pid,
        "state": view.state if view is not None else None,
        "suspended": view.suspended if view is not None else None,
        "in_hand": [
            {"handler": handler, "busy_s": busy_s}
            for handler, busy_s in (view.in_hand if view is not None else ())
        ],
        "waiting_on": view.waiting_on if view is not None else None,
        "source": found.source,
        "note": found.note,
        "stacks": [
            {
                "name": stack.name,
                "is_main": stack.is_main,
                "is_task": stack.is_task,
                "frames": [frame._asdict() for frame in _frames(stack, all_frames)],
            }
            for stack in _shown(found, all_frames)
        ],
    }
