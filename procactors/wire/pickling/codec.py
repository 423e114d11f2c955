"""Values to bytes and back: plain pickle first, definitions by token where it must be.

Layer: wire. Runs in: parent and actor, in the caller's thread and frame.
Owns: nothing.
Never: encodes in a background thread, where an error could only be logged and a value that is
changed after the send would arrive changed.
"""

from __future__ import annotations

import pickle
import struct
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from procactors.errors import DecodeError, EncodeError, UnsupportedOnBackend
from procactors.late import late
from procactors.light_tuple import NamedTuple
from procactors.wire.pickling.importable import private_names
from procactors.wire.raised import by_signal

if TYPE_CHECKING:
    from procactors.wire.pickling import by_value, pickle_errors
else:
    by_value = late("procactors.wire.pickling.by_value")
    pickle_errors = late("procactors.wire.pickling.pickle_errors")

__all__ = [
    "ASKER",
    "Encoded",
    "NeedsReceiver",
    "decode",
    "decode_joined",
    "encode",
    "encode_key",
    "encode_small",
    "encode_to",
    "join",
    "pieces",
    "receivers",
    "split",
    "systems",
]

_COUNT = struct.Struct("=Q")
#: Each buffer starts on this boundary: arrays want aligned memory.
_ALIGN = 16

#: The opcode behind every class and function in a pickle of protocol 4 or later: without it there
#: is none, and most messages are recognised by this one byte.
_STACK_GLOBAL = 0x93
#: Stands for a pickle that could not be made: the slow way must be tried.
_BY_VALUE = b"\x93__main__"

_new = tuple.__new__
_dumps = pickle.dumps
_loads = pickle.loads


class NeedsReceiver(TypeError):
    """Raised by a value's pickling code where it is not known who will receive the value."""


#: What a value's own pickling code raises for the runtime's sake.
OURS = (NeedsReceiver, UnsupportedOnBackend)


class Receivers(threading.local):
    """Who will receive what this thread is just pickling (`encode_to`).

    Only values that need to know it look here, by raising `NeedsReceiver` at first: so that others
    cost nothing.
    """

    receiver: Any = None
    #: Path of the system for which a value is pickled again, since a ref of another one is in it.
    system: str | None = None


receivers = Receivers()


class Systems:
    """What is to be known of the systems of this process (`wire.transport` says it).

    Attributes:
        are_several: there are more than one: a ref in a message may be another system's.
    """

    are_several = False


systems = Systems()
#: In each pickle of a ref.
_REF = b"_make_ref"
#: The receiver of an answer: whoever has asked.
ASKER = "the asker"


class Encoded(NamedTuple):
    """A pickled value: the pickle itself and its out-of-band buffers, in order."""

    head: bytes
    buffers: Sequence[memoryview]

    @property
    def size(self) -> int:
        """Bytes in sum."""
        return len(self.head) + sum(buffer.nbytes for buffer in self.buffers)


def encode(
    runtime_dir: str, value: Any, what: str = "message", *, hands_over: bool = False
) -> Encoded:
    """Pickle `value`; definitions that others cannot import travel by value, or from `runtime_dir`.

    Args:
        runtime_dir: the receivers' runtime directory.
        value: what is sent.
        what: what it is, for the error.
        hands_over: code is handed over with it: see `DefinitionPickler`.

    Raises:
        EncodeError: something in the value cannot be pickled; the text names the path to it.
    """
    found: list[pickle.PickleBuffer] = []
    try:
        head = _dumps(value, 5, buffer_callback=found.append)
    except Exception as error:  # any class's own pickling code may raise anything
        if by_signal(error) or isinstance(error, OURS):
            raise
        head = _BY_VALUE
    # Substring tests: a false alarm costs one slower pickling. A pickled Connection would carry
    # its bare descriptor number: the slow path refuses it.
    if systems.are_several and has_foreign_ref(head):
        return encode_for_system(runtime_dir, encode, value, what, hands_over)
    if _STACK_GLOBAL in head and (
        b"_main__" in head
        or b"multiprocessing.connection" in head
        or any(name in head for name in private_names())
    ):
        found.clear()
        try:
            head = by_value.dumps_by_value(value, runtime_dir, found.append, hands_over=hands_over)
        except Exception as error:
            if by_signal(error) or isinstance(error, OURS):
                raise
            raise EncodeError(
                pickle_errors.describe_unpicklable(value, what, runtime_dir, error)
            ) from error
    if not found:
        return _new(Encoded, (head, ()))  # past NamedTuple's own constructor: half the cost
    try:
        return Encoded(head, [buffer.raw() for buffer in found])
    except BufferError:
        # Out of band only what lies in one piece: the rest goes into the pickle itself.
        return Encoded(by_value.dumps_by_value(value, runtime_dir, hands_over=hands_over), ())


def has_foreign_ref(head: bytes) -> bool:
    """Whether a pickle may have refs of other systems in it, which are not yet looked for."""
    return receivers.system is None and (_REF in head or head is _BY_VALUE)


def encode_for_system(
    path: str, encode: Callable[..., Encoded], value: Any, what: str, hands_over: bool
) -> Encoded:
    """Encode a value for a system; refs of others in it are made good there, or refused."""
    receivers.system = path
    try:
        return encode(path, value, what, hands_over=hands_over)
    finally:
        receivers.system = None


def encode_to(receiver: Any, encode: Callable[..., Encoded], value: Any, what: str) -> Encoded:
    """Encode a value for a receiver that is known."""
    before, receivers.receiver = receivers.receiver, receiver
    try:
        return encode(value, what)
    finally:
        receivers.receiver = before


def encode_small(value: Any) -> bytes | None:
    """Pickle a value that names no class and has no buffer; None: it takes `encode` to send it."""
    found: list[pickle.PickleBuffer] = []
    try:
        head = _dumps(value, 5, buffer_callback=found.append)
    except Exception as error:
        if by_signal(error):
            raise
        return None
    return None if found or _STACK_GLOBAL in head else head


def encode_key(value: Any) -> bytes:
    """Return bytes that name a value; the same for equal ones, as far as pickle makes them so.

    Raises:
        EncodeError: it cannot be pickled by name and value alone.
    """
    try:
        return _dumps(value, 5)
    except Exception as error:
        raise EncodeError(f"a key that can be pickled is needed, not {value!r}: {error}") from error


def decode(head: bytes | memoryview, buffers: Sequence[Any] = (), what: str = "message") -> Any:
    """Unpickle a value.

    Raises:
        DecodeError: the value's own unpickling code raised, or its module is missing here.
    """
    try:
        return _loads(head, buffers=buffers) if buffers else _loads(head)
    except Exception as error:
        if by_signal(error):
            raise
        why = pickle_errors.describe_load(head, buffers, error)
        raise DecodeError(f"the {what} could not be unpickled: {why}") from error


def join(encoded: Encoded) -> bytes:
    """Return head and buffers as one run of bytes, for a record's body."""
    buffers = encoded.buffers
    parts = [_COUNT.pack(len(buffers)), _COUNT.pack(len(encoded.head))]
    parts += [_COUNT.pack(buffer.nbytes) for buffer in buffers]
    parts += [_padded(encoded.head)]
    parts += [_padded(bytes(buffer)) for buffer in buffers]
    return b"".join(parts)


def pieces(encoded: Encoded) -> list[bytes | memoryview]:
    """Return what `join` joins, without a copy of the buffers."""
    buffers = encoded.buffers
    sizes = [len(encoded.head), *(buffer.nbytes for buffer in buffers)]
    found: list[bytes | memoryview] = [struct.pack(f"={1 + len(sizes)}Q", len(buffers), *sizes)]
    parts: list[bytes | memoryview] = [encoded.head, *buffers]
    for part, size in zip(parts, sizes, strict=True):
        found += [part, bytes(-size % _ALIGN)]
    return found


def split(body: bytes | memoryview) -> tuple[bytes | memoryview, list[memoryview]]:
    """Undo `join`; the buffers are copies, writable and aligned."""
    (count,) = _COUNT.unpack_from(body, 0)
    lengths = [_COUNT.unpack_from(body, 8 * (i + 1))[0] for i in range(count + 1)]
    at = 8 * (count + 2)
    parts = []
    for length in lengths:
        parts.append(body[at : at + length])
        at += -(-length // _ALIGN) * _ALIGN
    return parts[0], [memoryview(bytearray(part)) for part in parts[1:]]


def decode_joined(body: bytes, what: str) -> Any:
    """Unpickle what `join` has made.

    Raises:
        DecodeError: the value's own unpickling code raised, or its module is missing here.
    """
    head, buffers = split(memoryview(body))
    return decode(head, buffers, what)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGN)
