"""Making again, in the receiver, what plain pickle and cloudpickle do not.

Layer: wire. Runs in: parent and actor, while something is unpickled.
Owns: the objects that pickle by their name, for the life of the process.
Never: touches a module that can be imported.
"""

from __future__ import annotations

import functools
import types
from importlib.machinery import ModuleSpec
from typing import Any

from cloudpickle import cloudpickle as cp

__all__ = [
    "fill_cached",
    "fill_module",
    "fill_named",
    "fill_single_dispatch",
    "make_cached",
    "make_cached_property",
    "make_class",
    "make_module",
    "make_named",
    "make_single_dispatch",
    "make_spec",
    "make_typing_name",
    "remember_named",
]

#: Objects that pickle by their name (sentinels): one of each in a process.
_named: dict[str, Any] = {}


class _Quiet:
    """Stands before a class's bases while it is made: their `__init_subclass__` is not run."""

    __slots__ = ()

    def __init_subclass__(cls, **_: Any) -> None:
        pass


def make_class(
    metaclass: Any, name: str, bases: tuple[Any, ...], namespace: dict[str, Any], *_: Any
) -> Any:
    """Make a class without attributes, for `cloudpickle` to fill.

    Where a base's `__init_subclass__` wants arguments, which no class remembers, it is not run:
    what it did to the class comes with the class's attributes.
    """
    try:
        return cp._make_skeleton_class(metaclass, name, bases, namespace, None, None)
    except Exception:  # whatever a user's `__init_subclass__` raises for want of arguments
        made = types.resolve_bases(bases)
        if not any("__init_subclass__" in vars(base) for cls in made for base in cls.__mro__[:-1]):
            raise
        quiet = (_Quiet, *(() if made == (object,) else made))
        cls = cp._make_skeleton_class(metaclass, name, quiet, namespace, None, None)
        cls.__bases__ = made
        return cls


def make_named(key: str, cls: Any, args: tuple[Any, ...]) -> Any:
    """Return the object of that name; a bare one if there is none of this class."""
    known = _named.get(key)
    return known if type(known) is cls else cls.__new__(cls, *args)


def fill_named(obj: Any, state: tuple[str, dict[str, Any]]) -> None:
    """Set the attributes of a new object, and remember it."""
    key, attributes = state
    if _named.get(key) is not obj:
        for name, value in attributes.items():
            object.__setattr__(obj, name, value)
        _named[key] = obj


def remember_named(key: str, obj: Any) -> None:
    """Have an object come home as itself."""
    _named[key] = obj


def make_typing_name(kind: Any, name: str, module: str, value: Any) -> Any:
    """Make a `NewType`, a `ParamSpec` or the like."""
    made = kind(name) if value is None else kind(name, value)
    made.__module__ = module
    return made


def make_cached(function: Any, maxsize: int | None, typed: bool) -> Any:
    """Make a function of `functools.lru_cache`, its cache empty."""
    return functools.lru_cache(maxsize, typed)(function)


def fill_cached(function: Any, attributes: dict[str, Any]) -> None:
    """Set what a user has added to a cached function."""
    vars(function).update(attributes)


def make_single_dispatch(function: Any) -> Any:
    """Make a function of `functools.singledispatch` with its default alone."""
    return functools.singledispatch(function)


def fill_single_dispatch(function: Any, state: tuple[dict[type, Any], dict[str, Any]]) -> None:
    """Register the other implementations."""
    registry, attributes = state
    for cls, implementation in registry.items():
        function.register(cls, implementation)
    vars(function).update(attributes)


def make_cached_property(function: Any, name: str | None) -> Any:
    """Make a `functools.cached_property` with a lock of its own."""
    made: Any = functools.cached_property(function)
    made.attrname = name
    return made


def make_spec(name: str, origin: str | None, is_package: bool) -> ModuleSpec:
    """Make a module's spec, for relative imports: its loader means nothing here."""
    return ModuleSpec(name, None, origin=origin, is_package=is_package)


def make_module(name: str) -> types.ModuleType:
    """Make an empty module, which is entered nowhere."""
    return types.ModuleType(name)


def fill_module(module: types.ModuleType, attributes: dict[str, Any]) -> None:
    """Set what is in a module."""
    vars(module).update(attributes)
