"""An encoded value made to stand alone: a file that `pickle.load` opens after its system is gone.

Layer: wire. Runs in: parent (`pack`), any later process (`open_parcel`).
Owns: nothing.
Never: unpickles the value in order to pack it.

An encoded value leans on its system: out-of-band buffers travel beside it, and classes of
`__main__` are named by tokens that are files of the runtime directory. A bundle has both inside.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from procactors.light_tuple import NamedTuple
from procactors.stored import stored
from procactors.wire.pickling.definitions import offer, published_with

__all__ = ["Bundle", "leans", "open_parcel", "pack"]

#: How the name of what makes a definition stands in a pickle: of one that is elsewhere, and of one
#: that is in the pickle itself.
_ELSEWHERE = b"\x8c\x0b_definition"
_INSIDE = (b"\x8c\x0fmake_definition", b"\x8c\x0dfill_function")


class Bundle(NamedTuple):
    """A value that stands alone.

    Attributes:
        data: the pickle.
        has_code: it carries classes or functions by value, for this release of Python alone.
        missing: why it does not stand alone after all; empty if it does.
    """

    data: bytes
    has_code: bool
    missing: str


class _Packed:
    """Pickles as the call that opens the bundle."""

    def __init__(self, *parts: Any) -> None:
        self._parts = parts

    def __reduce__(self) -> Any:
        return open_parcel, self._parts


def leans(head: bytes) -> bool:
    """Whether a pickle names definitions that are files of its runtime directory."""
    return _ELSEWHERE in head


def pack(head: bytes, buffers: Sequence[bytes], runtime_dir: str) -> Bundle:
    """Return an encoded value with all that it needs of its runtime directory `runtime_dir`."""
    names_some = _ELSEWHERE in head
    definitions = published_with([head], runtime_dir) if names_some else {}
    data = head
    if definitions or buffers:
        data = pickle.dumps(_Packed(head, tuple(buffers), definitions), 5)
    gone = names_some and not definitions
    why = "the definitions that it names are gone" if gone else ""
    has_code = names_some or any(name in head for name in _INSIDE)
    return Bundle(data, has_code, why)


@stored
def open_parcel(head: bytes, buffers: Sequence[bytes], definitions: dict[str, bytes]) -> Any:
    """Return a bundle's value, as it is unpickled. Files hold this name (`procactors.stored`)."""
    offer(definitions)
    return pickle.loads(head, buffers=[bytearray(buffer) for buffer in buffers])
