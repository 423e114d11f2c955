"""``procactors dashboard``: running systems in a browser.

Layer: cli. Runs in: processes outside of the systems.
Owns: nothing: `procactors.dashboard.server` owns the port.
Never: imports the web framework before this command is chosen.
"""

from __future__ import annotations

import argparse
import functools
import os

from procactors.cli.systems import add_system, print_json, seen
from procactors.cli.table import complain

__all__ = ["add_to", "run"]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options to the command line."""
    parser = commands.add_parser(
        "dashboard",
        help="show running systems in a browser",
        description=(
            "Serve a page that shows the running systems of this user: actors, who waits for whom, "
            "crashes, dead letters. It is reached from this machine alone, at the address that is "
            "printed, which has a secret in it. Runs until Ctrl-C. Exit code 4 when there is no "
            "such system."
        ),
    )
    add_system(parser)
    parser.add_argument(
        "--port", type=_port, default=0, help="default: one that is free", metavar="NUMBER"
    )
    parser.add_argument(
        "--host",
        choices=("127.0.0.1", "::1", "localhost"),
        default="127.0.0.1",
        help="default: %(default)s; from another machine, use ssh -L",
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.set_defaults(run=seen(run))


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes; return 1 if it cannot be served."""
    from procactors.outside.systems import choose, find_systems
    from procactors.process.limits import raise_descriptor_limit

    raise_descriptor_limit()  # the box of each live actor is a map, which holds one
    if arguments.system is not None:
        choose(find_systems(), arguments.system)  # a mistyped name would be waited for, for ever
    try:
        from procactors.dashboard.server import serve
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn", "anyio"):
            raise
        text = f"the dashboard needs {error.name}: pip install 'procactors[dashboard]'"
        complain(text)
        return 1
    host = "127.0.0.1" if arguments.host == "localhost" else arguments.host
    try:
        serve(
            arguments.system,
            host,
            arguments.port,
            functools.partial(_announce, as_json=arguments.json),
            browser=not arguments.no_browser,
        )
    except OSError as error:
        complain(f"{host}, port {arguments.port}: {error.strerror}")
        return 1
    return 0


def _announce(address: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"url": address, "pid": os.getpid()})
    else:
        print(address, flush=True)


def _port(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else -1
    if not 0 <= number < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a number from 0 to 65535")
    return number
