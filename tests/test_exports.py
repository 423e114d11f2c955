"""What a module exports is what it defines. That it is sorted and there, ruff sees to."""

from __future__ import annotations

import ast

import pytest

import procactors
from tests.support.source import ROOT, has_code, imported, modules

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


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_exports(room):
    assert isinstance(exports(room), list)


@pytest.mark.parametrize("room", PUBLIC)
def test_a_public_module_exports_all_that_it_defines(room):
    assert defined(room) <= set(exports(room))


def test_what_the_package_exports_is_there():
    """Some of it is imported when it is asked for, which ruff cannot follow."""
    assert [name for name in exports("procactors") if not hasattr(procactors, name)] == []


def test_the_package_exports_all_that_it_imports():
    names = {name for name, _ in imported(modules()["procactors"])}
    assert {name for name in names - {"annotations"} if name[0] != "_"} <= set(procactors.__all__)


#: What users import. Examples and the demo have no other way in.
OPEN = {
    "procactors",
    "procactors.errors",
    "procactors.futures",
    "procactors.joblib",
    "procactors.seeds",
    "procactors.testing",
    "procactors.tracing",
}


def entered(tree: ast.Module) -> set[str]:
    """Return the modules of the package that a source imports, those for annotations too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return {name for name in found if name.partition(".")[0] == "procactors"}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem
)
def test_an_example_imports_what_users_import(path):
    assert entered(ast.parse(path.read_text())) <= OPEN


@pytest.mark.parametrize("room", [room for room in ROOMS if room.startswith("procactors.demo.")])
def test_the_demo_imports_what_users_import(room):
    mine = {name for name in entered(modules()[room]) if not name.startswith("procactors.demo.")}
    assert mine <= OPEN
