"""Plain values: exactly `str`, `bytes`, `int`, `float`, as everybody expects who gets them.

Layer: base. Runs in: parent and actor.
Owns: nothing.
Never: guesses: what is no plain value, and says of itself no way to become one, is a TypeError.

What looks like a string may be another class: a path of the debugger's, an enum's member, NumPy's.
`marshal` refuses those or, worse, writes the bare bytes of a NumPy number; pickle sends the class
along, which the receiver then must import.
"""

from __future__ import annotations

import os
from typing import Any

__all__ = ["plain", "text"]

_EXACT = frozenset({str, bytes, int, float, bool, type(None)})


def plain(value: Any) -> Any:
    """Return a value with all that is in it made plain; lists, tuples and dicts become new ones.

    Raises:
        TypeError: something in it is no plain value.
    """
    kind = type(value)
    if kind in _EXACT:
        return value
    if isinstance(value, (list, tuple)):
        made = [plain(item) for item in value]
        return made if isinstance(value, list) else tuple(made)
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    return _scalar(value, kind)


def _scalar(value: Any, kind: type) -> Any:
    # By the base class's own method: a subclass's may say anything.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes(memoryview(value))
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    # Numbers of other libraries, NumPy's first. Not for bool's likes: they have neither.
    for convert in (int, float):
        if hasattr(kind, "__index__" if convert is int else "__float__"):
            return convert(value)
    raise TypeError(f"expected a string, bytes, a number or None, found {value!r}")


def text(value: Any) -> str:
    """Return what the operating system would be given for a value where it takes strings."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, os.PathLike)):
        return str.__str__(os.fsdecode(value))
    return str.__str__(str(value))
