"""Plain arguments: numbers and short texts, in a third of a pickle's time.

Layer: wire. Runs in: parent and actor, in the caller's thread and frame.
Owns: nothing.
Never: in a file that outlives its system: the format is that of one release of Python.

Most calls carry a few numbers and short texts by position. `marshal` writes and reads these faster
than `pickle`, and a call without keywords needs no empty dict for them. What a message carries
begins with `PLAIN` then; a pickle begins with another byte, `PICKLED`. A result that is such a
value travels alone, and begins with neither.
"""

from __future__ import annotations

import marshal
import pickle
from typing import Any

from procactors.wire.pickling.codec import Encoded

__all__ = ["PICKLED", "PLAIN", "as_pickle", "encode_plain", "encode_result", "load_plain"]

#: First byte of a tuple in this form.
PLAIN = ord("(")
#: First byte of a pickle of protocol 2 or later. Nothing in this form begins so.
PICKLED = 0x80

#: By their exact types: marshal takes a subclass, or what has a buffer, for something else.
_NUMBERS = frozenset({int, float, complex, bool, type(None)})
_TEXTS = frozenset({str, bytes})
#: Longest text, in characters or bytes. A pickle writes one that occurs twice only once, and a
#: longer one costs as much either way.
_LONGEST = 256
#: Without references and interned texts: what arrives depends on values alone.
_VERSION = 2

_new = tuple.__new__
_dumps = marshal.dumps
load_plain = marshal.loads


def encode_plain(args: tuple[Any, ...]) -> Encoded | None:
    """Encode positional arguments of a call without keywords; None if they are not plain."""
    for one in args:
        kind = type(one)
        if kind not in _NUMBERS and (kind not in _TEXTS or len(one) > _LONGEST):
            return None
    return _new(Encoded, (_dumps(args, _VERSION), ()))


def encode_result(value: Any) -> Encoded | None:
    """Encode a handler's result, which must fit into a record; None if it is not plain."""
    kind = type(value)
    if kind in _NUMBERS or (kind in _TEXTS and len(value) <= _LONGEST):
        return _new(Encoded, (_dumps(value, _VERSION), ()))
    return None


def as_pickle(head: bytes) -> bytes:
    """Return an encoded value as a pickle, for a file: plain arguments as ``(args, kwargs)``."""
    return pickle.dumps((load_plain(head), {}), 5) if head[:1] == b"(" else head
