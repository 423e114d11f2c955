"""One process's use of one runtime directory: encoding records and reading their payloads.

Layer: wire. Runs in: parent and actor.
Owns: the process's pools of segments and of shares in that directory (`close`).
Never: shared between processes: a forked copy makes its own, under a token of its own.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from procactors.wire.copies import in_copies
from procactors.wire.pickling.codec import Encoded, decode, encode, join, split
from procactors.wire.pickling.definitions import belong_to
from procactors.wire.record import BODY_LIMIT, IN_SEGMENT, WITH_BUFFERS, frame
from procactors.wire.shm.segments import (
    REFERENCE,
    Received,
    SegmentPool,
    SegmentReceiver,
    mark_consumed,
    pass_on,
    receive,
    segment_size,
    sweep_segments,
)
from procactors.wire.shm.shares import SharePool
from procactors.wire.storage import write_file

__all__ = ["LARGE", "PayloadStore", "store_of"]

#: Bytes from which an event loop leaves pickling and copying to a thread: some milliseconds of it.
LARGE = 1024 * 1024


class PayloadStore:
    """What this process needs to write and read records of one runtime directory.

    Attributes:
        path: the runtime directory.
        encode: pickles a value for another process of this directory: `codec.encode`. An attribute,
            so that a message costs no call more.
        write_file: writes a file there: `storage.write_file`.
        process: this process's token in it, a random number: pids are used again.
        shares: where this process writes what it shares.
    """

    #: Makes what sends answers, where that is no `ReplySender`.
    make_replies: Callable[[PayloadStore], Any] | None = None
    #: Makes and finds result tables (`local.tables`), where those are no files.
    tables: Any = None
    #: Shares values, where those are no files in shared memory (see `runtime.shared`).
    sharing: Any = None
    #: The clock by which items of a pool are timed, in nanoseconds.
    now_ns: Callable[[], int] = monotonic_ns
    #: Makes a topic's list of subscribers, where that is no `TopicTable`.
    make_topic_table: Callable[[str, str], Any] | None = None

    def __init__(self, path: str) -> None:
        self.path = path
        self.encode: Callable[..., Encoded] = functools.partial(encode, path)
        self.write_file: Callable[..., str] = functools.partial(write_file, path)
        self.process = int.from_bytes(os.urandom(8), "big") >> 1
        self._segments = SegmentPool(path, self.process)
        self._received = SegmentReceiver(path)
        #: References of values that have come and are to be opened later, behind what follows them.
        self._unread: set[bytes] = set()
        self.shares = SharePool(path, self.process)
        belong_to(path)

    def record(self, kind: int, header: bytes, encoded: Encoded, target: int) -> bytes:
        """Return a whole record; what does not fit goes into a segment for `target` first.

        Raises:
            StorageFull: no room for the segment.
        """
        head, buffers = encoded
        if not buffers:
            if len(header) + len(head) <= BODY_LIMIT:
                return frame(kind, 0, header + head)
        elif encoded.size + 16 * len(buffers) + len(header) + 64 <= BODY_LIMIT:
            body = header + join(encoded)
            if len(body) <= BODY_LIMIT:
                return frame(kind, WITH_BUFFERS, body)
        reference = self._segments.write(head, buffers, target)
        return frame(kind, IN_SEGMENT, header + reference)

    def open(self, flags: int, body: bytes | memoryview) -> tuple[Any, Any, Received | None]:
        """Return (head, buffers, received) of an encoded value in a record's body."""
        if flags & IN_SEGMENT:
            reference = bytes(body[: REFERENCE.size])
            received = self._received.receive(reference)
            self._unread.discard(reference)
            return received.head, received.buffers, received
        if flags & WITH_BUFFERS:
            return (*split(body), None)
        return body, (), None

    def load(self, flags: int, body: bytes | memoryview, what: str = "message") -> Any:
        """Decode the value in a record's body and free its segment.

        Raises:
            DecodeError: it could not be unpickled.
        """
        head, buffers, received = self.open(flags, body)
        try:
            return decode(head, buffers, what)
        finally:
            if received is not None:
                received.consume()

    def is_large(self, flags: int, body: bytes | memoryview) -> bool:
        """Whether decoding the value in a record's body may take milliseconds."""
        if not flags & IN_SEGMENT:
            return False  # a record holds little
        return segment_size(self.path, bytes(body[: REFERENCE.size])) >= LARGE

    def store(self, encoded: Encoded, target: int) -> bytes:
        """Write an encoded value to a segment; return the reference that names it.

        For values whose reference travels inside another: their sender frees them (`free`).

        Raises:
            StorageFull: no room for it.
        """
        return self._segments.write(encoded.head, encoded.buffers, target)

    def fetch(self, reference: bytes) -> Received:
        """Open the segment that a reference names; it stays for others to open.

        Raises:
            FileNotFoundError: it is gone. OSError: no descriptor is left.
        """
        return receive(self.path, reference, once=False)

    def free(self, reference: bytes) -> None:
        """Let the segment of a value that this process has stored be written again."""
        self._segments.free(reference)

    def discard(self, flags: int, body: bytes | memoryview) -> None:
        """Free the segment of a record that will not be read."""
        if flags & IN_SEGMENT:
            reference = bytes(body[: REFERENCE.size])
            self._unread.discard(reference)
            mark_consumed(self.path, reference)

    def pass_on(self, flags: int, body: bytes | memoryview) -> None:
        """Let go of a record's value unhandled: the record goes on to another receiver.

        Raises:
            FileNotFoundError: its segment is gone; what was received of it is all there is.
        """
        if flags & IN_SEGMENT:
            reference = bytes(body[: REFERENCE.size])
            pass_on(self.path, reference)
            self._unread.discard(reference)

    def keep(self, flags: int, body: bytes | memoryview) -> None:
        """Note that a record's value is opened, or discarded, later: no fence takes its segment."""
        if flags & IN_SEGMENT:
            self._unread.add(bytes(body[: REFERENCE.size]))

    def sweep(self, process: int, target: int) -> None:
        """Heed a fence: remove what a dead process had written for `target` and has not sent."""
        sweep_segments(self.path, process, target, self._unread)
        self._received.forget(process)

    def close(self) -> None:
        """Close the pools and forget the directory."""
        self._segments.close()
        self._received.close()
        self.shares.close()
        with contextlib.suppress(KeyError):
            if _stores[self.path] is self:
                del _stores[self.path]
                belong_to(self.path, False)


_stores: dict[str, PayloadStore] = {}


def store_of(path: str) -> PayloadStore:
    """Return this process's store for a runtime directory, made on first use."""
    store = _stores.get(path)
    if store is None:
        store = _stores.setdefault(path, PayloadStore(path))
        in_copies(_forget)
    return store


def _forget() -> None:
    _stores.clear()  # a copy would write into segments whose locks are the parent's
