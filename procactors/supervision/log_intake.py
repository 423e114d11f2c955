"""The parent's end of the log pipe: takes in what actors log, and hands it to the loggers here.

Layer: supervision. Runs in: parent, in a thread of its own, which begins with the first record.
Owns: the descriptor of the log pipe, from the first record on, and the thread (`close`).
Never: is waited for by the supervisor; runs a handler of the program's in any other thread; loses
count of what did not come.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import marshal
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from procactors.observe.actor_records import Origin, RecordMaker
from procactors.observe.repeats import Repeats
from procactors.wire.log_pipe import LogParser, Piece, name_reader
from procactors.wire.record import Kind, frame

__all__ = ["LogIntake"]

#: Bytes that the pipe holds, if the user may have so many, and bytes of one read: few, since actors
#: that wait for room take a second without any for a sign that nothing is taken.
_PIPE_BYTES, _READ_BYTES = 1 << 20, 1 << 14
#: Records of one life whose pieces are kept: a signal's handler may log while one is written.
_UNFINISHED = 4
#: Seconds for which records gather between two reads: to be woken for each of them would cost more
#: than to hand it over.
_REST_S = 0.001


class _Source:
    """One life of an actor, as far as its records have come."""

    __slots__ = ("dropped", "origin", "parts", "received")

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.received = 0
        self.dropped = 0
        #: Of records that come in pieces, these, by the records' numbers.
        self.parts: dict[int, list[bytes]] = {}


class LogIntake:
    """Takes in the records of all actors of a system.

    Args:
        runtime_dir: the system's.
        fd: of the pipe, open both ways; from now on it is the intake's.
        name_of: returns the name of an actor, also of one that has ended; from any thread.
        most: times that a line is shown in a second; None: always.
    """

    def __init__(
        self, runtime_dir: str, fd: int, name_of: Callable[[int], str], most: int | None
    ) -> None:
        self._runtime_dir = runtime_dir
        self._fd = fd
        self._name_of = name_of
        self._sources: dict[tuple[int, int], _Source] = {}
        #: Lives that have ended: actor, incarnation, pid, and how many records they
        #: have logged.
        self._ended: deque[tuple[int, int, int, int]] = deque()
        #: Set by the thread when all that came before is handed over.
        self._marks: deque[threading.Event] = deque()
        self._closing = False
        # Set: the thread is not to rest.
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="procactors-logs", daemon=True)
        self._parser = LogParser()
        self._repeats: Repeats[tuple[Origin, list[Any]]] = Repeats(most)
        self._maker = RecordMaker()

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was logged by now is handed over; False: not in `timeout` seconds.

        In a handler of the program's it would wait for itself: it returns at once.
        """
        if self._thread is threading.current_thread() or self._closing:
            return False
        mark = threading.Event()
        self._marks.append(mark)
        self._hurry.set()
        self._wake()
        return mark.wait(timeout)

    def ended(self, actor: int, incarnation: int, pid: int, count: int) -> None:
        """Note that a life is over that has logged `count` records. In the supervisor's thread."""
        self._ended.append((actor, incarnation, pid, count))
        self._wake()

    def close(self, timeout: float) -> None:
        """Hand over what has come, waiting for that up to `timeout` seconds; all actors are gone.

        If a handler of the program's blocks for longer, or has called this, the thread is left to
        it, and closes what is its own when it can.
        """
        self._closing = True
        self._hurry.set()
        self._wake()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _release(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _wake(self) -> None:
        # Full: then the thread is at work, or stuck.
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._fd, frame(Kind.NUDGE, 0, bytes(_HEAD_ROOM)))

    # -- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            name_reader(self._runtime_dir)
        with contextlib.suppress(OSError):  # more than this user may have
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while not self._closing:
            patience = self._repeats.patience(monotonic())
            if self._marks or self._ended:
                patience = 0.0  # noted behind the last look, and the byte that told of it is read
            poll.poll(None if patience is None else patience * 1000 + 1)
            if not self._take_some() and not self._hurry.wait(_REST_S):
                continue
            if not self._marks:
                self._hurry.clear()
        while self._take_some():
            pass
        self._take_rest()
        self._release()

    def _take_some(self) -> bool:
        """Take what one read gives; return whether there may be more."""
        # Looked at first: of what had ended by then, all is in the pipe, or was read.
        ended, marks = len(self._ended), len(self._marks)
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            data = b""
        now = monotonic()
        for piece in self._parser.feed(data):
            self._take(piece, now)
        if len(data) < _READ_BYTES:
            for _ in range(ended):
                self._settle(*self._ended.popleft())
            for _ in range(marks):
                self._marks.popleft().set()
        for (origin, fields), count in self._repeats.over(now):
            self._maker.hand(origin, fields, count)
        return len(data) == _READ_BYTES

    def _take_rest(self) -> None:
        while self._ended:
            self._settle(*self._ended.popleft())
        while self._marks:
            self._marks.popleft().set()
        for (origin, fields), count in self._repeats.rest():
            self._maker.hand(origin, fields, count)

    def _take(self, piece: Piece, now: float) -> None:
        number, dropped, actor, incarnation, pid, has_more, data = piece
        source = self._sources.get((actor, pid))
        if source is None:
            source = self._source(actor, incarnation, pid)
        if has_more or source.parts:
            whole = self._joined(source, number, has_more, data)
            if whole is None:
                return
            data = whole
        if dropped > source.dropped:
            self._tell_dropped(source.origin, dropped - source.dropped)
            source.dropped = dropped
        source.received += 1
        try:
            fields = marshal.loads(data)  # noqa: S302 - our own actors', in our own directory
        except (ValueError, EOFError, TypeError):
            return
        # Long ones are not worth keeping for that.
        if len(data) < 1000:
            key = actor, fields[0], fields[6], fields[7], str(fields[3])
            if not self._repeats.admits(key, (source.origin, fields), now):
                return
        self._maker.hand(source.origin, fields)

    @staticmethod
    def _joined(source: _Source, number: int, has_more: int, data: bytes) -> bytes | None:
        """Return a record that has come in pieces, when it is complete."""
        parts = source.parts.pop(number, None)
        if parts is None:
            if not has_more:
                return data
            parts = []
            if len(source.parts) >= _UNFINISHED:  # the rest of the oldest was dropped
                del source.parts[next(iter(source.parts))]
        parts.append(data)
        if not has_more:
            return b"".join(parts)
        source.parts[number] = parts
        return None

    def _source(self, actor: int, incarnation: int, pid: int) -> _Source:
        source = _Source(Origin(self._name_of(actor), incarnation, pid))
        self._sources[actor, pid] = source
        return source

    def _settle(self, actor: int, incarnation: int, pid: int, count: int) -> None:
        """Say what did not come of a life that is over."""
        source = self._sources.get((actor, pid)) or self._source(actor, incarnation, pid)
        del self._sources[actor, pid]
        missing = count - source.received - source.dropped
        if missing > 0:
            self._tell_dropped(source.origin, missing)

    def _tell_dropped(self, origin: Origin, count: int) -> None:
        what = "1 record" if count == 1 else f"{count} records"
        were = "was" if count == 1 else "were"
        text = f"{what} of actor {origin.name!r} (pid {origin.pid}) {were} dropped"
        self._maker.say(origin, logging.WARNING, text)


#: Bytes of a frame that says nothing: as long as the head of one that does.
_HEAD_ROOM = 32
