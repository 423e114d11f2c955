"""A cheap proof that a definition is what it was when it was last written out.

Layer: wire. Runs in: parent and actor, in the thread that encodes.
Owns: references to what a definition consists of, for as long as the proof is kept.
Never: says "unchanged" of what may have changed; the other way round only costs time.

A definition is pickled with all that it uses, at several hundred microseconds. Between two messages
it hardly ever changes, and nearly all that it refers to cannot change without being another object.
So a proof is a list of comparisons by identity, a few microseconds in sum; data that can be changed
in place (a dictionary, an array) is pickled again by itself, and its bytes are compared.
"""

from __future__ import annotations

import enum
import functools
import logging
import pickle
import sys
import types
import typing
from abc import ABCMeta, get_cache_token
from collections.abc import Callable, Iterable
from operator import is_not
from typing import Any

from procactors.wire.pickling.digest import blake2b
from procactors.wire.pickling.importable import is_importable, private_names

__all__ = ["Proof"]

_ABSENT = object()

#: Values of these types are the same as long as they are the same object.
_FIXED: frozenset[type] = frozenset(
    (
        bool,
        int,
        float,
        complex,
        type(None),
        type(Ellipsis),
        type(NotImplemented),
        types.FunctionType,  # by value or not: one by value has comparisons of its own
        types.BuiltinFunctionType,
        types.MethodDescriptorType,
        types.WrapperDescriptorType,
        types.MemberDescriptorType,
        types.GetSetDescriptorType,
        types.ClassMethodDescriptorType,
        types.GenericAlias,
        types.UnionType,
        staticmethod,
        classmethod,
        property,
        functools.cached_property,
        functools._lru_cache_wrapper,
        logging.Logger,
        range,
        typing.TypeVar,
        typing.NewType,
    )
)
#: Further types like those of `_FIXED`, by name: not each program loads their modules.
_FIXED_NAMES = frozenset(
    (
        "datetime.date",
        "datetime.datetime",
        "datetime.time",
        "datetime.timedelta",
        "decimal.Decimal",
        "fractions.Fraction",
        "pathlib.PosixPath",
        "pathlib.PurePosixPath",
        "re.Pattern",
        "uuid.UUID",
    )
)
#: Longest text or bytes that a proof keeps alive; longer ones are compared by what is in them.
_LONGEST = 64 * 1024
#: Attributes of classes that decorators and metaclasses write once, and hold what cannot be pickled
#: by itself. (An edit of annotations in place is not seen.)
_GENERATED = frozenset(
    (
        "__abstractmethods__",
        "__annotations__",
        "__dataclass_fields__",
        "__dataclass_params__",
        "__dict__",
        "__doc__",
        "__orig_bases__",
        "__parameters__",
        "__slotnames__",
        "__weakref__",
        "_abc_cache",
        "_abc_impl",
        "_abc_negative_cache",
        "_abc_registry",
    )
)
#: What enums write so, and named tuples.
_OF_ENUMS = frozenset(
    (
        "_hashable_values_",
        "_member_map_",
        "_member_names_",
        "_member_type_",
        "_unhashable_values_",
        "_unhashable_values_map_",
        "_value2member_map_",
    )
)


class Proof:
    """What is to be compared, for one definition and all definitions that travel with it.

    Each part is added before it is written out: what changes in between is seen as a change.

    Args:
        names_of: returns the names of the globals that a function's code uses.
    """

    def __init__(self, names_of: Callable[[types.CodeType], Iterable[str]]) -> None:
        self._names_of = names_of
        self._functions: list[tuple[Any, ...]] = []
        self._names: dict[tuple[int, str], tuple[dict[str, Any], str, Any]] = {}
        self._cells: list[tuple[Any, Any]] = []
        self._classes: list[tuple[type, tuple[type, ...], str]] = []
        self._tables: list[tuple[Callable[[], Any], tuple[str, ...], tuple[Any, ...]]] = []
        self._data: list[tuple[Callable[[], Any], bytes]] = []
        #: Which of the data are one object.
        self._ids: list[int] = []
        #: Some data can be compared by writing out all of it only.
        self._is_void = False
        #: How many modules there were, if submodules of a package matter; and the number that
        #: changes when a class is registered with an abstract one.
        self._modules = 0
        self._abc_token: object = None

    def holds(self) -> bool:
        """Return whether all is as it was."""
        if self._is_void or (self._modules and self._modules != len(sys.modules)):
            return False
        if self._abc_token is not None and self._abc_token != get_cache_token():
            return False
        return (
            self._is_code_the_same()
            and self._are_names_the_same()
            and self._are_tables_the_same()
            and self._is_data_the_same()
        )

    def _is_code_the_same(self) -> bool:
        for function, code, defaults, name, text in self._functions:
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__name__ is not name
                or function.__doc__ is not text
            ):
                return False
        return True

    def _are_names_the_same(self) -> bool:
        for namespace, name, value in self._names.values():
            if namespace.get(name, _ABSENT) is not value:
                return False
        return all(_contents(cell) is value for cell, value in self._cells)

    def _are_tables_the_same(self) -> bool:
        for cls, bases, name in self._classes:
            if cls.__bases__ != bases or cls.__name__ != name:
                return False
        for get_table, names, values in self._tables:
            now = get_table()
            if tuple(now) != names or any(map(is_not, now.values(), values)):
                return False
        return True

    def _is_data_the_same(self) -> bool:
        if not self._data:
            return True
        values = [get() for get, _ in self._data]
        if _firsts(map(id, values)) != _firsts(self._ids):
            return False
        return all(
            _fingerprint(value) == fingerprint
            for value, (_, fingerprint) in zip(values, self._data, strict=True)
        )

    def add_function(self, function: Any) -> None:
        """Add a function that is about to be written out; a cached one for its attributes."""
        self._add_table(functools.partial(vars, function))
        if not isinstance(function, types.FunctionType):
            return
        code, defaults = function.__code__, function.__defaults__
        self._functions.append((function, code, defaults, function.__name__, function.__doc__))
        self._add_data(defaults or (), lambda: function.__defaults__ or ())
        if function.__kwdefaults__:
            self._add_table(lambda: function.__kwdefaults__ or {})
        namespace = function.__globals__
        for name in self._names_of(code):
            value = namespace.get(name, _ABSENT)
            if isinstance(value, types.ModuleType) and hasattr(value, "__path__"):
                self._modules = len(sys.modules)
            if self._add_data(value, functools.partial(namespace.get, name, _ABSENT)):
                self._names[id(namespace), name] = namespace, name, value
        for cell in function.__closure__ or ():
            value = _contents(cell)
            if self._add_data(value, functools.partial(_contents, cell)):
                self._cells.append((cell, value))

    def add_class(self, cls: type) -> None:
        """Add a class that is about to be written out."""
        self._classes.append((cls, cls.__bases__, cls.__name__))
        if isinstance(cls, ABCMeta):
            self._abc_token = get_cache_token()
        skipped = _GENERATED
        if issubclass(cls, enum.Enum):
            skipped = skipped | _OF_ENUMS
            for member in cls.__members__.values():
                self._add_table(functools.partial(vars, member))
        elif issubclass(cls, tuple):
            skipped = skipped | {"_field_defaults"}
        self._add_table(functools.partial(vars, cls), skipped)

    def _add_table(
        self, get_table: Callable[[], Any], skipped: frozenset[str] = frozenset()
    ) -> None:
        table = dict(get_table())
        self._tables.append((get_table, tuple(table), tuple(table.values())))
        for name, value in table.items():
            if name not in skipped:
                self._add_data(value, lambda name=name: get_table().get(name, _ABSENT))  # type: ignore[misc]

    def _add_data(self, value: Any, get: Callable[[], Any]) -> bool:
        """Note data that can change in place; return whether identity is all there is to it."""
        if value is _ABSENT or _is_fixed(value):
            return True
        fingerprint = _fingerprint(value)
        if fingerprint is None:
            self._is_void = True
        elif not self._is_void:
            self._data.append((get, fingerprint))
            self._ids.append(id(value))
        return False


def _firsts(ids: Iterable[int]) -> list[int]:
    """Return for each number where it stands first."""
    first: dict[int, int] = {}
    return [first.setdefault(number, index) for index, number in enumerate(ids)]


def _is_fixed(value: Any) -> bool:
    cls = type(value)
    if cls in (str, bytes):
        return len(value) <= _LONGEST
    if cls in (tuple, frozenset):
        return all(map(_is_fixed, value))
    if isinstance(value, types.ModuleType):
        return is_importable(value.__name__)
    if isinstance(value, enum.Enum):
        # A member is one object for ever; but its value, and what was set on it, may change.
        return all(map(_is_fixed, vars(value).values()))
    if isinstance(value, type) or cls in _FIXED:
        return True
    return cls.__module__ == "typing" or f"{cls.__module__}.{cls.__qualname__}" in _FIXED_NAMES


def _fingerprint(value: Any) -> bytes | None:
    """Return what data is, in a few bytes; None if it holds definitions, or cannot be pickled."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = pickle.dumps(value, 5, buffer_callback=buffers.append)
        if b"_main__" in data or any(name in data for name in private_names()):
            return None
        if not buffers and len(data) <= 256:
            return data
        digest = blake2b(data, digest_size=16)
        for buffer in buffers:
            digest.update(buffer.raw())
    except Exception:  # noqa: BLE001 - any class's own pickling code may raise anything
        return None
    return digest.digest()


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return _ABSENT
