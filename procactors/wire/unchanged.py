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
import hashlib
import logging
import pickle
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from operator import is_not
from typing import Any

from procactors.wire.importable import is_importable, private_names

__all__ = ["Proof"]

_ABSENT = object()

#: Values of these types are the same as long as they are the same object.
_FIXED: tuple[type, ...] = (
    bool,
    int,
    float,
    complex,
    type(None),
    type(Ellipsis),
    type(NotImplemented),
    type,
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
    enum.Enum,
    logging.Logger,
    range,
    typing.TypeVar,
    typing.NewType,
)
#: Likewise, by name: not each program has a use for their modules.
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
#: Attributes that decorators and metaclasses write once, beside all with two underscores.
_GENERATED = frozenset(
    (
        "_abc_cache",
        "_abc_impl",
        "_abc_negative_cache",
        "_abc_registry",
        "_field_defaults",
        "_fields",
        "_member_map_",
        "_member_names_",
        "_member_type_",
        "_value2member_map_",
    )
)


class Proof:
    """What is to be compared, for one definition and all definitions that travel with it.

    Args:
        functions: those that were written out by value.
        classes: likewise.
        names_of: returns the names of the globals that a function's code uses.
    """

    def __init__(
        self,
        functions: Iterable[types.FunctionType],
        classes: Iterable[type],
        names_of: Callable[[types.CodeType], Iterable[str]],
    ) -> None:
        self._functions: list[tuple[Any, ...]] = []
        self._names: dict[tuple[int, str], tuple[dict[str, Any], str, Any]] = {}
        self._cells: list[tuple[Any, Any]] = []
        self._dicts: list[tuple[Any, tuple[Any, ...]]] = []
        self._data: list[tuple[Callable[[], Any], bytes]] = []
        #: Some data can be compared by writing out all of it only.
        self._is_void = False
        for function in functions:
            self._add_function(function, names_of(function.__code__))
        for cls in classes:
            self._add_dict(cls, vars(cls))

    def holds(self) -> bool:
        """Return whether all is as it was."""
        if self._is_void:
            return False
        for function, code, defaults, keywords in self._functions:
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__kwdefaults__ is not keywords
            ):
                return False
        for namespace, name, value in self._names.values():
            if namespace.get(name, _ABSENT) is not value:
                return False
        for cell, value in self._cells:
            if _contents(cell) is not value:
                return False
        for owner, values in self._dicts:
            now = vars(owner).values()
            if len(now) != len(values) or any(map(is_not, now, values)):
                return False
        return all(_fingerprint(get()) == data for get, data in self._data)

    def _add_function(self, function: types.FunctionType, names: Iterable[str]) -> None:
        code, defaults, keywords = function.__code__, function.__defaults__, function.__kwdefaults__
        self._functions.append((function, code, defaults, keywords))
        self._add_data(defaults or (), lambda: function.__defaults__ or ())
        self._add_data(tuple((keywords or {}).values()), lambda: tuple(_keywords(function)))
        namespace = function.__globals__
        for name in names:
            value = namespace.get(name, _ABSENT)
            if self._add_data(value, functools.partial(namespace.get, name, _ABSENT)):
                self._names[id(namespace), name] = namespace, name, value
        for cell in function.__closure__ or ():
            value = _contents(cell)
            if self._add_data(value, functools.partial(_contents, cell)):
                self._cells.append((cell, value))
        if vars(function):
            self._add_dict(function, vars(function))

    def _add_dict(self, owner: Any, attributes: Any) -> None:
        self._dicts.append((owner, tuple(attributes.values())))
        for name, value in attributes.items():
            if not (name[:2] == name[-2:] == "__" or name in _GENERATED):
                self._add_data(value, functools.partial(_attribute, owner, name))

    def _add_data(self, value: Any, get: Callable[[], Any]) -> bool:
        """Note data that can change in place; return whether identity is all there is to it."""
        if value is _ABSENT or _is_fixed(value):
            return True
        fingerprint = _fingerprint(value)
        if fingerprint is None:
            self._is_void = True
        else:
            self._data.append((get, fingerprint))
        return False


def _is_fixed(value: Any) -> bool:
    if isinstance(value, (str, bytes)):
        return len(value) <= _LONGEST
    if type(value) in (tuple, frozenset):
        return all(map(_is_fixed, value))
    if isinstance(value, types.ModuleType):
        return is_importable(value.__name__)
    if isinstance(value, _FIXED):
        return True
    cls = type(value)
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
        digest = hashlib.blake2b(data, digest_size=16)
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


def _keywords(function: types.FunctionType) -> Iterator[Any]:
    return iter((function.__kwdefaults__ or {}).values())


def _attribute(owner: Any, name: str) -> Any:
    return vars(owner).get(name, _ABSENT)
