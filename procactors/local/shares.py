"""Values that are shared in one process: pickled once, and read over the same memory by all.

Layer: local. Runs in: one process, any thread.
Owns: the values that were shared and not released.
Never: lets a value be changed: its buffers are bytes, which nobody may write.
"""

from __future__ import annotations

import io
import itertools
import pickle
import threading
from collections.abc import Callable
from typing import Any

import cloudpickle

from procactors.errors import ShareReleased
from procactors.light_tuple import NamedTuple
from procactors.wire.pickling.codec import Encoded, decode
from procactors.wire.raised import by_signal
from procactors.wire.shm.share_codec import dump_with, encode_by, reduced

__all__ = ["LocalShares"]

#: A value takes whole pages, as it does in shared memory.
_PAGE = 4096


class _Shared(NamedTuple):
    kind: str
    head: bytes
    buffers: tuple[bytes, ...]
    nbytes: int


class LocalShares:
    """The shared values of one system."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._numbers = itertools.count(1)
        # Guards the marks against the end of one that was never sent.
        self._lock = threading.Lock()
        self._all: dict[int, _Shared] = {}
        self._sent: set[int] = set()

    def write(self, value: Any) -> tuple[int, str, int]:
        """Keep a value; return (its number, kind, bytes).

        Raises:
            EncodeError: something in the value cannot be pickled; the text names the path to it.
        """
        encoded = encode_by(_dump, value, self._path)
        try:
            buffers = tuple(buffer.tobytes() for buffer in encoded.buffers)
        finally:
            for buffer in encoded.buffers:
                buffer.release()
        size = sum(map(len, buffers), len(encoded.head))
        kind, number = type(value).__name__[:40], next(self._numbers)
        kept = _Shared(kind, encoded.head, buffers, -(-size // _PAGE) * _PAGE)
        self._all[number] = kept
        return number, kind, kept.nbytes

    def load(self, number: int, what: str) -> Any:
        """Return a value over the memory of what was shared.

        Raises:
            ShareReleased: it was released. DecodeError: it could not be unpickled.
        """
        kept = self._all.get(number)
        if kept is None:
            raise ShareReleased(
                f"the {what} was released, or dropped before it was sent; call get() before its "
                f"release and hold on to the value, or share it again"
            )
        return decode(kept.head, kept.buffers, what)

    def mark_sent(self, number: int) -> None:
        """Note that a handle has been pickled: now its creator's end is not the share's."""
        with self._lock:
            if number in self._all:
                self._sent.add(number)

    def release(self, number: int, *, unless_sent: bool = False) -> None:
        """End a share; gone already is no error."""
        with self._lock:
            if not (unless_sent and number in self._sent):
                self._all.pop(number, None)
                self._sent.discard(number)

    def all(self) -> list[tuple[int, str, int]]:
        """Return (number, kind, bytes) of what is shared now."""
        return [(number, one.kind, one.nbytes) for number, one in list(self._all.items())]

    def close(self) -> None:
        """Let go of all of them."""
        self._all.clear()


class _Pickler(pickle.Pickler):
    """The pickler of messages, which copies less (see `wire.shm.share_codec`)."""

    def reducer_override(self, obj: Any) -> Any:
        return reduced(obj) or NotImplemented


class _ByValue(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    """The same for what is to be pickled by value."""

    def reducer_override(self, obj: Any) -> Any:
        return reduced(obj) or super().reducer_override(obj)


def _dump(value: Any, _: str) -> Encoded:
    try:
        return dump_with(_pickler, value)
    except Exception as error:  # any class's own pickling code may raise anything
        if by_signal(error):
            raise
        return dump_with(_by_value, value)


def _pickler(file: io.BytesIO, callback: Callable[..., None]) -> _Pickler:
    return _Pickler(file, 5, buffer_callback=callback)


def _by_value(file: io.BytesIO, callback: Callable[..., None]) -> _ByValue:
    return _ByValue(file, 5, buffer_callback=callback)
