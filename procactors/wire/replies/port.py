"""Reply pipes, the caller's end: where it waits for its answer.

Layer: wire. Runs in: caller.
Owns: a port's named pipe and descriptor, and its spill directory (`retire`).
Never: an answer taken for another call's.

    caller                                actor, or supervisor for the dead
    1. lease a port, note the call id
    2. message with (port, call id) ────► handle it
    3. wait on the port's pipe     ◄───── 4. whole record with the call id, not blocking
                                          4b. pipe full: a file in the spill directory, a nudge
    5. other ids are late: dropped

A port on which a call was given up is retired: its pipe is removed, and a late answer is dropped by
its sender.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import select
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Protocol

from procactors.wire.envelope import CALL_ID
from procactors.wire.payload_store import PayloadStore
from procactors.wire.record import FRAME, Kind, Record, frame, parse, parse_all
from procactors.wire.runtime_dir import remove_whole
from procactors.wire.spin import Spin, try_read
from procactors.wire.storage import Descriptors, list_folder, remove_folder

__all__ = [
    "Answer",
    "PendingReply",
    "ReplyPort",
    "is_port",
    "pipe_path",
    "remove_ports_of",
    "spill_folder",
]

#: Bytes of an ordinary pipe; a read as large as the pipe ends on a record's boundary.
_READ_BYTES = 1 << 16
#: Seconds between looks at whether the other side still exists.
_SLICE_S = 1.0

_ANSWERS = frozenset((Kind.RESULT, Kind.FAILURE, Kind.VERDICT))
_NUDGE = frame(Kind.NUDGE, 0, b"")


#: Never 0, which means: no reply wanted. The upper half of a pipe's number names its process.
_numbers = itertools.count(1)


class Answer:
    """One reply: its kind, its frame's flags and its encoded value."""

    __slots__ = ("flags", "kind", "value")

    def __init__(self, kind: int, flags: int, value: memoryview) -> None:
        self.kind = kind
        self.flags = flags
        self.value = value


class PendingReply(Protocol):
    """What an answer to a `submit` is handed to."""

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:
        """Take the answer, or the error that stands for it. Must run no user code."""


class ReplyPort:
    """A reply pipe of this process. One thread at a time waits on it."""

    def __init__(self, store: PayloadStore) -> None:
        self._store = store
        self.number = (store.process & 0x7FFFFFFF) << 32 | next(_numbers)
        self._path = pipe_path(store.path, self.number)
        self._pid = os.getpid()
        self._opened = Descriptors()
        self._retired = False
        self._buffer = memoryview(b"")
        try:
            os.mkfifo(self._path, 0o600)
            # Both ways, so that the pipe never ends while no actor has it open. All our ends go
            # with this process: then an answer meets EPIPE, and is dropped.
            self._fd = self._opened.open(self._path, os.O_RDWR | os.O_NONBLOCK)
        except BaseException:
            self.retire()
            raise
        size = max(_READ_BYTES, fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ))
        self._buffer = memoryview(bytearray(size))
        self._into = (self._buffer,)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._spin = Spin()

    def wait(self, call: int, deadline: float | None, check: Callable[[], None]) -> Answer | None:
        """Wait for the answer to `call`; None once the deadline (monotonic) has passed.

        `check` is called about once a second and may raise. The answer's value is a view that
        is good until the next wait on this port.
        """
        unpack = FRAME.unpack_from
        while True:
            count = self._read(deadline, check)
            if not count:
                return None
            buffer = self._buffer
            length, kind, flags, padding = unpack(buffer, 0)
            if length == count and kind in _ANSWERS:
                (number,) = CALL_ID.unpack_from(buffer, 8)
                if number == call:
                    return Answer(kind, flags, buffer[16 : length - padding])
            found = None
            for number, answer in self.answers(count):
                if number == call and found is None:
                    found = answer
                else:
                    self._store.discard(answer.flags, answer.value)
            if found is not None:
                return found

    def read(self, deadline: float | None = None) -> int:
        """Wait for something up to the deadline (monotonic); return the bytes read, 0 if late.

        For the reader thread, which finds with `answers` which call each is for.
        """
        return self._read(deadline, _nothing)

    def answers(self, count: int) -> Iterator[tuple[int, Answer]]:
        """Yield (call id, answer) for each reply in the `count` bytes just read, then spilled."""
        # A pipe that was full may have had no room for the nudge that tells of a spilled answer:
        # so after any large read too, look.
        look, fences = count > select.PIPE_BUF, []
        for kind, flags, body in parse_all(self._buffer[:count]):
            if kind in _ANSWERS:
                yield self._answer(kind, flags, body)
            else:
                look = True
                if kind == Kind.FENCE:
                    fences.append(CALL_ID.unpack_from(body)[0])
        if look:
            for kind, flags, body in self._spilled():
                if kind in _ANSWERS:
                    yield self._answer(kind, flags, body)
                else:
                    fences.append(CALL_ID.unpack_from(body)[0])
        # Behind everything that the dead process sent here: what is left was never sent, or is
        # still unread.
        for process in fences:
            self._store.sweep(process, self.number)

    def _answer(self, kind: int, flags: int, body: memoryview) -> tuple[int, Answer]:
        value = body[CALL_ID.size :]
        self._store.keep(flags, value)
        return CALL_ID.unpack_from(body)[0], Answer(kind, flags, value)

    def wake(self) -> None:
        """Wake the waiting thread."""
        with contextlib.suppress(BlockingIOError):  # full: then it is awake already
            os.write(self._fd, _NUDGE)

    def give_up(self, call: int) -> None:
        """Retire the port with a call that an exception ended; its answer may have been read."""
        kind, flags, body = parse(self._buffer)
        if flags and kind in _ANSWERS and CALL_ID.unpack_from(body)[0] == call:
            self._store.discard(flags, body[8:])  # discarding twice is harmless
        self.retire()

    def retire(self) -> None:
        """Remove the pipe: a late answer is dropped by its sender."""
        if self._retired:
            return
        if self._pid == os.getpid():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
            if self._buffer:
                self._discard_unread()
            remove_folder(self._store.path, spill_folder(self.number))
        self._retired = True
        self._opened.close()

    def __del__(self) -> None:
        # A signal handler that raises may take it from its caller at any instruction.
        with contextlib.suppress(Exception):
            self.retire()

    def _discard_unread(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            count = os.readv(self._fd, self._into)
            for _, answer in self.answers(count):
                self._store.discard(answer.flags, answer.value)

    def _spilled(self) -> Iterator[Record]:
        for path in list_folder(self._store.path, spill_folder(self.number)):
            if path.endswith(".new"):
                continue  # still being written, or its writer was killed
            with open(path, "rb") as file:
                data = file.read()
            os.unlink(path)
            yield from parse_all(data)

    def _read(self, deadline: float | None, check: Callable[[], None]) -> int:
        window = self._spin.window()
        if window:
            count = try_read(self._fd, self._into, window)
            if count:
                self._spin.hit()
                return count
            self._spin.miss()
        while True:
            left = _SLICE_S
            if deadline is not None:
                left = min(left, max(0.0, deadline - monotonic()))
            if self._poll.poll(left * 1000):
                try:
                    return os.readv(self._fd, self._into)
                except BlockingIOError:
                    continue
            if deadline is not None and monotonic() >= deadline:
                return 0
            check()


def remove_ports_of(runtime_dir: str, process: int) -> None:
    """Remove the reply pipes of a dead process: an answer for it is then dropped."""
    prefix = f"{process & 0x7FFFFFFF:08x}"
    for path in list_folder(runtime_dir, "replies"):
        if os.path.basename(path).startswith(prefix):
            if path.endswith(".spill"):
                remove_whole(path)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)


def is_port(number: int) -> bool:
    """Whether a payload's target is a reply pipe; otherwise it is an actor's id."""
    return number >> 32 != 0


def pipe_path(runtime_dir: str, number: int) -> str:
    """Return the path of a reply pipe."""
    return os.path.join(runtime_dir, "replies", f"{number:016x}")


def spill_folder(number: int) -> str:
    """Return the folder, in the runtime directory, of the answers that a full pipe did not take."""
    return f"replies/{number:016x}.spill"


def _nothing() -> None:
    pass
