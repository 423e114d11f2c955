"""The log pipe: on which the records that actors log come to the parent.

Layer: wire. Runs in: actor (`LogWriter`), parent (`LogParser`, and whoever has the pipe open).
Owns: the actor's writing end, opened with the first record, for the process's life.
Never: waits for a parent that takes nothing for longer than a moment; shares a lock with another
process: what is written is whole, since no write is larger than PIPE_BUF.

One named pipe for all actors of a system: who reads need not know who logs. A record that is larger
than one write comes in pieces, among which those of others may stand:

    frame   u64 number   u64 dropped   u64 actor   u32 incarnation   u32 pid   a piece

`number` counts the records of a life, `dropped` those among them that were given up before. The
number stands in the actor's black box, too (`LOGS`): so what a killed actor did not hand over is
known.
"""

from __future__ import annotations

import os
import select
import struct
import threading
from collections.abc import Iterator
from time import monotonic

from procactors.light_tuple import NamedTuple
from procactors.wire.mailbox.black_box import LOGS, PID
from procactors.wire.procstat import STATE, stat_of
from procactors.wire.record import BODY_LIMIT, FRAME, PADDING, Kind
from procactors.wire.runtime_dir import LOG_PIPE
from procactors.wire.storage import write_whole

__all__ = ["LogParser", "LogWriter", "Piece", "name_reader"]

_HEAD = struct.Struct(FRAME.format + "QQQII")
#: Most bytes of a record that go in one write.
_ROOM = BODY_LIMIT - (_HEAD.size - FRAME.size)
#: Flag of a piece that others follow.
_MORE = 1
_LOG = int(Kind.LOG)

#: Seconds for which a record waits for room while nothing is taken out of the pipe; and if others
#: take what room there comes, or the thread that reads is at work, or waits for a processor.
_PATIENCE_S, _LONGEST_S = 1.0, 30.0


def _reader_file(runtime_dir: str) -> str:
    return f"{runtime_dir}/log.reader"


def name_reader(runtime_dir: str) -> None:
    """Tell those who wait for room that this thread empties the pipe.

    Raises:
        OSError: there is no room for that.
    """
    write_whole(_reader_file(runtime_dir), b"%d" % threading.get_native_id())


class Piece(NamedTuple):
    """One frame of the pipe."""

    number: int
    dropped: int
    actor: int
    incarnation: int
    pid: int
    has_more: int
    data: bytes


class LogWriter:
    """An actor's end of the pipe.

    Args:
        runtime_dir: the runtime directory.
        actor, incarnation: who this is.
        words: of the actor's black box, which has the process's number.
    """

    def __init__(self, runtime_dir: str, actor: int, incarnation: int, words: memoryview) -> None:
        self._runtime_dir = runtime_dir
        self._who = actor, incarnation, words[PID]
        self._words = words
        self._fd = -1
        self._dropped = 0
        # A record has waited in vain, and none has got through since.
        self._is_stuck = False
        # Keeps the records of the actor's threads in the order of their numbers; reentrant, since a
        # signal handler may log while we are inside.
        self._lock = threading.RLock()

    def send(self, data: bytes) -> bool:
        """Hand a record over; False: it is dropped, and counted.

        Blocks while the pipe is full: for a second in which the parent takes nothing, and once.
        """
        with self._lock:
            number = self._words[LOGS] + 1
            self._words[LOGS] = number
            if self._fd < 0 and not self._open():
                self._dropped += 1
                return False
            at, size = 0, len(data)
            while True:
                piece = data[at : at + _ROOM] if size > _ROOM else data
                at += _ROOM
                if not self._put(self._frame(piece, number, at < size)):
                    # Of what has got through, the reader sees that it is not finished.
                    self._dropped += 1
                    return False
                if at >= size:
                    return True

    def _frame(self, piece: bytes, number: int, has_more: bool) -> bytes:
        length = _HEAD.size + len(piece)
        padding = -length & 7
        head = _HEAD.pack(
            length + padding, _LOG, _MORE * has_more, padding, number, self._dropped, *self._who
        )
        return head + piece + PADDING[length & 7]

    def _put(self, frame: bytes) -> bool:
        try:
            os.write(self._fd, frame)
        except BlockingIOError:
            return self._put_late(frame)
        except OSError:  # the parent is gone, and so are we in a moment
            return False
        self._is_stuck = False
        return True

    def _put_late(self, frame: bytes) -> bool:
        """Wait for room, if that has not been in vain before."""
        if self._is_stuck:
            return False
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        until = monotonic() + _LONGEST_S
        while monotonic() < until and (poll.poll(_PATIENCE_S * 1000) or self._is_read()):
            try:
                os.write(self._fd, frame)
            except BlockingIOError:
                continue  # another actor was faster
            except OSError:
                return False
            return True
        self._is_stuck = True
        return False

    def _is_read(self) -> bool:
        """Return whether the thread that empties the pipe is at work: then room will come."""
        try:
            with open(_reader_file(self._runtime_dir), "rb") as file:
                return stat_of(int(file.read()))[STATE] in (b"R", b"D")
        except (OSError, ValueError, IndexError):
            return False

    def _open(self) -> bool:
        try:
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
            self._fd = os.open(f"{self._runtime_dir}/{LOG_PIPE}", flags)
        except OSError:  # no descriptor left, or the system has ended
            return False
        return True


class LogParser:
    """Makes pieces of what is read from the pipe, wherever a read has ended."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the pieces that are complete; what is no frame is passed over."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= _HEAD.size:
            length, kind, flags, padding, number, dropped, actor, incarnation, pid = (
                _HEAD.unpack_from(data, at)
            )
            if not _HEAD.size <= length <= select.PIPE_BUF:
                at = end  # somebody else has written to the pipe
                break
            if at + length > end:
                break
            if kind == _LOG:
                piece = data[at + _HEAD.size : at + length - padding]
                yield Piece(number, dropped, actor, incarnation, pid, flags & _MORE, piece)
            at += length
        self._rest = data[at:]
