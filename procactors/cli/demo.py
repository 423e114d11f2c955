"""``procactors demo``: the standard library analysed by actors, checked against a serial run.

Layer: cli. Runs in: parent.
Owns: the handlers of SIGINT and SIGTERM while it runs.
Never: takes its verdict from anything but the two totals.
"""

from __future__ import annotations

import argparse
import platform
import sys
from typing import TYPE_CHECKING

from procactors.demo.stopping import StopAsked, StopRequest
from procactors.process.signals import SIGNAL_BASE, handled_by

if TYPE_CHECKING:
    from procactors.demo.progress import Progress

__all__ = ["add_to", "run"]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options to the command line."""
    parser = commands.add_parser(
        "demo",
        help="analyse Python's standard library with supervised actors, and kill one half-way",
        description=(
            "Parse every source file of the running interpreter's standard library with one "
            "supervised actor per usable CPU, kill one of them half-way, and compare totals "
            "and time with a run in one process. Exit code 1 if the totals differ."
        ),
    )
    parser.add_argument(
        "--limit", type=_positive, metavar="N", help="analyse only N files, evenly spread"
    )
    parser.add_argument(
        "--workers", type=_positive, metavar="N", help="actors that parse (default: usable CPUs)"
    )
    parser.add_argument("--no-kill", action="store_true", help="do not kill an actor half-way")
    parser.add_argument(
        "--start-method",
        choices=("forkserver", "spawn", "fork"),
        default="forkserver",
        help="how processes are started (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo and return its exit code. Blocks until every actor has stopped."""
    from procactors.demo.progress import Progress
    from procactors.observe.bars import LogLines, logged_to

    progress = Progress(sys.stdout)
    stop = StopRequest()
    with handled_by(stop), logged_to(LogLines(progress.say)):
        try:
            return _demonstrate(arguments, progress, stop)
        except StopAsked as asked:
            progress.clear()
            done = f"{progress.done} of {progress.total} files done"
            print(f"procactors: {asked}, {done}, all actors stopped", file=sys.stderr)
            return SIGNAL_BASE + asked.signum
        except KeyboardInterrupt:
            progress.clear()
            raise


def _demonstrate(arguments: argparse.Namespace, progress: Progress, stop: StopRequest) -> int:
    from procactors import usable_cpus
    from procactors.demo import corpus, job, report

    folder = corpus.stdlib_folder()
    paths = corpus.sample(corpus.source_files(folder), arguments.limit)
    if not paths:
        print(f"procactors: no source files of Python under {folder}", file=sys.stderr)
        return 1
    cpus = usable_cpus()
    workers = arguments.workers or cpus
    python = f"{platform.python_implementation()} {platform.python_version()}"
    progress.say(f"the standard library of {python}: {len(paths)} files under {folder}")
    actors = job.run_with_actors(
        paths,
        progress,
        stop,
        workers=workers,
        kill=not arguments.no_kill,
        start_method=arguments.start_method,
    )
    serial = job.run_serially(paths, progress, stop)
    progress.say(report.render(folder, actors, serial, cpus))
    return 0 if actors.totals == serial.totals else 1


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number
