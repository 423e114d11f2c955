"""``procactors examples``: lists the short lessons that come along, and runs one.

Layer: cli. Runs in: parent.
Owns: the handler of SIGTERM while an example runs.
Never: a list of its own; what lies in the folder is what there is.
"""

from __future__ import annotations

import ast
import importlib.util
import runpy
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from procactors.process.signals import SIGNAL_BASE, handled_by

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to", "example_files", "run"]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its argument to the command line."""
    parser = commands.add_parser(
        "examples",
        help="list the examples, or run one",
        description="Without a name: list the examples. With a name: run that example.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="which example to run")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """List the examples, or run one in this process and return 0 when it is over.

    Blocks until the example ends. SIGTERM ends it as ``sys.exit(143)`` would, unless the
    example has a handler of its own.
    """
    files = example_files()
    if not files:
        print("procactors: this installation has no examples", file=sys.stderr)
        return 1
    if arguments.name is None:
        _print_list(files)
        return 0
    path = files.get(arguments.name.removesuffix(".py").replace("-", "_"))
    if path is None:
        names = ", ".join(files)
        arguments.usage_error(f"no example is called {arguments.name!r}; there are {names}")
    before = sys.argv
    sys.argv = [str(path)]
    try:
        with handled_by(_terminate, signal.SIGTERM):
            runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.argv = before
    return 0


def example_files() -> dict[str, Path]:
    """Return the examples' files by name, sorted: installed with the package, or a checkout's."""
    spec = importlib.util.find_spec("procactors.examples")
    if spec is not None and spec.submodule_search_locations:
        folder = Path(next(iter(spec.submodule_search_locations)))
    else:
        folder = Path(__file__).parents[2] / "examples"
    return {path.stem: path for path in sorted(folder.glob("[!_]*.py"))}


def _print_list(files: dict[str, Path]) -> None:
    width = max(map(len, files))
    for name, path in files.items():
        print(f"{name:<{width}}  {_title(path)}")


def _title(path: Path) -> str:
    """Return the first line of an example's docstring without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_bytes())) or ""
    return text.partition("\n")[0].removesuffix(".")


def _terminate(signum: int, frame: object) -> NoReturn:
    sys.exit(SIGNAL_BASE + signum)
