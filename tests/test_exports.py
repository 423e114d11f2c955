"""What a module exports is what it defines, in order."""

from __future__ import annotations

import ast

import pytest

import procactors
from tests.support.source import has_code, imported, modules

ROOMS = sorted(
    name for name, tree in modules().items() if has_code(tree) and "__main__" not in name
)
PUBLIC = [room for room in ROOMS if room.count(".") == 1]


def exports(room: str) -> list[str]:
    for node in modules()[room].body:
        match node:
            case ast.Assign(targets=[ast.Name("__all__")]) | ast.AnnAssign(ast.Name("__all__")):
                assert node.value is not None
                return ast.literal_eval(node.value)
    raise AssertionError(f"{room} has no __all__")


def defined(room: str) -> set[str]:
    """Return the classes and functions of a module that have a public name."""
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return {
        node.name
        for node in modules()[room].body
        if isinstance(node, kinds) and not node.name.startswith("_")
    }


def rank(name: str) -> tuple[bool, bool, str]:
    """Order constants before classes before the rest, each by name, as ruff's RUF022 does."""
    return not name.isupper(), not name[0].isupper(), name


@pytest.mark.parametrize("room", ROOMS)
def test_exports_are_sorted_and_named_once(room):
    assert exports(room) == sorted(set(exports(room)), key=rank)


@pytest.mark.parametrize("room", PUBLIC)
def test_a_public_module_exports_all_that_it_defines(room):
    assert defined(room) <= set(exports(room))


@pytest.mark.parametrize("room", ROOMS)
def test_what_is_exported_is_there(room):
    module = __import__(room, fromlist=exports(room))
    assert [name for name in exports(room) if not hasattr(module, name)] == []


def test_the_package_exports_all_that_it_imports():
    names = {name for name, _ in imported(modules()["procactors"])}
    assert {name for name in names - {"annotations"} if name[0] != "_"} <= set(procactors.__all__)
