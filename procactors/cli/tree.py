"""``procactors tree``: a supervision tree as text, not started; or that of a running system.

Layer: cli. Runs in: parent.
Owns: nothing.
Never: starts anything.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from procactors import AutoShutdown, ChildSpec, Options, Supervisor
from procactors.cli.systems import add_system, seen
from procactors.cli.target import USAGE, add_target, complain, find_target
from procactors.errors import InvalidSpec

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to", "render", "run"]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its argument to the command line."""
    parser = commands.add_parser(
        "tree",
        help="print a supervision tree without starting it, or that of a running system",
        description=(
            "Print a tree: what is started in which order, restarted when, and how often. "
            "Nothing is started; the modules of its classes are imported. Exit code 2 for a "
            "mistake, which is named with file, key and what was expected. Without a target, "
            "print the live tree of a running system: supervisors, actors, their children, pools, "
            "and what each does. Exit code 4 when there is no such system."
        ),
    )
    add_target(parser, optional=True)
    add_system(parser)
    parser.set_defaults(run=run, refuse=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Print the tree and return 0."""
    if arguments.target is None:
        from procactors.cli import live_tree  # only where it is used

        return seen(live_tree.run)(arguments)
    if arguments.system is not None or arguments.json:
        arguments.refuse("--system and --json are for a running system, which has no TARGET")
    try:
        target = find_target(arguments.target)
    except InvalidSpec as error:
        return complain(error)
    if not isinstance(target, Supervisor):
        print(
            f"procactors: {arguments.target} takes the system: it is a program, and has no tree "
            f"to print",
            file=sys.stderr,
        )
        return USAGE
    print(render(target))
    return 0


def render(tree: Supervisor) -> str:
    """Return a tree as lines of text, children in start order."""
    return "\n".join([_supervisor(tree, root=True), *_below(tree, "")])


def _below(tree: Supervisor, indent: str) -> Iterator[str]:
    for number, child in enumerate(tree.children, 1):
        last = number == len(tree.children)
        branch, trunk = ("└─ ", "   ") if last else ("├─ ", "│  ")
        if isinstance(child, Supervisor):
            yield indent + branch + _supervisor(child, root=False)
            yield from _below(child, indent + trunk)
        else:
            yield indent + branch + _actor(child, copies=tree.strategy.value == "dynamic")


def _supervisor(tree: Supervisor, *, root: bool) -> str:
    count = tree.max_restarts
    words = [
        tree.strategy.value,
        f"at most {count} restart{'' if count == 1 else 's'} within {tree.within:g} s",
    ]
    if not root:  # a root is not restarted
        words.append(tree.restart.value)
    if tree.auto_shutdown is not AutoShutdown.NEVER:
        words.append(f"auto_shutdown {tree.auto_shutdown.value}")
    if tree.significant:
        words.append("significant")
    return _line("supervisor", tree.name, words)


def _actor(child: ChildSpec[Any], *, copies: bool) -> str:
    options, cls = child.settings, child.cls
    words = [child.restart.value]
    if options.backoff is not None:
        backoff = options.backoff
        words.append(f"backoff {backoff.initial:g} to {backoff.maximum:g} s")
    for name in ("mailbox", "handle_timeout", "start_timeout", "stop_timeout"):
        value = getattr(options, name)
        if value != getattr(_DEFAULTS, name):
            words.append(f"{name} {value}")
    if child.significant:
        words.append("significant")
    if copies:
        words.append("started on demand")
    return _line(f"{cls.__module__}:{cls.__qualname__}", child.name, words)


_DEFAULTS = Options()


def _line(what: str, name: str | None, words: list[str]) -> str:
    return f"{name + ': ' if name else ''}{what} ({', '.join(words)})"
