"""Each module says in a card at its head what it is; each package says what is in it.

Which package may import which is import-linter's business (pyproject.toml, `make lint`).
"""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.source import has_code, modules

CARD = re.compile(
    r"^Layer: (?P<layer>\w+)\. Runs in: \S.*\.$.*^Owns: \S.*^Never: \S", re.MULTILINE | re.DOTALL
)
ROOMS = sorted(name for name, tree in modules().items() if has_code(tree))
PACKAGES = sorted({room.rpartition(".")[0] for room in ROOMS} - {"", "procactors"})
#: What users import stands at the top, and belongs to the layer that it is a door of.
DOORS = {"api", "cli", "executors", "model"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_module_has_a_card_with_the_layer_that_it_lies_in(room):
    card = CARD.search(ast.get_docstring(modules()[room]) or "")
    assert card, f"{room}: expected a card with Layer, Runs in, Owns and Never in its docstring"
    folder = room.split(".")[1:-1] or (room.split(".")[1:] if room in PACKAGES else [])
    assert card["layer"] in (folder[:1] or DOORS)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_is_in_it_and_what_is_not(package):
    said = ast.get_docstring(modules()[package]) or ""
    assert has_code(modules()[package]) or re.search(
        r"^Here: .*^Not here: ", said, re.MULTILINE | re.DOTALL
    )
