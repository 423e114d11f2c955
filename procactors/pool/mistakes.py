"""The errors of a pool that is used wrongly.

Layer: pool. Runs in: the pool's process; a forked copy of it.
Owns: nothing.
Never: guesses: a wrong call is refused, with the right one.
"""

from __future__ import annotations

import inspect
from typing import Any

from procactors.errors import ForeignProcess, InvalidSpec
from procactors.model.handlers import check_function, cure_for, refusal
from procactors.model.options import OPTIONS
from procactors.pool.map_options import MAP_WORDS
from procactors.runner.method_table import MethodTable
from procactors.wire.transport import Transport

__all__ = ["check_call", "check_here", "check_inputs", "no_attribute"]

#: Words that are said of a pool's calls, or of a map, and are no arguments of the function.
_WORDS = OPTIONS | MAP_WORDS.keys() | {"workers"}

#: Methods of the standard library's pools, and ours.
_ELSEWHERE = {
    "apply": "ask(f, ...)",
    "apply_async": "submit(f, ...)",
    "close": "stop(), which finishes what was taken",
    "imap": "map(f, items), which is lazy",
    "imap_unordered": "map(f, items, ordered=False)",
    "join": "stop(), which waits for the end",
    "map_async": "map(f, items), which begins at once and is read later",
    "options": "system.options(...).pool(...), when the pool is made",
    "shutdown": "stop()",
    "spawn": "system.spawn(...); a pool's size is changed by resize",
    "starmap_async": "starmap(f, items), which begins at once and is read later",
    "terminate": "kill()",
}

_ONE_LIMIT = (
    "submit(f, ...).result({0}) to wait no longer; for how long a call may run, say map(f, items, "
    "{0}), or options(handle_timeout=...).pool(...)"
)


def check_call(
    what: Any, table: MethodTable, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Refuse a call that can never have a result, or that has a word of ours as an argument.

    Raises:
        InvalidSpec: an async function, or a generator. TypeError: the word is no argument.
    """
    check_function(what, may_be_async=table.has)
    if _WORDS.isdisjoint(kwargs):
        return
    try:
        signature = inspect.signature(what)
    except (TypeError, ValueError):
        return  # written in C: the call will tell
    is_method = inspect.isfunction(what) and table.has(what)
    error = refusal(signature, (None, *args) if is_method else args, kwargs)
    cure = error and cure_for(
        error, OPTIONS, "options({}).pool(...) when the pool is made", _ONE_LIMIT
    )
    if cure:
        shown = getattr(what, "__qualname__", repr(what))
        raise TypeError(f"{shown}: {error}{cure}")


def check_inputs(
    what: Any, table: MethodTable, items: Any, more: tuple[Any, ...], verb: str
) -> None:
    """Refuse more than one input, and what is none.

    Raises:
        InvalidSpec, TypeError: it is.
    """
    check_function(what, may_be_async=table.has)
    if more:
        shown = getattr(what, "__qualname__", "f")
        cure = f"for items of several inputs, say starmap({shown}, zip(...))"
        if isinstance(more[0], int):
            cure = f"for items that travel together, say {verb}({shown}, items, chunk={more[0]})"
        raise TypeError(f"{verb} takes a function and one input, found {1 + len(more)}; {cure}")
    if hasattr(type(items), "__iter__") or hasattr(type(items), "__getitem__"):
        return
    if hasattr(type(items), "__aiter__"):
        raise InvalidSpec(
            f"{verb} takes an iterable, and {items!r} is an async one: await its items first"
        )
    raise InvalidSpec(
        f"{verb} takes a function and an iterable of its arguments, not {items!r}; for one call, "
        f"say ask or submit"
    )


def check_here(endpoint: Transport, name: str) -> None:
    """Refuse a forked copy of a pool, as under a function that this very pool runs.

    Raises:
        ForeignProcess: this is one.
    """
    if endpoint.is_copy:
        raise ForeignProcess(
            f"{name} is used in another process than the one that made it, where it has no part "
            f"in its work, as in a function that a worker runs: call the function itself there, "
            f"return what is to be done and map that, or make another pool "
            f"(current_context().options(size=...).pool())"
        )


def no_attribute(name: str, table: MethodTable) -> str:
    """Return what is said of an attribute that a pool does not have."""
    text = f"a pool has no attribute {name!r}"
    if name in _ELSEWHERE:
        return f"{text}; say {_ELSEWHERE[name]}"
    cls = table.cls.__qualname__
    if not name.startswith("_") and callable(getattr(table.cls, name, None)):
        return (
            f"{text}: {cls}.{name} runs in its workers; say pool.ask({cls}.{name}, ...), submit "
            f"or map"
        )
    return f"{text}, nor has {cls}; a call is pool.ask({cls}.method, ...) or pool.ask(f, ...)"
