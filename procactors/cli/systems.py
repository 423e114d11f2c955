"""The options and exit codes of commands that look at a running system from another terminal.

Layer: cli. Runs in: processes outside of the system.
Owns: exit codes 4 (no such system or actor) and 5 (the parent did not answer in time).
Never: imports what looks, before a command is chosen.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from procactors.outside.systems import SystemView

__all__ = ["SILENT", "add_system", "chosen_system", "near_system", "print_json", "seen"]

#: Exit code: the parent did not answer in time.
SILENT = 5


def add_system(parser: argparse.ArgumentParser) -> None:
    """Add what all commands for running systems take: which one, and how it is shown."""
    parser.add_argument(
        "--system",
        metavar="NAME_OR_PID",
        help="the system, by name, process id or runtime directory; may be left out if one runs",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def chosen_system(arguments: argparse.Namespace) -> SystemView:
    """Return the system that is meant by the command line.

    Raises:
        NoSystem: none runs, none is meant, or more than one; `seen` makes exit code 4 of it.
    """
    from procactors.outside.systems import choose, find_systems
    from procactors.process.limits import raise_descriptor_limit

    raise_descriptor_limit()  # each live actor's box is a map, which holds one
    wanted: str | None = arguments.system
    return choose(find_systems(), wanted)


def near_system(arguments: argparse.Namespace) -> SystemView:
    """Return the system that is meant, to look at its processes, or to signal them.

    Raises:
        NoSystem: as `chosen_system`. Elsewhere: it runs in another container.
    """
    from procactors.outside.systems import check_near

    view = chosen_system(arguments)
    check_near(view)
    return view


def seen(command: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Have a command print what keeps it from a system, and end with the code for that."""

    @functools.wraps(command)
    def run(arguments: argparse.Namespace) -> int:
        from procactors.cli.table import complain
        from procactors.errors import ProcActorsError
        from procactors.outside.systems import Problem

        try:
            return command(arguments)
        except Problem as problem:
            complain(str(problem))
            return problem.code
        except ProcActorsError as error:  # as StorageFull
            complain(str(error))
            return 1

    return run


def print_json(value: Any) -> None:
    """Print a value as JSON, on one line; what programs read must not wait in a buffer."""
    print(json.dumps(value), flush=True)
