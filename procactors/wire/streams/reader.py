"""The reading end of a stream: chunks of items, and the credit for the next ones.

Layer: wire. Runs in: the consumer's process, one thread at a time.
Owns: its ends of the channel (`close`).
Never: grants credit for an item that has not been handed out; blocks but in `wait`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from procactors.light_tuple import NamedTuple
from procactors.wire.record import FRAME, Kind
from procactors.wire.spin import Spin
from procactors.wire.streams.channel import (
    CLOSE,
    GRANT,
    Ends,
    remove_channel,
    remove_large,
)
from procactors.wire.streams.items import discard, load_failure, open_items

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl

__all__ = ["Chunk", "ItemReader"]

#: Bytes of an ordinary pipe; a read as large as the pipe ends on a record's boundary.
_READ_BYTES = 1 << 16
#: What a poll says of a pipe whose other side no process has open.
_ENDED = select.POLLHUP | select.POLLERR


class Chunk(NamedTuple):
    """Items that have come together.

    Attributes:
        values: items, or what they are made of.
        make: makes an item of one; None: they are items.
    """

    values: Sequence[Any]
    make: Callable[[Any], Any] | None


class ItemReader:
    """Reads items from a channel.

    Args:
        ends: open for reading.
        buffer: items that may be under way.
        owed: those of them that were handed out without credit for others yet.
        is_fed: the writer has made the channel, and has its credit open from the beginning.
    """

    def __init__(self, ends: Ends, buffer: int, owed: int = 0, *, is_fed: bool = False) -> None:
        self.ends = ends
        self.buffer = buffer
        # Credit in halves: while one half is used up, the other half is made.
        self._batch = max(1, buffer // 2)
        self.owed = owed
        self._handed = 0
        self.chunks: deque[Chunk] = deque()
        self._rest = b""
        self._size = max(_READ_BYTES, fcntl.fcntl(ends.data, fcntl.F_GETPIPE_SZ))
        poll = select.poll()
        poll.register(ends.data, select.POLLIN)
        if is_fed:
            poll.register(ends.credit, 0)  # its end alone
        self._poll = poll.poll
        self._spin = Spin()
        #: The end has been read.
        self.is_over = False
        #: The exception with which it ended.
        self.error: BaseException | None = None
        #: No process has the channel open for writing: its writer has ended, or has died.
        self.is_ended = False

    def grant(self, items: int) -> None:
        """Let the writer send so many more items."""
        try:
            os.write(self.ends.credit, GRANT.pack(items))
        except OSError as error:
            # The writer is gone. But an alarm's exception is one, too: credit must not be lost.
            if error.errno != errno.EPIPE:
                raise

    def take(self) -> Chunk | None:
        """Return the next items, if any have come; those returned before are handed out.

        Where there are none: `is_over` and `is_ended` say whether any will come.
        """
        self.owed += self._handed
        self._handed = 0
        if self.owed >= self._batch:
            owed, self.owed = self.owed, 0
            self.grant(owed)
        if not self.chunks and not self.is_over:
            self._read()
        if not self.chunks:
            return None
        chunk = self.chunks.popleft()
        self._handed = len(chunk.values)
        return chunk

    def set_rest(self, rest: bytes, end: tuple[BaseException | None] | None) -> None:
        """Go on where another reader was: with a piece of a record, or at the end."""
        self._rest = rest
        if end is not None:
            self.is_over, self.error = True, end[0]

    def wait(self, timeout: float) -> None:
        """Block until something may have come, up to `timeout` seconds."""
        if not self._spin.comes(self._poll):
            self._poll(timeout * 1000)

    def close(self) -> None:
        """Tell the writer that nothing more is read, and remove the channel."""
        if not self.ends.is_open:
            return
        with contextlib.suppress(OSError):
            os.write(self.ends.credit, CLOSE)
        has_more = not self.is_over
        if has_more:
            with contextlib.suppress(OSError):
                self._read()
        for chunk in self.chunks:
            for value in chunk.values:
                if chunk.make is not None and isinstance(value, tuple):
                    discard(self.ends.path, *value)
        self.chunks.clear()
        remove_channel(self.ends.path, self.ends.number)
        self.ends.close()
        if has_more:
            # A writer that is killed, or on its way here, has perhaps written one and not told.
            remove_large(self.ends.path, self.ends.number)

    def _read(self) -> None:
        """Read what is in the pipe; does not block."""
        try:
            data = os.read(self.ends.data, self._size)
        except BlockingIOError:
            return
        # A pipe that was never opened for writing reads as one at its end; for a poll it is not. Of
        # one who feeds, and died before that, the other pipe tells, which nobody reads then. And
        # behind the end somebody may open it again who tells why.
        self.is_ended = not data and any(event & _ENDED for _, event in self._poll(0))
        if not data:
            return
        if self._rest:
            data, self._rest = self._rest + data, b""
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        at, end, view = 0, len(data), memoryview(data)
        while at < end:
            if end - at < FRAME.size:
                break
            length, kind, flags, padding = FRAME.unpack_from(data, at)
            if at + length > end:
                break
            self._heed(kind, flags, view[at + FRAME.size : at + length - padding])
            at += length
        self._rest = data[at:]

    def _heed(self, kind: int, flags: int, body: memoryview) -> None:
        if kind in (Kind.FAILURE, Kind.VERDICT):
            self.is_over = True
            self.error = load_failure(kind, body)
        elif kind == Kind.STOP:
            self.is_over = True
        elif kind != Kind.NUDGE:  # which only wakes the reader
            values, make = open_items(self.ends.path, kind, flags, body)
            step = self._batch
            if len(values) <= step:
                self.chunks.append(Chunk(values, make))
                return
            for at in range(0, len(values), step):
                self.chunks.append(Chunk(values[at : at + step], make))
