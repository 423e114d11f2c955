"""The package's source as syntax trees, for the tests that keep the house in order."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "procactors"


@cache
def modules() -> dict[str, ast.Module]:
    """Return the tree of each module of the package, by its full name."""
    return {name_of(path): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def has_code(tree: ast.Module) -> bool:
    """Tell whether a module holds more than its docstring."""
    return bool(tree.body[ast.get_docstring(tree) is not None :])


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield each name that a module binds by an import, with what it stands for.

    Imports within functions count: they run. Those under TYPE_CHECKING do not, but those that come
    late do. `import a.b` comes as a.b, though what it binds is a.
    """
    for node in _executed(tree):
        if isinstance(node, ast.Assign) and _is_late(node.value):
            yield node.targets[0].id, node.value.args[0].value
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: relative import"
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _dotted(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield other
                yield from _executed(other)
        else:
            yield node
            yield from _executed(node)


def _is_late(node: ast.AST) -> bool:
    """Tell whether a value is ``late("a.module")``: that module, in the end."""
    return isinstance(node, ast.Call) and _dotted(node.func) == "late"


def used(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each imported thing that the code names, in full (`time.sleep`), with its line."""
    names = {}
    for bound, target in imported(tree):
        first, _, rest = bound.partition(".")
        names[first] = first if rest else target  # `import a.b` binds a
    for node in _executed(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            first, _, rest = _dotted(node).partition(".")
            if first in names:
                yield f"{names[first]}.{rest}".rstrip("."), node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


@cache
def uses() -> dict[str, list[tuple[str, int]]]:
    """Return what each module of the package uses, by the module's name (see `used`)."""
    return {name: list(used(tree)) for name, tree in modules().items()}


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return ""
