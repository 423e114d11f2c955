"""``procactors map``: a function called for each item of an input, on all cores.

Layer: cli. Runs in: parent.
Owns: nothing: `batch.job` owns the job.
Never: starts anything before the function is known to be one.
"""

from __future__ import annotations

import argparse
import dataclasses

from procactors.cli.arguments import seconds, seconds_of_work, size, whole
from procactors.cli.target import check_module, complain, find_function
from procactors.errors import InvalidSpec

__all__ = ["add_items", "add_to", "run"]

_EXIT_CODES = """\
exit codes:
  0    every item succeeded
  1    some failed (see --errors), or the output was not read to its end
  2    a mistake in arguments, function, input or journal; nothing was run
  3    the job could not go on: workers do not start, a disk is full
  130  after SIGINT    143  after SIGTERM: what was in hand is finished within the grace time

A second signal kills at once. With --resume JOURNAL a job that was stopped or killed goes on where
it was: finished items are not run again, their results are written again. More: docs/batch.md.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options to the command line."""
    parser = commands.add_parser(
        "map",
        help="call a function for each item of an input, on all cores, and write results as JSON",
        description=(
            "Call a function for each item of the input, in workers that are supervised, and\n"
            "write a line of JSON for each result as it comes: index, item, result. An item that\n"
            "raises, crashes its worker, or takes too long fails alone."
        ),
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "target", metavar="MODULE:FUNCTION", help="what is called; also FILE.py:FUNCTION"
    )
    parser.add_argument(
        "items",
        nargs="*",
        metavar="ITEMS",
        help="files, '-' being standard input (the default); with --input glob patterns",
    )
    _add_input(parser)
    _add_output(parser)
    _add_work(parser)
    parser.set_defaults(run=run, late=add_items)


def add_items(arguments: argparse.Namespace, items: list[str]) -> None:
    """Take the items that stand behind an option."""
    arguments.items += items


def _add_input(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("input")
    group.add_argument(
        "--input",
        # Not from `batch.items`: a command's own machinery is imported when it is chosen.
        choices=("auto", "lines", "jsonl", "csv", "nul", "glob"),
        default="auto",
        help="what is in the files (default: by suffix: .jsonl, .ndjson, .csv, else lines)",
    )
    group.add_argument(
        "--spread",
        action="store_true",
        help="call with a list's members, or an object's as named arguments",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("-o", "--output", metavar="FILE", help="write results there, not to stdout")
    group.add_argument("--ordered", action="store_true", help="results in the order of the input")
    group.add_argument("--bare", action="store_true", help="results alone; implies --ordered")
    group.add_argument(
        "--errors", metavar="FILE", help="a line of JSON for each item that failed, and why"
    )
    group.add_argument(
        "--resume", metavar="JOURNAL", help="keep what is done in this file, and skip what it has"
    )
    group.add_argument(
        "--progress",
        choices=("auto", "bar", "plain", "none"),
        default="auto",
        help="on stderr (default: a bar on a terminal, lines in a file)",
    )
    group.add_argument(
        "-q", "--quiet", action="store_true", help="no progress and no summary: errors alone"
    )


def _add_work(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("work")
    group.add_argument(
        "-j", "--jobs", type=whole(1), metavar="N", help="workers (default: usable CPUs)"
    )
    group.add_argument(
        "--timeout",
        type=seconds_of_work,
        metavar="SECONDS",
        help="for one item; then it has failed",
    )
    group.add_argument(
        "--memory", type=size, metavar="SIZE", help="of one worker, as in 500M, 2G or 2Gi"
    )
    group.add_argument(
        "--retries",
        type=whole(0),
        default=0,
        metavar="N",
        help="more tries for an item that failed",
    )
    group.add_argument(
        "--grace",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="from the first signal to the end (default: 10)",
    )
    group.add_argument(
        "--chunk", type=whole(1), metavar="N", help="items that travel together (default: measured)"
    )
    group.add_argument(
        "--preload",
        action="append",
        default=[],
        metavar="MODULE",
        help="import it once, before workers are forked; it must not start threads",
    )
    group.add_argument(
        "--start-method",
        choices=("forkserver", "spawn", "fork"),
        help="how processes are started (default: forkserver)",
    )
    _add_place(parser)


def _add_place(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("place")
    group.add_argument(
        "--backend",
        choices=("processes", "threads", "ray"),
        help="where workers run (default: as PROCACTORS_BACKEND says, else processes)",
    )
    group.add_argument(
        "--address",
        metavar="ADDRESS",
        help="of the Ray cluster, as `ray start` shows it, or auto (default: RAY_ADDRESS, else a "
        "cluster of this machine alone for the length of the job)",
    )
    group.add_argument(
        "--working-dir",
        metavar="FOLDER",
        help="send it to the cluster's nodes, where the function's module is imported from it",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the job and return its exit code. Blocks until every worker has ended."""
    from procactors.batch.job import run_job
    from procactors.batch.results import apart
    from procactors.batch.settings import Settings

    known = {field.name for field in dataclasses.fields(Settings)}
    words = {name: value for name, value in vars(arguments).items() if name in known}
    words["items"], words["preload"] = tuple(arguments.items), tuple(arguments.preload)
    with apart() as out:
        try:
            words["target"] = find_function(arguments.target, arguments.spread)
            for name in arguments.preload:
                check_module(name)
            return run_job(Settings(**words), out)
        except InvalidSpec as error:
            return complain(error)
