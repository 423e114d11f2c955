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
import itertools
import os
import select
from collections.abc import Callable, Generator, Iterator
from time import monotonic
from typing import Any, Protocol

from procactors.light_tuple import NamedTuple
from procactors.wire.envelope import ANSWER, CALL_ID
from procactors.wire.payload_store import PayloadStore
from procactors.wire.record import FRAME, MOVED, Kind, frame, parse
from procactors.wire.runtime_dir import remove_whole
from procactors.wire.spin import Spin
from procactors.wire.storage import Descriptors, list_folder, remove_folder

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl

__all__ = [
    "BEING_SENT",
    "NUDGE",
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

_ANSWERS = frozenset(map(int, (Kind.RESULT, Kind.FAILURE, Kind.VERDICT, Kind.CANCEL)))
_unpack = ANSWER.unpack_from

_new = tuple.__new__  # past NamedTuple's own constructor

#: Wakes the reader of a reply pipe. With a call id that is none, as all records there have one.
NUDGE = frame(Kind.NUDGE, 0, bytes(8))

#: Value of `PendingReply.call` while a thread of the runtime may just be sending it.
BEING_SENT = -1

#: Never 0, which means: no reply wanted. The upper half of a pipe's number names its process.
_numbers = itertools.count(1)


class Answer(NamedTuple):
    """One reply: its kind, its frame's flags and its encoded value."""

    kind: int
    flags: int
    value: bytes | memoryview


class PendingReply(Protocol):
    """What an answer to a `submit` is handed to.

    Attributes:
        is_awaited: somebody waits for it from the beginning (see `Transport.hurry`).
        call: id of the call; None: it is not sent (see `Transport.take_back`).
    """

    is_awaited: bool
    call: int | None

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
        #: The call that another actor is to answer now, the id of that, and its name.
        self._moved: tuple[Any, ...] = ()
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
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        self._wait = poll.poll
        self._spin = Spin()
        #: Called with the number of a mark (`mark`), behind all answers that were sent before it.
        self.on_mark: Callable[[int], None] = lambda _number: None
        #: Called with a call, the actor that is to answer it now, and the one that had it; 0: it
        #: has begun, and its answer alone is owed.
        self.on_moved: Callable[[int, int, int], None] = lambda _call, _actor, _source: None

    def wait(
        self,
        call: int,
        deadline: float | None,
        check: Callable[..., None] | None = None,
        *about: Any,
    ) -> Answer | None:
        """Wait for the answer to `call`; None once the deadline (monotonic) has passed.

        `check(*about)` is called about once a second and may raise: `about` is the id and the name
        of the actor that is to answer. The answer's value is a view that is good until the next
        wait on this port.
        """
        while True:
            count = self._read(deadline, check, about)
            if not count:
                return None
            buffer = self._buffer
            # Behind what is shorter than an answer stand older bytes.
            length, kind, flags, padding, number = _unpack(buffer)
            if length == count and number == call and kind in _ANSWERS:
                return _new(Answer, (kind, flags, buffer[16 : length - padding]))
            found = None
            for number, answer in self.answers(count):
                if number == call and found is None:
                    found = answer
                else:
                    self._store.discard(answer.flags, answer.value)
            if found is not None:
                return found
            if about:
                about = self.moved_to(call) or about

    def moved_to(self, call: int) -> tuple[int, str] | None:
        """Return id and name of the actor that is to answer a call now, if that is another one."""
        return self._moved[1:] if self._moved and self._moved[0] == call else None

    def read(self, deadline: float | None = None) -> int:
        """Wait for something up to the deadline (monotonic); return the bytes read, 0 if late.

        For the reader thread, which finds with `answers` which call each is for.
        """
        return self._read(deadline)

    def answers(self, count: int) -> Iterator[tuple[int, Answer]]:
        """Yield (call id, answer) for each reply in the `count` bytes just read, then spilled.

        What is yielded are copies: the next read may come before they are looked at.
        """
        # A pipe that was full may have had no room for the nudge that tells of a spilled answer:
        # so after any large read too, look.
        fences: list[int] = []
        marks: list[int] = []
        look = yield from self._parsed(bytes(self._buffer[:count]), fences, marks)
        if look or count > select.PIPE_BUF:
            for data in self._spilled():
                yield from self._parsed(data, fences, marks)
        # Behind everything that the dead process sent here: what is left was never sent, or is
        # still unread.
        for process in fences:
            self._store.sweep(process, self.number)
        for number in marks:
            self.on_mark(number)

    def _parsed(
        self, data: bytes, fences: list[int], marks: list[int]
    ) -> Generator[tuple[int, Answer], None, bool]:
        """Yield (call id, answer) for each reply in whole records; return if others are there.

        One flat pass: with thousands of submits on their way each line counts.
        """
        others, at, end = False, 0, len(data)
        while at < end:
            length, kind, flags, padding, number = _unpack(data, at)
            if kind in _ANSWERS:
                value = data[at + 16 : at + length - padding]
                if flags:
                    self._store.keep(flags, value)
                yield number, _new(Answer, (kind, flags, value))
            else:
                others = True
                if kind == Kind.FENCE:
                    fences.append(number)
                elif kind == Kind.NUDGE and number:
                    marks.append(number)
                elif kind == Kind.MOVED:
                    name = data[at + FRAME.size + MOVED.size : at + length - padding].decode()
                    moved = MOVED.unpack_from(data, at + FRAME.size)
                    self._moved = (*moved[:2], name)
                    self.on_moved(*moved)
            at += length
        return others

    def wake(self) -> None:
        """Wake the waiting thread."""
        with contextlib.suppress(BlockingIOError):  # full: then it is awake already
            os.write(self._fd, NUDGE)

    def mark(self, number: int, timeout: float) -> bool:
        """Have `on_mark` called behind all that has been sent to here; return whether it will be.

        Waits up to `timeout` seconds for room in a full pipe.
        """
        if self._retired:
            return False
        record = frame(Kind.NUDGE, 0, CALL_ID.pack(number))
        deadline = monotonic() + timeout
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        while True:
            try:
                os.write(self._fd, record)
            except BlockingIOError:
                left = deadline - monotonic()
                if left <= 0:
                    return False
                poll.poll(left * 1000)
            except OSError:
                return False  # it is closed
            else:
                return True

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

    def _spilled(self) -> Iterator[bytes]:
        for path in list_folder(self._store.path, spill_folder(self.number)):
            if path.endswith(".new"):
                continue  # still being written, or its writer was killed
            with open(path, "rb") as file:
                data = file.read()
            os.unlink(path)
            yield data

    def _read(
        self,
        deadline: float | None,
        check: Callable[..., None] | None = None,
        about: tuple[Any, ...] = (),
    ) -> int:
        poll = self._wait
        is_there = self._spin.comes(poll)
        while True:
            if not is_there:
                left = _SLICE_S
                if deadline is not None:
                    left = min(left, max(0.0, deadline - monotonic()))
                is_there = bool(poll(left * 1000))
            if is_there:
                try:
                    return os.readv(self._fd, self._into)
                except BlockingIOError:
                    is_there = False
            elif deadline is not None and monotonic() >= deadline:
                return 0
            elif check is not None:
                check(*about)


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
