"""The command line: what a user types, what is shown, and how it ends.

Layer: cli. Runs in: parent.
Owns: the exit codes: 0 done, 1 failed, 2 usage, 3 `map` could not go on, 4 no such system or actor,
5 the parent did not answer in time, 130 Ctrl-C, 143 SIGTERM.
Never: imports a command's own machinery before that command is chosen.
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from typing import TYPE_CHECKING

from procactors import __version__
from procactors.cli import (
    attach,
    crash,
    dashboard,
    deadletters,
    demo,
    doctor,
    events,
    examples,
    logs,
    map as map_,
    metrics,
    orders,
    profile,
    ps,
    run,
    stack,
    status,
    top,
    tree,
)
from procactors.process.streams import name_missing_characters, replace_missing_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Blocks until the command ends. Runs in the main thread; a command that must end cleanly on
    SIGTERM installs its handler while it runs, and puts back what was there.

    Args:
        argv: the arguments without the program's name; None takes those of the process.

    Raises:
        SystemExit: by ``argparse`` for ``--help``, ``--version`` and usage errors (code 2), or
            by an example that ends itself.
    """
    replace_missing_streams()
    name_missing_characters()
    arguments = _parsed(argv)
    chosen: Callable[[argparse.Namespace], int] = arguments.run
    try:
        code = chosen(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("procactors: interrupted", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone (`procactors demo | head`)
        _write_no_more()
        code = 1
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        _write_no_more()
        print(f"procactors: the output could not be written: {error.strerror}", file=sys.stderr)
        code = 1
    if code == INTERRUPTED and argv is None:
        # The process ends here. One more Ctrl-C would only break into Python's own exit and
        # print a traceback of it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def _write_no_more() -> None:
    """Have what is still to be printed go nowhere: Python flushes stdout at exit, and complains."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    # argparse takes no more positional arguments once an option has come between them.
    late: Callable[[argparse.Namespace, list[str]], None] | None = getattr(arguments, "late", None)
    if rest and (late is None or any(text[:1] == "-" != text for text in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if late is not None:
        late(arguments, rest)
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="procactors", description="A multiprocessing actor runtime for Python."
    )
    parser.add_argument("--version", action="version", version=f"procactors {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    run.add_to(commands)
    tree.add_to(commands)
    map_.add_to(commands)
    demo.add_to(commands)
    examples.add_to(commands)
    deadletters.add_to(commands)
    seeing = (ps, top, status, events, logs, stack, attach, profile, metrics, dashboard)
    for command in (*seeing, orders, crash, doctor):
        command.add_to(commands)
    return parser
