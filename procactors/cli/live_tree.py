"""``procactors tree`` without a target: the tree of a running system, with states.

Layer: cli. Runs in: processes outside of the systems.
Owns: nothing that outlives the command.
Never: sends a message or a signal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from procactors.cli.ps import actor_as_json, system_as_json
from procactors.cli.rows import in_hand, state_of
from procactors.cli.systems import chosen_system, print_json
from procactors.model.plain_text import plain

if TYPE_CHECKING:
    import argparse

    from procactors.outside.forest import Node
    from procactors.outside.systems import SystemView

__all__ = ["branches", "run"]


def run(arguments: argparse.Namespace) -> int:
    """Print the live tree and return 0."""
    from procactors.outside.forest import forest_of
    from procactors.outside.roster import Roster

    view = chosen_system(arguments)
    with Roster(view.path) as roster:
        forest = forest_of(roster.actors.values())
    if arguments.json:
        nodes = [_as_json(node) for node in forest]
        print_json({"system": system_as_json(view), "tree": nodes})
    else:
        print("\n".join(_lines(view, forest)))
    return 0


def _lines(view: SystemView, forest: list[Node]) -> Iterator[str]:
    yield plain(f"{view.name}: system (pid {view.pid})")
    for prefix, node in branches(forest):
        yield prefix + plain(_said(node))


def branches(nodes: list[Node], indent: str = "") -> Iterator[tuple[str, Node]]:
    """Yield each node with what is drawn before its name, from the top down."""
    for number, node in enumerate(nodes, 1):
        is_last = number == len(nodes)
        yield indent + ("└─ " if is_last else "├─ "), node
        yield from branches(node.below, indent + ("   " if is_last else "│  "))


def _said(node: Node) -> str:
    view = node.view
    if view is None:
        count = len(node.below)
        return f"{node.name}: pool ({count} worker{'' if count == 1 else 's'})"
    if view.kind == "supervisor":
        return f"{view.name}: supervisor ({view.class_name}, {state_of(view)})"
    if view.kind == "inbox":
        return f"{view.name}: inbox ({view.mailbox} waiting)"
    words = [state_of(view)]
    if (work := in_hand(view)) != "-":
        words.append(work.strip("()"))
    if view.waiting_on:
        words.append(f"waits for {view.waiting_on}")
    if view.restarts:
        words.append(f"{view.restarts} restart{'' if view.restarts == 1 else 's'}")
    return f"{view.name}: {view.class_name} ({', '.join(words)})"


def _as_json(node: Node) -> dict[str, Any]:
    kind = "pool" if node.view is None else node.view.kind
    actor = None if node.view is None else actor_as_json(node.view)
    below = [_as_json(one) for one in node.below]
    return {"name": node.name, "kind": kind, "actor": actor, "children": below}
