"""How much a value weighs as a message: whether it is pickled and copied in no time.

Layer: wire. Runs in: any process that sends from an event loop.
Owns: nothing.
Never: takes longer over a heavy value than over one at the limit; raises what the value's own code
raises.
"""

from __future__ import annotations

import enum
import functools
import pickle
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

__all__ = ["is_light", "weighs_less"]

#: Values that are looked at before the rest is left to pickle: enough for nearly every message.
_LOOKS = 64
#: Bytes that are counted for a number, or for a function, which travels by its name.
_SMALL = 16

#: Bytes of a text that need no look at a limit.
_SHORT = 1024

_TEXTS = frozenset((str, bytes, bytearray))
_SMALLS = frozenset(
    (int, float, bool, complex, type(None), type, FunctionType, BuiltinFunctionType, MethodType)
)
_ROWS = frozenset((tuple, list, set, frozenset))


def is_light(args: tuple[Any, ...]) -> bool:
    """Return whether arguments weigh next to nothing, by a quick look: numbers and short texts."""
    for one in args:
        kind = type(one)
        if kind not in _SMALLS and (kind not in _TEXTS or len(one) > _SHORT):
            return False
    return len(args) < _LOOKS


def weighs_less(value: Any, limit: int) -> bool:
    """Return whether a value has less than `limit` bytes as a message.

    Plain values are looked at; only what may have pickling code of its own is pickled, to nowhere
    and no further than the limit. A value that cannot be pickled weighs less: that is said where it
    is sent.
    """
    left, looks, waiting = limit, _LOOKS, [value]
    while waiting:
        one = waiting.pop()
        looks -= 1
        kind = type(one)
        if kind in _SMALLS:
            left -= _SMALL
        elif kind in _TEXTS:
            left -= len(one)
        else:
            parts = _parts(one, kind)
            if parts is None or len(parts) > looks:
                return left > _known_bytes(one) and _is_pickled_below(limit, value)
            waiting += parts
        if left <= 0:
            return False
    return True


def _parts(one: Any, kind: Any) -> Any:
    """Return the values that a value consists of; None if only its own code knows them."""
    if kind in _ROWS:
        return one
    if kind is dict:
        return [*one, *one.values()] if len(one) < _LOOKS else None
    if isinstance(one, enum.Enum):
        return ()  # it travels by its name
    if _is_plain(kind):
        return list(getattr(one, "__dict__", {}).values())
    return None


@functools.lru_cache(128)  # messages are of few classes, and looking at one takes 5 µs
def _is_plain(kind: Any) -> bool:
    """Whether the pickle of an instance has its attributes and nothing else."""
    return (
        kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is object.__reduce__
        and getattr(kind, "__getstate__", None) is getattr(object, "__getstate__", None)
        and not hasattr(kind, "__getnewargs_ex__")
        and not hasattr(kind, "__getnewargs__")
        # Neither C code, as of a list, nor slots below it.
        and kind.__basicsize__ == _Plain.__basicsize__
        and kind.__dictoffset__ != 0
        and not any("__slots__" in vars(base) for base in kind.__mro__[:-1])
    )


class _Plain:
    """Has what any instance of a class written in Python has."""


def _known_bytes(one: Any) -> int:
    """Return the size of an array: pickling one may copy it before anything can be counted."""
    try:
        size = one.nbytes
    except Exception:  # noqa: BLE001 - any code may be behind that name
        return 0
    return size if type(size) is int else 0


def _is_pickled_below(limit: int, value: Any) -> bool:
    scale = _Scale(limit)
    try:
        pickle.Pickler(scale, 5, buffer_callback=scale.take).dump(value)
    except _TooHeavy:
        return False
    except Exception:  # noqa: BLE001 - so wide as any class's own pickling code: it is sent, and says so
        return True
    return True


class _TooHeavy(BaseException):
    """The limit is reached. No `Exception`: a class's own pickling code is not to catch it."""


class _Scale:
    """A file that counts what is written to it, and raises `_TooHeavy` at the limit.

    Args:
        limit: in bytes.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit

    def write(self, data: Any) -> int:
        """Count bytes: pickle hands them over in frames of 64 KiB, and large texts uncopied."""
        return self._count(len(data))

    def take(self, buffer: pickle.PickleBuffer) -> None:
        """Count a buffer that travels beside the pickle."""
        with memoryview(buffer) as view:
            self._count(view.nbytes)

    def _count(self, size: int) -> int:
        self._left -= size
        if self._left <= 0:
            raise _TooHeavy
        return size
