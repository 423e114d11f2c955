"""Reply pipes, the answering end: how an answer gets to its caller without ever blocking for long.

Layer: wire. Runs in: actor, inbox and supervisor, one thread at a time.
Owns: cached write ends (`close`).
Never: a write that waits for a stopped caller.

What a full pipe does not take goes to a file in the port's spill directory, with a nudge.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
from collections import OrderedDict

from procactors.errors import StorageFull
from procactors.wire.envelope import ANSWER, CALL_ID
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.codec import ASKER, NeedsReceiver, encode_to
from procactors.wire.pickling.plain import encode_result
from procactors.wire.record import BODY_LIMIT, PADDING, Kind, parse
from procactors.wire.replies.port import NUDGE, pipe_path, spill_folder
from procactors.wire.storage import write_file

__all__ = ["ReplySender"]

#: Seconds for which an actor waits once for a full reply pipe; a live reader empties it in less.
_PATIENCE_S = 0.02
#: Seconds of one wait for a pipe that is full while the disks are, too.
_SLICE_S = 1.0
#: Write ends of reply pipes that are kept open.
_KEPT = 64

_pack = ANSWER.pack
_RESULT = int(Kind.RESULT)  # a plain number compares in a third of an enum's time
#: Numbers of this process's spilled answers.
_numbers = itertools.count(1)


class ReplySender:
    """Answers to the reply pipes of all processes, from one thread, never blocking for long."""

    def __init__(self, store: PayloadStore) -> None:
        self._store = store
        self._encode = store.encode
        self._ends: OrderedDict[int, int] = OrderedDict()
        #: Pipes that stayed full through one wait: not waited for again until they take a write.
        self._slow: set[int] = set()

    def answer(self, reply: int, call: int, kind: int, value: object, patient: bool = True) -> bool:
        """Encode and send an answer; return whether its caller still had the pipe open.

        Raises:
            EncodeError: the value cannot be pickled.
            StorageFull: no room for a large one.
        """
        plain = encode_result(value) if kind == _RESULT else None
        try:
            encoded = plain or self._encode(value, "result")
        except NeedsReceiver:
            encoded = encode_to(ASKER, self._encode, value, "result")
        head, buffers = encoded
        size = 8 + len(head)
        if not buffers and size <= BODY_LIMIT:  # nearly every answer: in one piece
            padding = -size & 7
            record = _pack(size + 8 + padding, kind, 0, padding, call) + head + PADDING[size & 7]
        else:
            if plain:  # a large number: what lies in a segment is read as a pickle
                encoded = self._encode(value, "result")
            record = self._store.record(kind, CALL_ID.pack(call), encoded, reply)
        if self.send(reply, record, patient):
            return True
        _, flags, body = parse(record)
        self._store.discard(flags, body[8:])
        return False

    def send(self, reply: int, record: bytes, patient: bool = True) -> bool:
        """Send a whole record; return whether the pipe was still there."""
        fd = self._ends.get(reply)
        try:
            if fd is None:
                fd = self._open(reply)
            os.write(fd, record)
        except BlockingIOError:
            assert fd is not None
            try:
                self._write_full(fd, reply, record, patient)
            except BrokenPipeError:
                self._close_end(reply)
                return False
            return True
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENXIO, errno.EPIPE):
                raise
            self._close_end(reply)
            return False
        if self._slow:
            self._slow.discard(reply)
        return True

    def close(self) -> None:
        """Close the write ends."""
        for fd in self._ends.values():
            os.close(fd)
        self._ends.clear()

    def _open(self, reply: int) -> int:
        path = pipe_path(self._store.path, reply)
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._ends[reply] = fd
        if len(self._ends) > _KEPT:
            _, oldest = self._ends.popitem(last=False)
            os.close(oldest)
        return fd

    def _close_end(self, reply: int) -> None:
        fd = self._ends.pop(reply, None)
        if fd is not None:
            os.close(fd)
        self._slow.discard(reply)

    def _write_full(self, fd: int, reply: int, record: bytes, patient: bool) -> None:
        if patient and reply not in self._slow:
            if _write_within(fd, record, _PATIENCE_S):
                return
            self._slow.add(reply)
        # Kept in this process's memory it would be lost with the process, while its message
        # counts as handled: so it goes to a file, whole or not at all.
        try:
            name = f"{spill_folder(reply)}/{os.getpid():x}-{next(_numbers):x}"
            write_file(self._store.path, name, record)
        except (OSError, StorageFull):
            # The disks are full as well: better late than lost. A caller that is gone ends the
            # wait with EPIPE.
            while not _write_within(fd, record, _SLICE_S):
                pass
            return
        # The reader may have emptied the pipe before the file was there: wake it. If the pipe is
        # still full, its reader looks for spilled answers after so large a read by itself.
        with contextlib.suppress(BlockingIOError):
            os.write(fd, NUDGE)


def _write_within(fd: int, record: bytes, timeout: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if poll.poll(timeout * 1000):
        with contextlib.suppress(BlockingIOError):
            os.write(fd, record)
            return True
    return False
