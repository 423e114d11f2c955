"""Finding what in a value cannot be pickled, so that the error can name the path to it.

Layer: wire. Runs in: parent and actor, after a failed encoding only.
Owns: nothing.
Never: runs on the way of a good message; hides the first error behind one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from procactors.wire.definitions import dumps_by_value

__all__ = ["describe_culprit"]

#: Deepest path that is followed, and most parts that are tried at each level.
_DEEPEST, _WIDEST = 20, 10_000


def describe_culprit(
    value: Any,
    what: str,
    home: str,
    error: BaseException,
    dumps: Callable[[Any, str], object] = dumps_by_value,
) -> str:
    """Return a sentence that names the part of `value` that `dumps` cannot pickle, and why."""
    path, part, reason = what, value, error
    for _ in range(_DEEPEST):
        found = _bad_part(part, home, dumps)
        if found is None:
            break
        step, part, reason = found
        path += step
    shown = _short(part)
    return f"cannot pickle {path} = {shown}: {type(reason).__name__}: {reason}"


def _bad_part(
    value: Any, home: str, dumps: Callable[[Any, str], object]
) -> tuple[str, Any, BaseException] | None:
    for count, (step, part) in enumerate(_parts(value)):
        if count >= _WIDEST:
            break
        try:
            dumps(part, home)
        except Exception as error:  # noqa: BLE001 - whatever a class's pickling code raises
            return step, part, error
    return None


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield f"[{_short(key)}]", part
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, part in enumerate(value):
            yield f"[{index}]", part
    elif hasattr(value, "__closure__") and getattr(value, "__code__", None) is not None:
        names = value.__code__.co_freevars
        for name, cell in zip(names, value.__closure__ or (), strict=True):
            yield f".<closure {name}>", cell.cell_contents
        for name in value.__code__.co_names:
            if name in value.__globals__:
                yield f".<global {name}>", value.__globals__[name]
    elif not isinstance(value, type):
        yield from ((f".{name}", part) for name, part in vars_of(value).items())


def vars_of(value: Any) -> dict[str, Any]:
    """Return the attributes of an instance, from its dictionary and its slots."""
    found = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        for name in getattr(cls, "__slots__", ()):
            if hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a broken repr must not hide the pickling error
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else text[:77] + "..."
