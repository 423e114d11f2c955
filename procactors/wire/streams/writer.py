"""The writing end of a stream: takes items from an iterator as long as the reader has room.

Layer: wire. Runs in: the producer's process: one thread, and `flush_late` in the flusher's.
Owns: its ends of the channel (`close`).
Never: blocks but in `wait`; takes an item for which there is no credit.

Items gather for a record, so that a write and the reader's waking serve many. What that costs in
time is bounded: where an item takes long, or the gathered ones are some hundred microseconds old,
they go at once; and if the next one then does not come, the flusher sends them.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from time import perf_counter_ns
from typing import Any

from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.codec import Encoded, encode_small
from procactors.wire.record import Kind
from procactors.wire.streams.channel import GRANT, Ends, Gone, remove_large
from procactors.wire.streams.flusher import flusher
from procactors.wire.streams.items import (
    END,
    LONGEST,
    NUMBERS,
    SMALL,
    TEXTS,
    failure_record,
    is_plain_row,
    large_record,
    records_of,
)

__all__ = ["ItemWriter"]

#: Nanoseconds of an item's making behind which it is sent at once: a write costs a tenth of that.
_SLOW_NS = 50_000
#: Nanoseconds for which items gather.
_GATHER_NS = 250_000
#: Items that gather at most, whatever the credit.
_MOST = 1024
_ITEMS, _PICKLED = int(Kind.ITEMS), int(Kind.PICKLED)


class ItemWriter:
    """Writes items to a channel.

    Args:
        store: of this process.
        ends: open for writing.
        beat: called whenever the iterator has given something, and at the least once in each
            round of credit: it is alive.
    """

    def __init__(
        self, store: PayloadStore, ends: Ends, beat: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._ends = ends
        self._beat = beat
        #: Items that the reader has room for.
        self.room = 0
        # What has been taken and is not in a record yet: all plain, or all pickled.
        self._held: list[Any] = []
        self._kind = _ITEMS
        # Records that the full pipe has not taken.
        self._unsent: deque[bytes] = deque()
        self._larges = 0
        # Guards the two above: the flusher comes at any time.
        self._lock = threading.Lock()
        self._gathering_since = 0
        #: How often what is held has been sent.
        self.flushes = 0
        #: The reader is gone.
        self.is_cut = False
        #: Called with how many items were taken in a turn.
        self.on_taken: Callable[[int], None] = lambda _count: None

    # -- what is asked in turn: wait until ready, then pump ------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether the reader has room for an item, and the pipe has taken all so far."""
        if self.room and not self._unsent:
            return True
        self.look()
        return bool(self.room) and not self._unsent

    def look(self) -> None:
        """Take new credit, and send what the pipe had no room for; does not block.

        Raises:
            Gone: the reader is gone.
        """
        try:
            data = os.read(self._ends.credit, 4096)
        except BlockingIOError:
            pass
        else:
            grants = [grant for (grant,) in GRANT.iter_unpack(data)]
            if not data or 0 in grants:
                self._cut()
            self.room += sum(grants)
        with self._lock:
            self._send()
        if self.is_cut:
            self._cut()

    def wait(self, timeout: float | None = None) -> None:
        """Block until something may have changed, up to `timeout` seconds.

        Raises:
            Gone: the reader is gone.
        """
        poll = select.poll()
        for fd, events in self.awaited():
            poll.register(fd, events)
        poll.poll(None if timeout is None else timeout * 1000)
        self.look()

    def awaited(self) -> list[tuple[int, int]]:
        """Return (descriptor, poll events) of what is to be waited for."""
        found = [(self._ends.credit, select.POLLIN)]
        if self._ends.data >= 0:
            found.append((self._ends.data, select.POLLOUT if self._unsent else 0))
        return found

    def pump(self, items: Iterator[Any]) -> bool:
        """Take as many items as there is room for; return whether there are no more.

        Raises:
            Gone: the reader is gone. Whatever the iterator raises, and EncodeError or StorageFull
                for an item; what came before is sent.
        """
        room, taken = self.room, 0
        add, beat = self._held.append, self._beat
        late = flusher
        late.enter(self)
        try:
            beat()
            last = self._gathering_since = perf_counter_ns()
            for item in islice(items, room):
                taken += 1
                # As `_add` does: a call for each item would take as long as the rest.
                kind = type(item)
                if self._kind == _ITEMS and (
                    kind in NUMBERS
                    or (kind in TEXTS and len(item) <= LONGEST)
                    or (kind is tuple and is_plain_row(item))
                ):
                    add(item)
                else:
                    self._add_pickled(item)
                now = perf_counter_ns()
                if (
                    now - last > _SLOW_NS
                    or now - self._gathering_since > _GATHER_NS
                    or len(self._held) >= _MOST
                ):
                    self.flush()
                    beat()
                    now = perf_counter_ns()
                elif late.is_idle:
                    late.wake()
                last = now
        finally:
            self.room -= taken
            self.on_taken(taken)
            late.leave(self)
            self.flush()
        return taken < room

    async def pump_async(self, items: AsyncIterator[Any]) -> bool:
        """Do what `pump` does, with an asynchronous iterator."""
        room, taken = self.room, 0
        late = flusher
        late.enter(self)
        try:
            last = self._gathering_since = perf_counter_ns()
            while taken < room:
                self._beat()
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return True
                taken += 1
                self._add(item)
                now = perf_counter_ns()
                if now - last > _SLOW_NS or now - self._gathering_since > _GATHER_NS:
                    self.flush()
                elif late.is_idle:
                    late.wake()
                last = now
        finally:
            self.room -= taken
            self.on_taken(taken)
            late.leave(self)
            self.flush()
        return False

    # -- the end ------------------------------------------------------------------------------

    def end(self, error: BaseException | None = None) -> None:
        """Put the end behind the last item; `is_done` says when all is sent.

        Raises:
            Gone: the reader is gone.
        """
        record = END if error is None else failure_record(error, self._store)
        self.flush(record)

    @property
    def is_done(self) -> bool:
        """Whether all that was taken is in the pipe."""
        return not self._unsent

    def close(self) -> None:
        """Close this process's ends of the channel."""
        with self._lock:  # the flusher may be here
            self._ends.close()
            self._held.clear()
            self._unsent.clear()
        if self.is_cut and self._larges:
            remove_large(self._ends.path, self._ends.number)

    # -- inside -------------------------------------------------------------------------------

    def flush(self, *behind: bytes) -> None:
        """Send what is held, and records behind it; what the pipe does not take waits.

        Raises:
            Gone: the reader is gone.
        """
        with self._lock:
            self._write_held()
            self._unsent.extend(behind)
            self._send()
        self._gathering_since = perf_counter_ns()
        if self.is_cut:
            raise Gone

    def flush_late(self) -> None:
        """Send what is held, since the next item does not come. Runs in the flusher's thread."""
        if self._lock.acquire(blocking=False):
            try:
                if self._ends.is_open:
                    # An error is met again by the producer, who is told.
                    with contextlib.suppress(Exception):
                        self._write_held()
                        self._send()
            finally:
                self._lock.release()

    @property
    def is_holding(self) -> bool:
        """Whether something is held."""
        return bool(self._held)

    def _add(self, item: Any) -> None:
        kind = type(item)
        if self._kind == _ITEMS and (
            kind in NUMBERS
            or (kind in TEXTS and len(item) <= LONGEST)
            or (kind is tuple and is_plain_row(item))
        ):
            self._held.append(item)
        else:
            self._add_pickled(item)

    def _add_pickled(self, item: Any) -> None:
        head = encode_small(item)
        if head is None or len(head) > SMALL:
            encoded = self._store.encode(item, "item")
            head = encoded.head
            if encoded.buffers or len(head) > SMALL:
                self.flush(self._large(encoded))
                return
        if self._kind == _ITEMS:
            # From here on all are pickled: a stream is mostly of one kind, and each change would
            # cost a record.
            self.flush()
            with self._lock:
                self._kind = _PICKLED
        self._held.append(head)

    def _alone(self, value: Any) -> bytes:
        return self._large(self._store.encode(value, "item"))

    def _large(self, encoded: Encoded) -> bytes:
        """Return the record of an item that is by itself."""
        self._larges += 1
        return large_record(self._store, self._ends.number, self._larges, encoded)

    def _write_held(self) -> None:
        """Make records of what is held. Under the lock."""
        held = self._held
        # By number: the producer appends meanwhile.
        if count := len(held):
            values = held[:count]
            # What raises in here, for want of room, leaves them held.
            self._unsent.extend(list(records_of(self._kind, values, self._alone)))
            del held[:count]
            self.flushes += 1

    def _send(self) -> None:
        """Write what the pipe has room for. Under the lock."""
        unsent, data = self._unsent, self._ends.data
        try:
            while unsent:
                os.write(data, unsent[0])
                unsent.popleft()
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.is_cut = True

    def _cut(self) -> None:
        self.is_cut = True
        raise Gone
