"""``procactors demo``: the standard library analysed by actors, checked against a serial run.

Layer: cli. Runs in: parent.
Owns: nothing: `procactors.run` owns the system and the signal handlers.
Never: takes its exit code from anything but the two totals.
"""

from __future__ import annotations

import argparse
import platform
import sys
from time import perf_counter
from typing import TYPE_CHECKING

from procactors.cli.arguments import whole
from procactors.cli.target import complain

if TYPE_CHECKING:
    from procactors import ActorSystem

__all__ = ["add_to", "run"]

#: What a shell reports for a process that a signal ended is this and the signal's number.
SIGNAL_BASE = 128


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
        "--limit", type=whole(1), metavar="N", help="analyse only N files, evenly spread"
    )
    parser.add_argument(
        "--workers", type=whole(1), metavar="N", help="actors that parse (default: usable CPUs)"
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
    from procactors import Interrupted, run as run_program, usable_cpus
    from procactors.demo import corpus, report
    from procactors.demo.job import Job
    from procactors.errors import InvalidSpec

    try:
        kill = not arguments.no_kill and _may_kill()
    except InvalidSpec as error:
        return complain(error)
    folder = corpus.stdlib_folder()
    paths = corpus.sample(corpus.source_files(folder), arguments.limit)
    if not paths:
        print(f"procactors: no source files of Python under {folder}", file=sys.stderr)
        return 1
    cpus = usable_cpus()
    job = Job(paths, _say)
    python = f"{platform.python_implementation()} {platform.python_version()}"

    def compare(system: ActorSystem) -> int:
        actors = job.run_with_actors(system, arguments.workers or cpus, kill=kill, started=started)
        _say("and now in one process")
        serial = job.run_serially()
        _say(report.render(folder, actors, serial, cpus))
        return 0 if actors.totals == serial.totals else 1

    def program(system: ActorSystem) -> int:
        try:
            return compare(system)
        except BrokenPipeError as error:  # what the program raises would be shown
            unread.append(error)
            return 1

    unread: list[BrokenPipeError] = []
    _say(f"the standard library of {python}: {len(paths)} files under {folder}")
    started = perf_counter()
    code = run_program(program, name="demo", start_method=arguments.start_method)
    if unread:
        raise unread[0]
    if code > SIGNAL_BASE:
        ended = Interrupted(code - SIGNAL_BASE)
        done = f"{job.done} of {len(paths)} files done"
        print(f"procactors: {ended}, {done}, all actors stopped", file=sys.stderr)
    return code


def _may_kill() -> bool:
    """Tell whether a SIGKILL ends one actor; say so if it would end the whole program.

    Raises:
        InvalidSpec: the environment names a backend that there is not.
    """
    from procactors.model.backends import LIMITS, chosen_backend

    backend = chosen_backend()
    if backend not in LIMITS["exit"].backends:
        return True
    _say(f"no actor is killed: on {backend} {LIMITS['exit'].instead} with it")
    return False


def _say(text: str) -> None:
    print(text, flush=True)
