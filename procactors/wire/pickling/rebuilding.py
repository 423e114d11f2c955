"""Making again, in the receiver, what plain pickle and cloudpickle do not.

Layer: wire. Runs in: parent and actor, while something is unpickled.
Owns: the objects that pickle by their name, for the life of the process.
Never: touches a module that can be imported.
"""

from __future__ import annotations

import contextlib
import functools
import types
from importlib.machinery import ModuleSpec
from typing import Any

from cloudpickle import cloudpickle as cp

from procactors.stored import stored
from procactors.wire.pickling.importable import is_found

__all__ = [
    "fill_cached",
    "fill_enum",
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

    def __init_subclass__(cls, **_: Any) -> None:
        pass


class _QuietWithSlots:
    """`_Quiet` for bases whose instances have no dictionary: all bases must have one, or none."""

    __slots__ = ()

    def __init_subclass__(cls, **_: Any) -> None:
        pass


@stored
def make_class(
    metaclass: Any, name: str, bases: tuple[Any, ...], namespace: dict[str, Any], *_: Any
) -> Any:
    """Make a class without attributes, for `cloudpickle` to fill.

    A base's `__init_subclass__` is not run: it may want arguments, which no class remembers, and it
    may enter the class in a registry. What it did to the class comes with the class's attributes.
    Nor is a metaclass of the program's own run; those of libraries are.
    """
    real = types.resolve_bases(bases)
    maker = next(cls for cls in metaclass.__mro__ if issubclass(cls, type) and is_found(cls))
    is_quiet = not any(
        "__init_subclass__" in vars(base) and base.__module__ != "typing"
        for cls in real
        for base in cls.__mro__[:-1]
    )
    if maker is metaclass and is_quiet:
        return cp._make_skeleton_class(metaclass, name, bases, namespace, None, None)
    if is_quiet:
        return _made(maker, metaclass, name, real, namespace)
    for quiet in (_Quiet, _QuietWithSlots):
        # TypeError: the bases are of another kind; bases in C may go with neither.
        with contextlib.suppress(TypeError):
            cls = _made(maker, metaclass, name, (quiet, *real), namespace)
            cls.__bases__ = real
            return cls
    return _made(maker, metaclass, name, real, namespace)


def _made(
    maker: Any, metaclass: Any, name: str, bases: tuple[Any, ...], namespace: dict[str, Any]
) -> Any:
    """Make a class of a metaclass by the way of another, which that derives from."""
    cls = maker.__new__(metaclass, name, bases, dict(namespace))
    maker.__init__(cls, name, bases, dict(namespace))
    return cls


@stored
def make_named(key: str, cls: Any, args: tuple[Any, ...]) -> Any:
    """Return the object of that name; a bare one if there is none of this class."""
    known = _named.get(key)
    return known if type(known) is cls else cls.__new__(cls, *args)


@stored
def fill_named(obj: Any, state: tuple[str, dict[str, Any]]) -> None:
    """Set the attributes of a new object, and remember it."""
    key, attributes = state
    if _named.get(key) is not obj:
        for name, value in attributes.items():
            object.__setattr__(obj, name, value)
        _named[key] = obj


@stored
def remember_named(key: str, obj: Any) -> None:
    """Have this process load the object of that name as itself."""
    _named[key] = obj


@stored
def make_typing_name(kind: Any, name: str, module: str, value: Any) -> Any:
    """Make a `NewType`, a `ParamSpec` or the like."""
    made = kind(name) if value is None else kind(name, value)
    with contextlib.suppress(AttributeError):  # of a `type` statement's it is not writable
        made.__module__ = module
    return made


@stored
def make_cached(function: Any, maxsize: int | None, typed: bool) -> Any:
    """Make a function of `functools.lru_cache`, its cache empty."""
    return functools.lru_cache(maxsize, typed)(function)


@stored
def fill_cached(function: Any, attributes: dict[str, Any]) -> None:
    """Set what a user has added to a cached function."""
    vars(function).update(attributes)


@stored
def make_single_dispatch(function: Any) -> Any:
    """Make a function of `functools.singledispatch` with its default alone."""
    return functools.singledispatch(function)


@stored
def fill_single_dispatch(function: Any, state: tuple[dict[type, Any], dict[str, Any]]) -> None:
    """Register the other implementations."""
    registry, attributes = state
    for cls, implementation in registry.items():
        function.register(cls, implementation)
    vars(function).update(attributes)


@stored
def make_cached_property(function: Any, name: str | None) -> Any:
    """Make a `functools.cached_property` with a lock of its own."""
    made: Any = functools.cached_property(function)
    made.attrname = name
    return made


@stored
def make_spec(name: str, origin: str | None, is_package: bool) -> ModuleSpec:
    """Make a module's spec, for relative imports: its loader means nothing here."""
    return ModuleSpec(name, None, origin=origin, is_package=is_package)


@stored
def fill_enum(cls: Any, state: tuple[Any, dict[str, dict[str, Any]], Any]) -> None:
    """Set an enum's methods, and what was set on its members."""
    attributes, of_members, set_state = state
    set_state(cls, (attributes, {}))
    for name, values in of_members.items():
        vars(cls.__members__[name]).update(values)


@stored
def make_module(name: str) -> types.ModuleType:
    """Make an empty module, which is entered nowhere."""
    return types.ModuleType(name)


@stored
def fill_module(module: types.ModuleType, attributes: dict[str, Any]) -> None:
    """Set what is in a module."""
    vars(module).update(attributes)
