"""What can be run in an actor: classes with plain or async methods and generators; plain functions.

Layer: model. Runs in: parent and actor.
Owns: nothing.
Never: lets an `async def`, or a generator that is not streamed, come to its first call where nobody
would run what it returns.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from procactors.errors import InvalidSpec
from procactors.late import late

if TYPE_CHECKING:
    import inspect
    import re
else:
    inspect = late("inspect")
    re = late("re")

__all__ = [
    "ACTOR",
    "AWAITS",
    "GENERATORS",
    "check_class",
    "check_function",
    "check_keeps",
    "cure_for",
    "is_async",
    "kind_of",
    "refusal",
    "refused_kind",
    "streams",
]

#: Keywords of ours that are written where a function's own belong: of a call, and of a map.
_CALL_WORDS = {"timeout"}
_MAP_WORDS = {"chunk", "in_flight", "on_error", "ordered", "progress", "retries", "retry_on"}
#: Words that users write, and the options that they mean.
_MEANT = {"timeout": "start_timeout", "workers": "size", "max_workers": "size"}

#: Flags of the code of what does not return its result: `inspect`'s CO_GENERATOR, CO_COROUTINE and
#: CO_ASYNC_GENERATOR.
_UNUSUAL = 0x20 | 0x80 | 0x200
#: Those of code that an event loop runs.
AWAITS = 0x80 | 0x200

#: What `kind_of` says of what is streamed.
GENERATORS = ("a generator", "an async generator")
#: Where the base class of actors is.
ACTOR = "procactors.api.actor"

#: Types whose objects have their code themselves, not in a `__call__`.
_PLAIN = (FunctionType, BuiltinFunctionType, type)

_UNEXPECTED = r"unexpected keyword argument '(\w+)'"


def kind_of(function: Any) -> str:
    """Return what a function is that cannot be a handler yet; empty if it can."""
    kind = type(function)
    if kind is MethodType:  # of an instance, as an actor looks it up
        function = function.__func__
        kind = type(function)
    if kind is BuiltinFunctionType or (
        kind is FunctionType and not function.__code__.co_flags & _UNUSUAL
    ):
        return ""  # nearly all, and at once: each call of a pool comes by here
    if inspect.iscoroutinefunction(function):
        return "async def"
    if inspect.isasyncgenfunction(function):
        return "an async generator"
    return "a generator" if inspect.isgeneratorfunction(function) else ""


def is_async(function: Any) -> bool:
    """Whether a function is ``async def``: what it returns is to be awaited."""
    return kind_of(function) == "async def"


def refused_kind(function: Any) -> str:
    """Return what a method is that cannot be a handler of an actor; empty if it can."""
    kind = kind_of(function)
    return "" if kind == "async def" else kind


def check_class(verb: str, cls: Any) -> None:
    """Refuse a class that no actor can be made of: no hook may be a generator.

    Args:
        verb: what it is given to: spawn, pool or spec.
        cls: what was given.

    Raises:
        InvalidSpec: it is no class, or has a method that cannot be a handler.
    """
    if not isinstance(cls, type):
        raise InvalidSpec(
            f"{verb} takes a class, then its arguments; {cls!r} is no class{_instead(verb, cls)}"
        )
    seen = set(vars(object))
    for base in cls.__mro__:
        for name, value in vars(base).items():
            if name in seen or name.startswith("_"):
                continue
            seen.add(name)
            kind = refused_kind(_function(value))
            if kind and _is_called_by_us(name):
                raise InvalidSpec(
                    f"{cls.__qualname__}.{name} is {kind}, and nobody reads its items: it is a "
                    f"function, plain or async, that returns its result; a method that yields has "
                    f"another name, and is read by ref.stream({cls.__qualname__}.<name>, ...)"
                )


def check_keeps(cls: Any) -> None:
    """Refuse a class whose state cannot be written down and given back.

    Raises:
        InvalidSpec: it has not both of the hooks, or one that is no plain function.
    """
    name = cls.__qualname__
    has = {hook: _own(cls, hook) for hook in ("snapshot", "restore")}
    if not any(has.values()):
        raise InvalidSpec(
            f"checkpoint= needs {name}.snapshot(), which returns its state, and "
            f"{name}.restore(state), which takes it over: it has neither"
        )
    if not has["restore"]:
        raise InvalidSpec(
            f"{name} has snapshot(), so with checkpoint= it needs restore(state): nobody takes "
            f"what it returns"
        )
    if not has["snapshot"]:
        raise InvalidSpec(
            f"{name} has restore(state), so with checkpoint= it needs snapshot(): nobody makes "
            f"what it takes"
        )
    for hook, function in has.items():
        if kind := kind_of(_function(function)):
            raise InvalidSpec(f"{name}.{hook} is {kind}: the hook is a plain function")


def _own(cls: type, hook: str) -> Any:
    """Return a class's attribute; None if it is `Actor`'s, which stands for "there is none"."""
    for base in cls.__mro__:
        if hook in vars(base):
            return None if base.__module__ == ACTOR else vars(base)[hook]
    return None


def check_function(function: Any, *, may_be_async: Callable[[Any], bool] | None = None) -> None:
    """Refuse a function that has no result when it returns: a pool could not use it.

    Args:
        function: what is to be called.
        may_be_async: says of an async one whether it is a method that a worker awaits.

    Raises:
        InvalidSpec: it is async, or a generator.
    """
    kind = kind_of(function)
    if kind == "async def" and may_be_async is not None and may_be_async(function):
        return
    if not kind and not isinstance(function, _PLAIN) and not inspect.isroutine(function):
        kind = kind_of(getattr(type(function), "__call__", None))  # noqa: B004 - its code's kind
    if kind:
        shown = getattr(function, "__qualname__", repr(function))
        cure = "return list(...) of it" if kind == "a generator" else "call asyncio.run in it"
        raise InvalidSpec(
            f"{shown} is {kind}: a pool calls plain functions, and async def methods of its "
            f"workers' class; have one {cure}"
        )


def refusal(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> TypeError | None:
    """Return why a call's arguments do not fit: first what is too much, then what is missing."""
    for bind in (signature.bind_partial, signature.bind):
        try:
            bind(*args, **kwargs)
        except TypeError as error:
            return error.with_traceback(None)
    return None


def cure_for(error: Exception, options: set[str], say: str, call: str = "") -> str:
    """Return what to say instead, if an unexpected keyword is a word of ours; else nothing.

    Args:
        error: the refusal of a call's arguments.
        options: the words of `Options`.
        say: where those belong, with ``{}`` for the word.
        call: where the words of a call belong; empty: with the others.
    """
    found = re.search(_UNEXPECTED, str(error))
    word = found[1] if found else ""
    if word in _CALL_WORDS and call:
        return f"; {word}= is an option of the call: say {call.format(f'{word}=...')}"
    if word in _MAP_WORDS and call:
        return f"; {word}= is an argument of the pool's map and starmap"
    meant = _MEANT.get(word, word)
    if meant in options:
        return f"; {meant}= is an option: say {say.format(f'{meant}=...')}"
    return ""


def streams(function: Any) -> bool:
    """Whether a function is a generator, or wraps one, so that its call may give items."""
    for _ in range(20):
        if kind_of(function) in GENERATORS:
            return True
        function = getattr(function, "__wrapped__", None)
        if function is None:
            return False
    return False


def _function(value: Any) -> Any:
    """Return the function behind a class's attribute; None if there is none."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    if isinstance(value, functools.partialmethod):
        value = value.func
    return value if inspect.isfunction(value) or isinstance(value, functools.partial) else None


def _is_called_by_us(name: str) -> bool:
    """Whether a method is a hook, or handles messages: who calls it, reads no items."""
    return name.startswith("on_") or name in ("receive", "snapshot", "restore")


def _instead(verb: str, value: Any) -> str:
    """Return what may have been meant, as the end of a sentence."""
    if inspect.isroutine(value):
        return "; a function is given to the pool's map, submit, ask or tell: pool().map(f, ...)"
    if isinstance(value, (int, tuple)) and verb == "pool":
        return f"; for a number of workers, say options(size={value!r}).pool()"
    if type(value).__module__ not in ("builtins", "typing", "types") and not _is_ours(value):
        name = type(value).__qualname__
        return f"; say {verb}({name}, ...): the object is made in the actor's process"
    return ""


def _is_ours(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "procactors"
