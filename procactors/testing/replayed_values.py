"""The values of a recorded run: loaded into its replay, compared, and shown.

Layer: testing. Runs in: the process of an inline system.
Owns: nothing.
Never: raises what a user's ``==`` or ``repr`` raises in a comparison.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

from procactors.errors import ProcActorsError
from procactors.wire.pickling.definitions import offer
from procactors.wire.raised import said
from procactors.wire.record import Kind

__all__ = ["NotReplayable", "Outcome", "is_same", "load", "text_of"]

#: Returns the ref of the replay for one of the run: its path, id, name and overflow.
MakeRef = Callable[[str, int, str, str], Any]

#: Characters of a value that an error shows.
_WIDTH = 300
#: What refs are pickled as; and what belongs to one run alone.
_MAKE_REF = ("procactors.stored", "_make_ref")
_OWN = {"_adopt_feed": "a feed", "_adopt_stream": "a stream", "_received": "a share"}


class NotReplayable(ProcActorsError):
    """A recording holds something that belongs to its own run alone."""


class Outcome:
    """What a handler answered."""

    def __init__(self, kind: int, value: Any) -> None:
        self._is_result = kind == Kind.RESULT
        if not self._is_result and isinstance(value, tuple) and len(value) == 5:
            value = f"{value[2]}: {value[3]}"
        elif not self._is_result:
            value = f"{type(value).__name__}: {said(value)}"
        self._value = value

    def is_like(self, other: Outcome) -> bool:
        """Whether both are the same."""
        return self._is_result == other._is_result and is_same(self._value, other._value)

    def __str__(self) -> str:
        if self._is_result:
            return f"answered {text_of(self._value)}"
        return f"raised {self._value}"


class _Loader(pickle.Unpickler):
    """Loads a value of the run, with refs of the replay in it."""

    def __init__(self, head: bytes, buffers: list[bytearray], make_ref: MakeRef) -> None:
        super().__init__(io.BytesIO(head), buffers=buffers)
        self._make_ref = make_ref

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names."""
        if (module, name) == _MAKE_REF:
            return self._make_ref
        if module == _MAKE_REF[0] and name in _OWN:
            raise NotReplayable(f"{_OWN[name]} was sent, which is of its own run alone")
        return super().find_class(module, name)


def load(value: tuple[bytes, tuple[bytes, ...], dict[str, bytes]], make_ref: MakeRef) -> Any:
    """Return a value of the file (see `wire.run_file`).

    Raises:
        NotReplayable: it has something of its own run in it. Whatever its own code raises.
    """
    head, buffers, definitions = value
    offer(definitions)
    return _Loader(head, [bytearray(buffer) for buffer in buffers], make_ref).load()


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are alike."""
    # So wide: what a user's class, or an array, makes of `==`.
    try:
        if bool(one == other):
            return True
    except Exception:  # noqa: BLE001, S110
        pass
    try:
        return pickle.dumps(one) == pickle.dumps(other)
    except Exception:  # noqa: BLE001
        return False


def text_of(value: Any) -> str:
    """Return a value for people."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a user's own
        text = f"a {type(value).__qualname__} whose repr raises {said(error)}"
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]} ..."
