"""Which methods an actor's class offers, by the names under which they travel.

Layer: runner. Runs in: caller and actor.
Owns: a table for each class, kept as long as the class lives.
Never: compares functions by identity across processes: one that travelled by value is a copy.
"""

from __future__ import annotations

import contextlib
import functools
import types
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procactors.errors import InvalidSpec, UnknownMethod
from procactors.late import late
from procactors.light_tuple import NamedTuple
from procactors.model.handlers import (
    ACTOR,
    AWAITS,
    GENERATORS,
    cure_for,
    kind_of,
    refusal,
    refused_kind,
    streams,
)
from procactors.wire.pickling.digest import blake2b
from procactors.wire.pickling.importable import is_found

if TYPE_CHECKING:
    import inspect

    from procactors.model import options
    from procactors.wire.pickling import by_value
else:
    inspect = late("inspect")
    options = late("procactors.model.options")
    by_value = late("procactors.wire.pickling.by_value")

__all__ = [
    "Method",
    "MethodTable",
    "cure",
    "find_handler",
    "is_method_reference",
    "key_of",
    "table_of",
]

_VARIADIC = 1 << 30


class Method(NamedTuple):
    """A method as an actor offers it.

    Attributes:
        key: how it travels: ``module:qualname``.
        name: the attribute to look up on the actor, so that an override wins.
        signature: its parameters without ``self``; None if it cannot be known.
        least, most: positional arguments that it takes when no keyword is given.
    """

    key: bytes
    name: str
    signature: inspect.Signature | None
    least: int
    most: int

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise TypeError if the method does not take these arguments."""
        if not kwargs and self.least <= len(args) <= self.most:
            return
        if self.signature is not None:
            try:
                self.signature.bind(*args, **kwargs)
            except TypeError as error:
                why = refusal(self.signature, args, kwargs) or error
                raise TypeError(f"{self.name}{self.signature}: {why}{cure(why)}") from None


class MethodTable:
    """The methods of one class, its bases' included."""

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.by_key: dict[bytes, str] = {}
        self._own: dict[bytes, Any] = {}
        #: A public method is a coroutine: its actor needs an event loop.
        self.is_async = False
        self.receives = callable(getattr(cls, "receive", None))
        #: What has been looked up so far, by what was given to `method`.
        self.by_function: dict[Any, Method] = {}
        #: The same of generators, which are streamed: none of them is in the other.
        self._by_generator: dict[Any, Method] = {}
        self._ambiguous: dict[bytes, set[str]] = {}
        for base in cls.__mro__[:-1]:
            for name, value in vars(base).items():
                functions = _functions(value)
                for function in functions:
                    self._add(_name_of(function), function, name)
                # The outermost alone: what a plain function wraps is its own affair.
                if functions and functions[0].__class__ is types.FunctionType and name[0] != "_":
                    self.is_async |= functions[0].__code__.co_flags & AWAITS != 0
        for key, function, name in _OF_OBJECT:
            self._add(key, function, name)

    def method(self, reference: Any) -> Method:
        """Return the method that a reference such as ``Counter.increment`` means.

        Raises:
            UnknownMethod: the class has no such method, or more than one.
        """
        found = self.by_function.get(reference)
        if found is None:
            found = self._find(reference)
            function = getattr(self.cls, found.name)
            if kind := refused_kind(function):
                raise _wrong_kind(self.cls, found.name, kind)
            self.by_function[reference] = found
        return found

    def generator(self, reference: Any) -> Method:
        """Return the generator that a reference such as ``Worker.rows`` means.

        Raises:
            UnknownMethod: the class has none, or more than one; or it is no generator.
        """
        found = self._by_generator.get(reference)
        if found is None:
            found = self._find(reference)
            if not streams(getattr(self.cls, found.name)):
                raise _no_generator(self.cls, found.name)
            self._by_generator[reference] = found
        return found

    def has(self, reference: Any) -> bool:
        """Return whether a reference means a method of this class."""
        if reference in self.by_function or reference in self._by_generator:
            return True
        keys = [_name_of(function) for function in (reference, *_functions(reference))]
        return any(key in self.by_key for key in keys)

    def name_of(self, key: bytes) -> str:
        """Return the attribute that a method's key means; empty if there is none.

        Raises:
            UnknownMethod: the key is of another version of the class.
        """
        base, mark, _ = key.partition(_STAMP)
        name = self.by_key.get(base, "")
        own = key_of(self._own[base]) if mark and name else key
        if _STAMP in own and own != key:
            raise UnknownMethod(
                f"this actor was spawned from an earlier definition of {self.cls.__qualname__}, "
                f"whose {name} is another one: spawn it anew, or call it by the class as it was"
            )
        return name

    def _add(self, key: bytes, function: Any, name: str) -> None:
        self._own.setdefault(key, function)
        known = self.by_key.setdefault(key, name)
        if known != name:
            # One function under two names: its own name is meant, if it is one of them.
            own = getattr(function, "__name__", "")
            if own in (known, name):
                self.by_key[key] = own
            else:
                self._ambiguous.setdefault(key, set()).update((known, name))

    def _find(self, reference: Any) -> Method:
        key = _name_of(reference)
        for inner in (reference, *_functions(reference)):
            if _name_of(inner) in self.by_key:
                key = _name_of(inner)
                break
        name = self.name_of(_stamped(key, reference))
        shown = getattr(reference, "__qualname__", repr(reference))
        if not name:
            offered = sorted(name for name in set(self.by_key.values()) if self._is_offered(name))
            raise UnknownMethod(
                f"{shown} is not a method of {self.cls.__qualname__}{self._as_it_was(reference)}; "
                f"it has {offered}"
            )
        if key in self._ambiguous:
            raise UnknownMethod(
                f"{shown} stands under several names in {self.cls.__qualname__}: "
                f"{sorted(self._ambiguous[key])}; define them apart"
            )
        return _describe(self.cls, _stamped(key, reference), name)

    def _is_offered(self, name: str) -> bool:
        """Whether it is a name to be called by: not private, and no hook that was left as it is."""
        return name[0] != "_" and getattr(getattr(self.cls, name), "__module__", "") != ACTOR

    def _as_it_was(self, reference: Any) -> str:
        owner, _, _ = getattr(reference, "__qualname__", "").rpartition(".")
        same = (getattr(reference, "__module__", None), owner)
        if same != (self.cls.__module__, self.cls.__qualname__):
            return ""
        return " as it was when the actor was spawned (it was defined anew since)"


def find_handler(
    instance: Any, table: MethodTable, key: bytes, *, streamed: bool = False
) -> tuple[str, Callable[..., Any]]:
    """Return (name, bound method) of the handler that a message's method means.

    Args:
        instance: the user's object.
        table: of its class.
        key: how the method travels.
        streamed: it is to give items.

    Raises:
        UnknownMethod: the object has none, or one of the other kind.
    """
    if not key:
        if not table.receives:
            cls = type(instance).__qualname__
            raise UnknownMethod(
                f"{cls} has no receive method: it takes calls like {cls}.method, no messages"
            )
        name = "receive"
    elif key[:1] == b":":
        name = key[1:].decode()
    else:
        name = table.name_of(key)
    handler = getattr(instance, name, None) if name else None
    if not callable(handler):
        raise UnknownMethod(
            f"{type(instance).__qualname__} has no method {key.decode().removeprefix(':')}"
        )
    # In one piece, for each item of a map comes here. Its sender may not have known the class.
    kind = kind_of(handler)
    if streamed:
        if not streams(handler):
            raise _no_generator(type(instance), name)
    elif kind and not (kind == "async def" and table.is_async):
        shown = f"{type(instance).__qualname__}.{name}"
        if kind in GENERATORS:
            raise _asked_generator(shown, kind)
        raise UnknownMethod(
            f"{shown} is {kind}: no handler here, since no public method of the class is async def"
        )
    return name, handler


def cure(error: Exception) -> str:
    """Return what to say instead if a call was given a word of ours as an argument."""
    return cure_for(
        error,
        options.OPTIONS,
        "options({}).spawn(...) when the actor is made",
        "ref.options({}).ask(...)",
    )


def _wrong_kind(cls: type, name: str, kind: str) -> Exception:
    """Return what is raised where a method is called that is not called so."""
    shown = f"{cls.__qualname__}.{name}"
    if kind in GENERATORS:
        return _asked_generator(shown, kind)
    return InvalidSpec(f"{shown} is {kind}: handlers are plain functions that return their result")


def _asked_generator(shown: str, kind: str) -> UnknownMethod:
    """Return what is raised where a generator is told or asked."""
    return UnknownMethod(
        f"{shown} is {kind}, whose items are streamed: say stream({shown}, ...); no ask, tell or "
        f"submit takes them, nor a timer or a topic"
    )


def _no_generator(cls: type, name: str) -> UnknownMethod:
    """Return what is raised where a plain method is streamed."""
    shown = f"{cls.__qualname__}.{name}"
    return UnknownMethod(
        f"{shown} is no generator, so there is nothing to stream: say ask({shown}, ...) for its "
        f"result, or have it yield"
    )


def is_method_reference(value: Any) -> bool:
    """Whether a first argument means a method, not a message.

    The rule: it has a ``__qualname__``, and is neither a class nor a bound method.
    """
    return hasattr(value, "__qualname__") and not isinstance(value, (type, types.MethodType))


def table_of(cls: type) -> MethodTable:
    """Return the table of a class, made once."""
    table = _tables.get(cls)
    if table is None:
        table = _tables[cls] = MethodTable(cls)
    return table


_tables: weakref.WeakKeyDictionary[type, MethodTable] = weakref.WeakKeyDictionary()


def key_of(function: Any) -> bytes:
    """Return the name under which a function travels.

    Behind the name of one that receivers cannot import stands what its code is: a method of a class
    that was defined anew is not the method of that name of an actor that was spawned before.
    """
    try:
        key = _keys.get(function)
    except TypeError:  # neither hashable nor able to be referred to weakly
        return _stamped(_name_of(function), function)
    if key is None:
        key = _stamped(_name_of(function), function)
        with contextlib.suppress(TypeError):
            _keys[function] = key
    return key


_keys: weakref.WeakKeyDictionary[Any, bytes] = weakref.WeakKeyDictionary()
#: Between a function's name and what its code is.
_STAMP = b"@"


def _name_of(function: Any) -> bytes:
    module = getattr(function, "__module__", None) or ""
    return f"{module}:{getattr(function, '__qualname__', '')}".encode()


def _stamped(key: bytes, function: Any) -> bytes:
    # The innermost: one may call a method by its decorator's function, or by what that wraps.
    code = getattr((_functions(function) or [None])[-1], "__code__", None)
    if code is None or is_found(function):
        return key
    facts = repr(by_value.code_facts(code)).encode()
    return key + _STAMP + blake2b(facts, digest_size=4).hexdigest().encode()


def _functions(value: Any) -> list[Any]:
    """Return the function behind an attribute, and those that it wraps."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    if isinstance(value, functools.partialmethod):
        value = value.func
    if not callable(value) or isinstance(value, type) or not hasattr(value, "__qualname__"):
        return []
    found = [value]
    while hasattr(found[-1], "__wrapped__") and len(found) < 20:
        found.append(found[-1].__wrapped__)
    return found


def _describe(cls: type, key: bytes, name: str) -> Method:
    attribute = inspect.getattr_static(cls, name)
    function = getattr(cls, name)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return Method(key, name, None, 0, _VARIADIC)
    if not isinstance(attribute, (staticmethod, classmethod)):
        parameters = list(signature.parameters.values())
        if parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            signature = signature.replace(parameters=parameters[1:])
    return Method(key, name, signature, *_positional(signature))


def _positional(signature: inspect.Signature) -> tuple[int, int]:
    least = most = 0
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            most = _VARIADIC
        elif parameter.kind in (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        ):
            most = min(most + 1, _VARIADIC)
            least += parameter.default is inspect.Parameter.empty
        elif (
            parameter.kind is inspect.Parameter.KEYWORD_ONLY
            and parameter.default is inspect.Parameter.empty
        ):
            least = _VARIADIC + 1  # never enough without keywords: the full check decides
    return least, most


#: What every class has of `object`, by the names under which it travels. Looked up once: that is
#: more than a small class has of its own, and each actor makes the table of its class at its start.
_OF_OBJECT = tuple(
    (_name_of(function), function, name)
    for name, value in vars(object).items()
    for function in _functions(value)
)
