"""``procactors run``: a tree or a function as a program.

Layer: cli. Runs in: parent.
Owns: nothing: `procactors.run` owns the system and the signal handlers.
Never: starts anything before the target is understood as a whole.
"""

from __future__ import annotations

import argparse

from procactors import run as run_program
from procactors.cli.arguments import seconds
from procactors.cli.target import add_target, complain, find_target
from procactors.errors import InvalidSpec

__all__ = ["add_to", "run"]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options to the command line."""
    parser = commands.add_parser(
        "run",
        help="run a supervision tree, or a function of the system, until it ends or a signal comes",
        description=(
            "Run a tree or a function until it ends by itself or a signal comes. The first SIGINT "
            "or SIGTERM stops everything in order within the grace time, a second one kills. Exit "
            "codes: 0, 1 after an error, 2 for a mistake in the target, 130 after SIGINT, 143 "
            "after SIGTERM, or what the function returned. Tells systemd READY=1 and STOPPING=1."
        ),
    )
    add_target(parser)
    parser.add_argument(
        "--grace",
        type=seconds,
        metavar="SECONDS",
        help="from the first signal to the end (default: 10)",
    )
    parser.add_argument(
        "--start-method",
        choices=("forkserver", "spawn", "fork"),
        default="forkserver",
        help="how processes are started (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the target and return its exit code. Blocks until every actor has stopped."""
    try:
        target = find_target(arguments.target)
    except InvalidSpec as error:
        return complain(error)
    return run_program(target, grace=arguments.grace, start_method=arguments.start_method)
