"""``procactors attach``: pdb in a live actor.

Layer: cli. Runs in: a process outside of the system, at its user's terminal.
Owns: the terminal's line editing, while a line is typed.
Never: leaves an actor held: when this process ends, however, the actor goes on.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from procactors.cli.stack import folder_of
from procactors.cli.systems import add_system, near_system, seen
from procactors.cli.table import complain, say

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to", "run"]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its arguments to the command line."""
    parser = commands.add_parser(
        "attach",
        help="debug a live actor of a running system with pdb",
        description=(
            "Open pdb in a live actor, where its main thread is. While you are there, neither its "
            "handle_timeout nor its callers' timeouts run out. c, q, detach or Ctrl-D lets it go "
            "on; Ctrl-C interrupts what runs. Exit code 1 when the actor has ended, or cannot be "
            "debugged; 4 when there is no such system or actor."
        ),
    )
    parser.add_argument("name", metavar="NAME", help="the actor's name")
    add_system(parser)
    parser.set_defaults(run=seen(run))


def run(arguments: argparse.Namespace) -> int:
    """Debug, and return the exit code."""
    from procactors.outside.attach import attach, converse
    from procactors.outside.roster import Roster
    from procactors.outside.stacks import ActorSuspended

    system = near_system(arguments)
    with Roster(system.path) as roster:
        view = roster.find(arguments.name)
    try:
        connection = attach(folder_of(system.path, view), _tell)
    except ActorSuspended as error:
        complain(f"{view.name} cannot be debugged: {error}")
        return 1
    say(f"{view.name} ({view.class_name}), process {view.pid}; c or q lets it go on")
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - `input` edits lines with it
    if converse(connection, _Terminal()):
        return 0
    complain(f"{view.name} has ended")
    return 1


def _tell(text: str) -> None:
    complain(text)


class _Terminal:
    """Shows on stdout, asks on stdin."""

    def show(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def ask(self, prompt: str) -> str:
        return input(prompt)
