"""Trees from TOML: each key checked, each mistake named with its file and key.

Layer: api. Runs in: parent.
Owns: nothing; the file is read and closed.
Never: starts anything; takes a key that it does not know.

    strategy = "rest_for_one"             a supervisor: the words of `Supervisor`, and children
    [[children]]
    class = "mypackage.workers:Source"    an actor: class, args, kwargs, the words of `Options`
    args = ["data.csv"]
    [[children]]
    strategy = "one_for_all"              a supervisor below
    [[children.children]]
    class = "mypackage.workers:Sink"
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, TypeVar

from procactors.errors import InvalidSpec
from procactors.model.checks import suggestion
from procactors.model.choices import AutoShutdown, Delivery, Overflow, Restart, Strategy
from procactors.model.options import Backoff, Checkpoint, Limits, Options, Recycle
from procactors.model.tree import ChildSpec, Supervisor, spec

__all__ = ["find_attribute", "load_tree"]

T = TypeVar("T")

#: Keys whose values are one of an enum's words.
_ENUMS: dict[str, type[Enum]] = {
    "auto_shutdown": AutoShutdown,
    "delivery": Delivery,
    "overflow": Overflow,
    "restart": Restart,
    "strategy": Strategy,
}
#: Keys whose values are tables with words of their own.
_TABLES: dict[str, Any] = {
    "backoff": Backoff,
    "limits": Limits,
    "recycle_after": Recycle,
    "checkpoint": Checkpoint,
}

_SUPERVISOR_KEYS = (
    "children",
    "strategy",
    "max_restarts",
    "within",
    "name",
    "restart",
    "auto_shutdown",
    "significant",
)
_OPTION_KEYS = tuple(field.name for field in dataclasses.fields(Options))
_ACTOR_KEYS = ("class", "args", "kwargs", "significant", *_OPTION_KEYS)


def load_tree(path: str | os.PathLike[str]) -> Supervisor:
    """Read a tree from a TOML file; the format is in docs/trees.md.

    The modules of its classes are imported.

    Raises:
        InvalidSpec: a mistake; the text names the file, the key and what was expected.
        OSError: the file cannot be read.
        ModuleNotFoundError: Python 3.10 without ``tomli``.
    """
    toml = _toml()
    with open(path, "rb") as file:
        data = file.read()
    name = os.fspath(path)
    try:
        table = toml.loads(data.decode())
    except ValueError as error:  # also what is not UTF-8
        raise InvalidSpec(f"{name}: expected TOML: {error}") from None
    return _supervisor(_Location(name), table)


def find_attribute(reference: str) -> Any:
    """Return what ``module:attribute`` names; the module is imported.

    Raises:
        InvalidSpec: no such module or attribute, or the import failed: that is the ``__cause__``.
    """
    module_name, colon, path = reference.partition(":")
    if not (colon and path and module_name) or not module_name.replace(".", "_").isidentifier():
        raise InvalidSpec(
            f'expected "module:attribute", as in "mypackage.tree:tree", found {reference!r}'
        )
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # so wide: a module may raise anything, and the error is to name it
        raise InvalidSpec(f"the module {module_name} cannot be imported: {error}") from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise InvalidSpec(f"{module_name} has no {path!r}{suggestion(name, dir(found))}")
        found = getattr(found, name)
    return found


@dataclasses.dataclass(frozen=True)
class _Location:
    """A place in a file, for error messages."""

    file: str
    key: str = ""

    def at(self, key: str) -> _Location:
        return _Location(self.file, f"{self.key}.{key}" if self.key else key)

    def error(self, text: object) -> InvalidSpec:
        return InvalidSpec(
            f"{self.file}: {self.key}: {text}" if self.key else f"{self.file}: {text}"
        )


def _supervisor(location: _Location, table: Mapping[str, Any]) -> Supervisor:
    _known(location, table, _SUPERVISOR_KEYS, "a supervisor")
    words = {
        key: _value(location.at(key), key, value)
        for key, value in table.items()
        if key != "children"
    }
    children = table.get("children", [])
    if not isinstance(children, list) or not all(isinstance(child, dict) for child in children):
        raise location.at("children").error("expected an array of tables, each headed [[children]]")
    below = [_child(location.at(f"children[{n}]"), child) for n, child in enumerate(children)]
    return _made(location, Supervisor, *below, **words)


def _child(location: _Location, table: Mapping[str, Any]) -> ChildSpec[Any] | Supervisor:
    if "class" in table and "children" in table:
        raise location.error(
            'expected either "class" (an actor) or "children" (a supervisor), found both'
        )
    if "class" in table:
        return _actor(location, table)
    if "children" in table:
        return _supervisor(location, table)
    _known(location, table, {*_ACTOR_KEYS, *_SUPERVISOR_KEYS}, "a child")
    raise location.error('expected "class" (an actor) or "children" (a supervisor), found neither')


def _actor(location: _Location, table: Mapping[str, Any]) -> ChildSpec[Any]:
    _known(location, table, _ACTOR_KEYS, "an actor")
    cls = _class(location.at("class"), table["class"])
    args, kwargs = table.get("args", []), table.get("kwargs", {})
    if not isinstance(args, list):
        raise location.at("args").error(f"expected an array, found {args!r}")
    if not isinstance(kwargs, dict):
        raise location.at("kwargs").error(f"expected a table, found {kwargs!r}")
    rest = ("class", "args", "kwargs", "significant")
    options = {
        key: _value(location.at(key), key, value) for key, value in table.items() if key not in rest
    }
    significant = table.get("significant", False)
    if not isinstance(significant, bool):
        raise location.at("significant").error(f"expected true or false, found {significant!r}")
    bare = _made(location, spec, cls, *args, **kwargs)
    return _made(location, bare.options, significant=significant, **options)


def _class(location: _Location, reference: Any) -> type:
    if not isinstance(reference, str):
        raise location.error(f'expected "module:Class", found {reference!r}')
    try:
        found = find_attribute(reference)
    except InvalidSpec as error:
        raise location.error(error) from error.__cause__
    if not isinstance(found, type):
        raise location.error(f"expected a class, found {found!r}")
    return found


def _value(location: _Location, key: str, value: Any) -> Any:
    """Return a word's value in Python's terms; the last check is the word's own class's."""
    if key in _ENUMS:
        return _member(location, _ENUMS[key], value)
    if key in _TABLES:
        cls = _TABLES[key]
        if not isinstance(value, dict):
            raise location.error(f"expected a table with {_listed(_fields(cls))}, found {value!r}")
        _known(location, value, _fields(cls), cls.__name__)
        words = {name: _or_none(cls, name, inner) for name, inner in value.items()}
        return _made(location, cls, **words)
    if key == "significant" and not isinstance(value, bool):
        raise location.error(f"expected true or false, found {value!r}")
    return _or_none(Options, key, value)


def _or_none(cls: Any, name: str, value: Any) -> Any:
    """Return None for "none" where None is not the default: TOML has no word for it."""
    if value != "none":
        return value
    for field in dataclasses.fields(cls):
        if field.name == name and "None" in str(field.type) and field.default is not None:
            return None
    return value


def _member(location: _Location, kind: type[Enum], value: Any) -> Enum:
    try:
        return kind(value)
    except ValueError:
        words = [member.value for member in kind]
        raise location.error(
            f"expected one of {_listed(words)}, found {value!r}{suggestion(value, words)}"
        ) from None


def _known(location: _Location, table: Mapping[str, Any], keys: Iterable[str], what: str) -> None:
    keys = list(keys)
    for key in table:
        if key not in keys:
            hint = suggestion(key, keys) or f"; {what} takes {_listed(keys)}"
            raise location.error(f"{what} has no key {key!r}{hint}")


def _made(location: _Location, make: Callable[..., T], *args: Any, **words: Any) -> T:
    try:
        return make(*args, **words)
    except (InvalidSpec, TypeError) as error:  # TypeError: an option among the arguments
        raise location.error(error) from None


def _fields(cls: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _toml() -> Any:
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib
    try:
        import tomli
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "reading TOML under Python 3.10 needs the package tomli: "
            "pip install 'procactors[toml]' (or tomli)"
        ) from None
    return tomli
