"""The options and exit codes of commands that look at a running system from another terminal.

Layer: cli. Runs in: processes outside of the system.
Owns: exit codes 4 (no such system or actor) and 5 (the parent did not answer in time).
Never: imports what looks, before a command is chosen.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from procactors.outside.systems import SystemView

__all__ = ["ABSENT", "SILENT", "add_system", "chosen_system", "print_json", "seen"]

#: Exit codes: no such system or actor; the parent did not answer in time.
ABSENT, SILENT = 4, 5


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

    wanted: str | None = arguments.system
    return choose(find_systems(), wanted)


def seen(command: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Have a command print what keeps it from a system, and end with the code for that."""

    @functools.wraps(command)
    def run(arguments: argparse.Namespace) -> int:
        from procactors.outside.guest import NoAnswer, OtherVersion
        from procactors.outside.roster import NoActor
        from procactors.outside.systems import NoSystem

        try:
            return command(arguments)
        except (NoSystem, NoActor) as error:
            print(f"procactors: {error}", file=sys.stderr)
            return ABSENT
        except NoAnswer as error:
            print(f"procactors: {error}", file=sys.stderr)
            return SILENT
        except OtherVersion as error:
            print(f"procactors: {error}", file=sys.stderr)
            return 1

    return run


def print_json(value: Any) -> None:
    """Print a value as JSON, on one line; what programs read must not wait in a buffer."""
    print(json.dumps(value), flush=True)
