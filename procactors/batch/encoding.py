"""Values as JSON: what a function returns, in one line that is the same each time.

Layer: batch. Runs in: worker (results), parent (items).
Owns: nothing.
Never: writes what is no JSON (NaN), or changes a value in silence.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import os
import uuid
from collections.abc import Callable, Mapping, Set as AbstractSet
from typing import Any

__all__ = ["as_json", "in_bytes", "item_json"]


def as_json(value: Any) -> str:
    """Return a value as one line of JSON.

    Beyond what JSON has: dataclasses and mappings become objects; sets (sorted) and arrays become
    lists; numbers of numpy and its kin, enums, numbers; paths, dates (ISO 8601), decimals, UUIDs
    strings; a timedelta its seconds.

    Raises:
        TypeError: JSON has nothing for it: bytes, say, or NaN.
    """
    try:
        return _ENCODER.encode(value)
    except (ValueError, RecursionError) as error:
        # NaN and infinities: most readers of JSON refuse them, and null would be another value.
        raise TypeError(f"{error}; found in {_short(value)}") from None


def item_json(item: Any) -> str:
    """Return an item of the input as one line of JSON, or its text: 1e999 is infinite when read."""
    try:
        return as_json(item)
    except TypeError:
        return as_json(str(item))


def in_bytes(text: str) -> bytes:
    """Return JSON text as UTF-8; names of files that are none keep their bytes, escaped."""
    # A lone surrogate becomes \\udc80 and the like, which is how JSON writes one.
    return text.encode("utf-8", "backslashreplace")


def _default(value: Any) -> Any:
    """Return what stands for a value that JSON does not have."""
    if not isinstance(value, type):
        if dataclasses.is_dataclass(value):
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        for kinds, form in _FORMS:
            if isinstance(value, kinds):
                return form(value)
        for name in ("tolist", "item"):  # arrays, tensors and their numbers
            method = getattr(value, name, None)
            if callable(method):
                return method()
    raise TypeError(f"JSON has nothing for {_kind(value)}: {_short(value)}")


def _sorted(values: AbstractSet[Any]) -> list[Any]:
    """Return a set's members in an order that does not change from run to run."""
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=repr)


def _kind(value: Any) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


#: What stands for values of these classes.
_FORMS: tuple[tuple[tuple[type, ...], Callable[[Any], Any]], ...] = (
    ((os.PathLike,), os.fsdecode),
    ((dt.date, dt.time), lambda value: value.isoformat()),  # a datetime is a date
    ((dt.timedelta,), lambda value: value.total_seconds()),
    ((uuid.UUID, decimal.Decimal), str),
    ((enum.Enum,), lambda value: value.value),
    ((Mapping,), dict),
    ((AbstractSet,), _sorted),
)

# One for all: made anew for each value it would cost as much as the encoding.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_default)
