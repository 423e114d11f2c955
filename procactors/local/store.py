"""Payloads of a system in one process: encoded as for another one, and kept in this one's memory.

Layer: local. Runs in: one process, any thread.
Owns: the payloads that are on their way (`close`).
Never: hands a mutable value from one actor to another: what arrives is a copy.
"""

from __future__ import annotations

import itertools
import pickle
import struct
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cloudpickle

from procactors.errors import EncodeError
from procactors.local.tables import LocalTables
from procactors.local.topics import LocalTopicTable
from procactors.wire.payload_store import LARGE, PayloadStore
from procactors.wire.pickling import by_value, pickle_errors
from procactors.wire.pickling.codec import (
    OURS,
    Encoded,
    encode_for_system,
    has_foreign_ref,
    systems,
)
from procactors.wire.pickling.importable import private_names
from procactors.wire.raised import by_signal
from procactors.wire.record import BODY_LIMIT, IN_SEGMENT, frame

if TYPE_CHECKING:
    from procactors.local.channel import Channel

__all__ = ["LocalStore"]

_NUMBER = struct.Struct("=Q")
#: Bytes from which a payload does not stand in its record.
_SMALL = 2048


class LocalStore(PayloadStore):
    """What `PayloadStore` is over files, in memory.

    Args:
        path: names the system.
        make_replies: makes what sends answers (`LocalReplies`).
    """

    def __init__(self, path: str, make_replies: Callable[[PayloadStore], Any]) -> None:
        # Nothing of the base class's: there is no directory.
        self.path = path
        self.process = 1
        self.encode: Callable[..., Encoded] = self._encode
        self.make_replies = make_replies
        self.make_topic_table = LocalTopicTable
        self.tables = LocalTables()
        self.write_file: Callable[..., str] = self._write_file
        #: What is encoded is also written to files: classes of `__main__` go along, by value.
        self.stands_alone = False
        self._numbers = itertools.count(1)
        self._values: dict[int, tuple[bytes, tuple[bytes, ...]]] = {}
        #: The streams in a value that a thread is just encoding, by the thread's number.
        self._loading: dict[int, list[tuple[Channel, int]]] = {}
        #: Those that go with a value that is kept, by its number.
        self._carried: dict[int, list[tuple[Channel, int]]] = {}
        self._files: dict[str, bytes] = {}

    def _encode(self, value: Any, what: str = "message", *, hands_over: bool = False) -> Encoded:
        """Pickle a value; what cannot be found by its name travels by value.

        Raises:
            EncodeError: something in the value cannot be pickled; the text names the path to it.
        """
        found: list[pickle.PickleBuffer] = []
        try:
            head = pickle.dumps(value, 5, buffer_callback=found.append)
        except Exception as error:
            if by_signal(error) or isinstance(error, OURS):
                raise
            found.clear()
            head = self._by_value(value, what, found)
        if systems.are_several and has_foreign_ref(head):
            self._loading.pop(threading.get_ident(), None)
            return encode_for_system(self.path, self._encode_again, value, what, hands_over)
        if self.stands_alone and _is_of_program(head):
            found.clear()
            head = self._alone(value, what, found)
        if self._loading:
            return self._with_streams(head, found)
        if not found:
            return Encoded(head, ())
        try:
            return Encoded(head, [buffer.raw() for buffer in found])
        except BufferError:  # in more than one piece
            return Encoded(cloudpickle.dumps(value, 5), ())

    def _encode_again(self, _: str, value: Any, what: str, *, hands_over: bool) -> Encoded:
        return self._encode(value, what, hands_over=hands_over)

    def encode_alone(self, value: Any, what: str = "message") -> Encoded:
        """Pickle a value with what it has of `__main__`: that is another one where it is read.

        Raises:
            EncodeError: as `encode`.
        """
        encoded = self._encode(value, what)
        if not _is_of_program(encoded.head):
            return encoded
        found: list[pickle.PickleBuffer] = []
        head = self._alone(value, what, found)
        return Encoded(head, [memoryview(memoryview(one).tobytes()) for one in found])

    def _alone(self, value: Any, what: str, found: list[pickle.PickleBuffer]) -> bytes:
        """Pickle a value with all definitions that others may not be able to import.

        In this program it is loaded as what it is: it is known by what is in it.
        """
        try:
            return by_value.dumps_by_value(value, self.path, found.append, is_code=True)
        except Exception as error:
            if by_signal(error) or isinstance(error, OURS):
                raise
            why = pickle_errors.describe_unpicklable(value, what, self.path, error, _dumps)
            raise EncodeError(why) from error

    def carries(self, channel: Channel, move: int) -> None:
        """Note that a stream is in what the calling thread is encoding, by that move."""
        self._loading.setdefault(threading.get_ident(), []).append((channel, move))

    def _with_streams(self, head: bytes, found: list[pickle.PickleBuffer]) -> Encoded:
        """Return an encoded value with the streams that go along."""
        streams = self._loading.pop(threading.get_ident(), None)
        # A copy, where one lies in more than one piece.
        buffers = [memoryview(memoryview(buffer).tobytes()) for buffer in found]
        return Encoded(head, buffers if streams is None else _Freight(buffers, streams))

    def _by_value(self, value: Any, what: str, found: list[pickle.PickleBuffer]) -> bytes:
        try:
            head: bytes = cloudpickle.dumps(value, 5, buffer_callback=found.append)
        except Exception as error:
            if by_signal(error) or isinstance(error, OURS):
                raise
            why = pickle_errors.describe_unpicklable(value, what, self.path, error, _dumps)
            raise EncodeError(why) from error
        return head

    def record(self, kind: int, header: bytes, encoded: Encoded, target: int) -> bytes:
        """Return a whole record; what does not fit is kept beside it."""
        head, buffers = encoded
        if not buffers and len(head) <= _SMALL and len(header) + len(head) <= BODY_LIMIT:
            return frame(kind, 0, header + head)
        return frame(kind, IN_SEGMENT, header + self.store(encoded, target))

    def open(self, flags: int, body: bytes | memoryview) -> tuple[Any, Any, Any]:
        """Return (head, buffers, received) of an encoded value in a record's body."""
        if not flags & IN_SEGMENT:
            return body, (), None
        received = self.fetch(bytes(body[: _NUMBER.size]))
        return received.head, received.buffers, received

    def is_large(self, flags: int, body: bytes | memoryview) -> bool:
        """Whether decoding the value in a record's body may take milliseconds."""
        if not flags & IN_SEGMENT:
            return False
        head, buffers = self._values[_NUMBER.unpack(body[: _NUMBER.size])[0]]
        return len(head) + sum(map(len, buffers)) >= LARGE

    def store(self, encoded: Encoded, target: int) -> bytes:
        """Keep an encoded value; return the reference that names it."""
        number = next(self._numbers)
        if isinstance(encoded.buffers, _Freight):
            self._carried[number] = encoded.buffers.streams
        self._values[number] = bytes(encoded.head), tuple(bytes(one) for one in encoded.buffers)
        return _NUMBER.pack(number)

    def fetch(self, reference: bytes) -> Any:
        """Return what a reference names; it stays for others."""
        (number,) = _NUMBER.unpack(reference)
        try:
            head, buffers = self._values[number]
        except KeyError:
            raise FileNotFoundError(f"payload {number} is gone") from None
        return _Received(self._release, number, head, [memoryview(bytearray(b)) for b in buffers])

    def free(self, reference: bytes) -> None:
        """Let go of a value."""
        self._release(_NUMBER.unpack(reference)[0])

    def _release(self, number: int) -> None:
        """Let go of a value: a stream in it that nobody has opened is closed."""
        self._values.pop(number, None)
        for channel, move in self._carried.pop(number, ()):
            channel.dropped(move)

    def discard(self, flags: int, body: bytes | memoryview) -> None:
        """Let go of the value of a record that will not be read."""
        if flags & IN_SEGMENT:
            self.free(bytes(body[: _NUMBER.size]))

    def pass_on(self, flags: int, body: bytes | memoryview) -> None:
        """Do nothing: a value that goes on to another receiver lies where it lay."""

    def keep(self, flags: int, body: bytes | memoryview) -> None:
        """Do nothing: nobody takes a value away."""

    def sweep(self, process: int, target: int) -> None:
        """Do nothing: what a dead actor has not sent was never written."""

    def close(self) -> None:
        """Let go of everything."""
        self._values.clear()
        self._files.clear()

    # -- what is a file over processes -----------------------------------------------------------

    def _write_file(self, name: str, *parts: bytes, what: str = "") -> str:
        path = f"{self.path}/{name}"
        self._files[path] = b"".join(parts)
        return path

    def read(self, path: str) -> bytes:
        """Return the bytes that were written under a path. Raises FileNotFoundError."""
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def rename(self, path: str, name: str, *, keep: bool) -> str:
        """Give what was written under a path another name; `keep`: the old one too."""
        data = self._files[path] if keep else self._files.pop(path)
        return self._write_file(name, data)

    def remove(self, path: str) -> None:
        """Remove what was written under a path; gone already is no error."""
        self._files.pop(path, None)


class _Freight(list[memoryview]):
    """The buffers of a value with which streams go along.

    Attributes:
        streams: each, and the number of its move.
    """

    def __init__(self, buffers: list[memoryview], streams: list[tuple[Channel, int]]) -> None:
        super().__init__(buffers)
        self.streams = streams

    def __bool__(self) -> bool:
        """True: what it belongs to is kept beside its record, though there be no buffer."""
        return True


class _Received:
    """A payload that was received (see `wire.shm.segments.Received`)."""

    __slots__ = ("_number", "_release", "buffers", "head")

    def __init__(
        self,
        release: Callable[[int], None],
        number: int,
        head: bytes,
        buffers: list[memoryview],
    ) -> None:
        self._release = release
        self._number = number
        self.head = memoryview(head)
        self.buffers = buffers

    def consume(self) -> None:
        """Say that the payload is handled."""
        self._release(self._number)

    def leave(self) -> None:
        """Leave the payload as it is: it will be received again, and handled then."""
        self._release = _nothing


def _is_of_program(head: bytes) -> bool:
    """Whether a pickle names what only this program can import."""
    return b"_main__" in head or any(name in head for name in private_names())


def _nothing(_number: int) -> None:
    """It stays."""


def _dumps(value: Any, _: str) -> object:
    return cloudpickle.dumps(value, 5)
