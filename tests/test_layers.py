"""Each module says what it is, and imports go down only."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter

import pytest

from tests.support.source import has_code, imported, modules

#: From the bottom up; what shares a line may not import each other.
LAYERS = [
    ["base"],
    ["wire", "observe"],
    ["process"],
    ["supervision"],
    ["api"],
    ["batch", "demo"],
    ["cli"],
]

CARD = re.compile(
    r"^Layer: (?P<layer>\w+)\. Runs in: \S.*\.$.*^Owns: \S.*^Never: \S", re.MULTILINE | re.DOTALL
)
HEIGHT = {layer: height for height, layers in enumerate(LAYERS) for layer in layers}
ROOMS = sorted(name for name, tree in modules().items() if has_code(tree))


def layer_of(room: str) -> str:
    card = CARD.search(ast.get_docstring(modules()[room]) or "")
    assert card, f"{room}: expected a card with Layer, Runs in, Owns and Never in its docstring"
    return card["layer"]


def neighbours(room: str) -> set[str]:
    """Return the rooms that a room imports, or imports something from."""
    found = set()
    for _, target in imported(modules()[room]):
        if target.partition(".")[0] == "procactors":
            found.add(target if target in modules() else target.rpartition(".")[0])
    return found - {room}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_a_card_with_a_layer(room):
    layer = layer_of(room)
    assert layer in HEIGHT
    folder = room.split(".")[1:2]
    if folder and folder[0] in HEIGHT:
        assert layer == folder[0], f"{room} lies in the folder of another layer"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_no_room_above_it(room):
    mine = layer_of(room)
    for other in neighbours(room) & set(ROOMS):
        theirs = layer_of(other)
        assert theirs == mine or HEIGHT[theirs] < HEIGHT[mine], (
            f"{room} ({mine}) imports {other} ({theirs}); what is needed for an annotation alone "
            f"goes under TYPE_CHECKING"
        )


def test_no_rooms_import_each_other_in_a_circle():
    TopologicalSorter({room: neighbours(room) for room in ROOMS}).prepare()
