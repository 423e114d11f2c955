"""Arguments looked at where they come in: what was expected, what came, what to say instead.

Layer: model. Runs in: parent and actor.
Owns: nothing.
Never: lets a value of another's type pass into the runtime: what is a plain number, text or path by
its meaning (numpy's numbers, a `str` subclass, a `Path`) is made one, all else is refused.
"""

from __future__ import annotations

import enum
import math
import operator
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from procactors.errors import InvalidSpec
from procactors.late import late

if TYPE_CHECKING:
    import inspect
else:
    inspect = late("inspect")

__all__ = [
    "LONGEST_S",
    "deadline",
    "flag",
    "member",
    "modules",
    "number",
    "one_of",
    "path",
    "patience",
    "plain_function",
    "suggestion",
    "text",
    "whole",
]

E = TypeVar("E", bound=enum.Enum)

#: Seconds of the longest wait that has an end, 23 days: what the kernel's clocks take in one piece.
LONGEST_S = 2_000_000.0


def whole(name: str, value: Any, lowest: int, highest: int | None = None) -> int:
    """Return a whole number as a plain `int`."""
    # NumPy's truth values too, by their names (`bool_` before version 2): of some versions they
    # can be made an index, with a warning.
    good, found = type(value).__name__ not in ("bool", "bool_"), 0
    if good:
        try:
            found = int(operator.index(value))
        except TypeError:
            good = False
    if not good or found < lowest:
        raise InvalidSpec(f"{name} is a whole number of at least {lowest}, not {value!r}")
    if highest is not None and found > highest:
        raise InvalidSpec(f"{name} is a whole number up to {highest}, not {value!r}")
    return found


def number(name: str, value: Any, lowest: float, highest: float = math.inf) -> float:
    """Return a number as a plain `int` or `float`."""
    found = _plain(value)
    if not lowest <= found <= highest:  # nor is NaN
        bounds = f"of at least {lowest}" if highest == math.inf else f"from {lowest} to {highest}"
        raise InvalidSpec(f"{name} is a number {bounds}, not {value!r}")
    return found


def deadline(name: str, value: Any) -> float:
    """Return the seconds until a deadline; infinity is one that never comes."""
    return min(_seconds(name, value, ""), LONGEST_S)


def patience(name: str, value: Any) -> float | None:
    """Return the seconds that a wait may take; None waits for ever, as infinity does."""
    if value is None:
        return None
    found = _seconds(name, value, ", or None for ever")
    return found if found <= LONGEST_S else None


def _seconds(name: str, value: Any, or_none: str) -> float:
    found = _plain(value)
    if not found >= 0:  # nor is NaN
        raise InvalidSpec(f"{name} is a number of seconds from 0 on{or_none}, not {value!r}")
    return found


def text(name: str, value: Any) -> str:
    """Return a text that is not empty as a plain `str`."""
    if not isinstance(value, str) or not value:
        raise InvalidSpec(f"{name} is a string that is not empty, not {value!r}")
    if "\0" in value:
        raise InvalidSpec(f"{name} is a string without NUL, not {value!r}")
    return str.__str__(value)


def path(name: str, value: Any) -> str:
    """Return a path as a plain `str`."""
    try:
        found = os.fsdecode(value)
    except TypeError:
        found = ""
    if not found or "\0" in found:
        raise InvalidSpec(f"{name} is a path, as a string or a pathlib.Path, not {value!r}")
    return str.__str__(found)


def modules(name: str, value: Any) -> tuple[str, ...]:
    """Return names of modules as plain texts."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidSpec(f"{name} is a list of modules' names, as in ['numpy'], not {value!r}")
    return tuple(text(f"each name of {name}", one) for one in value)


def member(name: str, value: Any, kind: type) -> None:
    """Refuse what is no instance of a class of ours; of an enum, say which member may be meant."""
    if isinstance(value, kind):
        return
    if not issubclass(kind, enum.Enum):
        raise InvalidSpec(f"{name} is a {kind.__name__}(...), not {value!r}")
    shown = [f"{kind.__name__}.{one.name}" for one in kind]
    meant = next(
        (
            one
            for one, way in zip(kind, shown, strict=True)
            if isinstance(value, str) and value.lower() in (one.value, way.lower())
        ),
        None,
    )
    cure = "" if meant is None else f"; say {kind.__name__}.{meant.name}"
    raise InvalidSpec(f"{name} is one of {', '.join(shown)}, not {value!r}{cure}")


def one_of(name: str, value: Any, words: tuple[str, ...]) -> str:
    """Return one of some words as a plain `str`."""
    if not isinstance(value, str) or value not in words:
        shown = ", ".join(map(repr, words))
        raise InvalidSpec(f"{name} is one of {shown}, not {value!r}{suggestion(value, words)}")
    return str.__str__(value)


def flag(name: str, value: Any) -> bool:
    """Return a yes or no, numpy's too."""
    if isinstance(value, bool):
        return value
    if type(value).__module__ == "numpy" and str(getattr(value, "dtype", "")) == "bool":
        return bool(value)
    raise InvalidSpec(f"{name} is True or False, not {value!r}")


def plain_function(name: str, value: Any) -> Callable[..., Any]:
    """Return what can be called, and is done when it returns."""
    if not callable(value):
        raise InvalidSpec(f"{name} is a function, not {value!r}")
    if inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value):
        raise InvalidSpec(
            f"{name} is a plain function, and {value!r} is an async one, which nobody would await; "
            f"a plain one may call asyncio.run"
        )
    return value  # type: ignore[no-any-return]


def suggestion(word: object, known: Any) -> str:
    """Return what a misspelled word may have been meant to be, as the end of a sentence."""
    import difflib  # only after a mistake

    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _plain(value: Any) -> float:
    """Return a number as Python's own; NaN if it is none."""
    if type(value) is float:
        return value
    from numbers import Complex, Number, Real  # only for numbers of others

    # Whatever calls itself a real number: numpy's, fractions and decimals. Not bool, nor numpy's.
    if (
        isinstance(value, bool)
        or not isinstance(value, Number)
        or (isinstance(value, Complex) and not isinstance(value, Real))
    ):
        return math.nan
    try:
        found = float(value)  # type: ignore[arg-type]
        return int(operator.index(value)) if hasattr(value, "__index__") else found
    except OverflowError:  # a whole number beyond all floats
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]
    except (TypeError, ValueError):  # a signalling NaN, say
        return math.nan
