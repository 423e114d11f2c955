"""The sending side of a mailbox: whole records, straight into the pipe.

Layer: wire. Runs in: parent and actor, in the sender's thread; a feeder thread when full.
Owns: a write descriptor, a map of the box's header, the backlog and its feeder (`close`).
Never: a lock between processes; a record written in two pieces; a wait for the reader.

A record goes to the kernel in the sender's own call. Only when the pipe is full does it wait in
this process's backlog, for which a feeder thread writes; as long as anything is there, later
records queue behind it, so that each sender's order holds. The backlog dies with its process:
what the kernel has taken does not.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
import threading
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic

from procactors.wire.copies import in_copies
from procactors.wire.mailbox.black_box import CAPACITY, CLOSED, GONE, BlackBox
from procactors.wire.mailbox.tokens import Tokens, bytes_in
from procactors.wire.record import Kind, frame

__all__ = ["MailboxClosed", "MailboxWriter"]

#: Seconds between the feeder's looks at the closed mark while the pipe stays full.
_SLICE_S = 0.2
#: Seconds for which an idle feeder waits for more before its thread ends.
_LINGER_S = 0.1
#: Seconds for which many messages wait for room, once: a reader that is not held up needs less.
_ROOM_S = 0.02

#: Records in the backlog after which the sender writes along with the feeder.
_HELP_EVERY = 32

_NUDGE = frame(Kind.NUDGE, 0, b"")


class MailboxClosed(Exception):
    """The mailbox is closed for good: nothing more will be read from it."""


_writers: weakref.WeakSet[MailboxWriter] = weakref.WeakSet()


class MailboxWriter:
    """One process's writing end of one mailbox; safe to use from many threads.

    Args:
        path: the mailbox's directory.
        on_lost: called by the feeder with each record that can no longer be delivered.

    Attributes:
        box: the mailbox's; closed with the writer.
    """

    def __init__(self, path: str, on_lost: Callable[[bytes], None]) -> None:
        try:
            self._fd = os.open(f"{path}/pipe", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENXIO):  # removed, or no read end is held
                raise MailboxClosed from None
            raise
        try:
            self.box = BlackBox(f"{path}/box")
            capacity = self.box.words[CAPACITY]
            try:
                self._tokens = Tokens(path, capacity) if capacity else None
            except BaseException:
                # It holds a descriptor, and a kept error keeps this writer by its traceback.
                self.box.close()
                raise
        except BaseException as error:
            os.close(self._fd)
            if isinstance(error, FileNotFoundError):
                raise MailboxClosed from None
            raise
        self.words = self.box.words
        self._on_lost = on_lost
        # Guards pipe order and backlog. Reentrant: a signal handler of the application may send
        # while its own thread is inside.
        self._lock = threading.RLock()
        self._backlog: deque[tuple[bytes, bool]] = deque()
        # What has left the backlog, and among it how many bytes each write had taken.
        self._written: deque[tuple[bytes, bool] | int] = deque()
        self._changed = threading.Condition(self._lock)
        self._feeder: threading.Thread | None = None
        # Threads that are inside `send` of a bounded mailbox: its descriptors are in use.
        self._inside = 0
        self._finishing = False
        #: Closed only to save descriptors: a thread that still holds it opens another (`retire`).
        self.retired = False
        #: Called when a record meets a full mailbox: once, and then for each slice of its wait.
        self.on_full: Callable[[], None] = _nothing
        _writers.add(self)
        in_copies(_forget_in_child)

    @property
    def capacity(self) -> int:
        """How many tokens the mailbox has; 0 is unbounded."""
        return self._tokens.capacity if self._tokens is not None else 0

    def send_at_once(self, record: bytes) -> bool:
        """Put a record, if it is the way of nearly every message; return whether it was put.

        False says that nothing was done: `send` is then to do it.
        """
        if self._tokens is not None:
            return False
        with self._lock:
            if self._backlog or self._fd < 0 or self.words[CLOSED]:
                return False
            try:
                os.write(self._fd, record)
            except (BlockingIOError, BrokenPipeError):
                return False
        return True

    def send(self, record: bytes, timeout: float | None = None) -> None:
        """Put a record that takes a token; wait for one up to `timeout` seconds (None: for ever).

        Raises:
            Full: no token of a bounded mailbox came free in time.
            MailboxClosed: it will not be read.
        """
        tokens = self._tokens
        if tokens is None:
            self.send_control(record)
            return
        with self._lock:
            self._check()
            self._inside += 1
        try:
            tokens.take(timeout, self._check_full, self._wake)
            queued = False
            try:
                with self._lock:
                    queued = self._write(record, claimed=True)
            finally:
                if not queued:  # else the feeder holds the claim until the record is written
                    tokens.give_up()
        finally:
            with self._lock:
                self._inside -= 1
                self._close_if_done()

    def send_together(self, records: list[bytes], patient: bool = True) -> bool:
        """Put records of an unbounded mailbox, PIPE_BUF bytes at most in sum, with one write.

        Args:
            records: what is put.
            patient: wait a moment for room in a full pipe, while its reader goes on.

        Returns whether they are in the pipe; else they wait in the backlog.

        Raises:
            MailboxClosed: it will not be read; none of them was put.
        """
        data = b"".join(records)
        if self.send_at_once(data):
            return True
        if patient:
            self._wait_for_room()
        with self._lock:
            self._check()
            if not self._backlog and self._is_written(data):
                return True
            self._backlog.extend([(record, False) for record in records])
            self._feed_on()
        return False

    def send_control(self, record: bytes) -> None:
        """Put a record that takes no token: a stop must reach a full mailbox too."""
        with self._lock:
            self._write(record, claimed=False)

    def free(self) -> int:
        """Return the free tokens of a bounded mailbox; 1 of an unbounded one."""
        return self._tokens.free() if self._tokens is not None else 1

    def waiting(self) -> int:
        """Return how many records wait in this process's backlog."""
        return len(self._backlog)

    def flush(self, timeout: float) -> int:
        """Wait until the backlog is written, up to `timeout` seconds; return what is left."""
        deadline = monotonic() + timeout
        with self._lock:
            while self._backlog and self._feeder is not None:
                left = deadline - monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
            return len(self._backlog)

    def close(self) -> list[bytes]:
        """Close the descriptors; return the records that were never written."""
        with self._lock:
            left = [record for record, _ in self._backlog]
            self._backlog.clear()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
                if self._tokens is not None:
                    self._tokens.close()
                # The map too: it holds a descriptor, and an exception's traceback may hold us.
                self.box.close()
            self._changed.notify_all()
            feeder = self._feeder
        if feeder is not None and feeder is not threading.current_thread():
            feeder.join()
        return left

    def finish(self) -> None:
        """Close the descriptors as soon as the backlog is written; does not wait."""
        with self._lock:
            self._finishing = True
            self._close_if_done()

    def abandon(self) -> list[bytes]:
        """Close the ends of a mailbox that is gone, unless a thread is inside; return the rest."""
        with self._lock:
            left = [record for record, _ in self._backlog]
            self._backlog.clear()
            self._finishing = True
            self._close_if_done()
            self._changed.notify_all()
            return left

    def retire(self) -> bool:
        """Close the descriptors if nothing is under way; return whether it was done."""
        with self._lock:
            if self._backlog or self._inside or self._feeder is not None:
                return False
            self.retired = True
            self.close()
            return True

    def _close_if_done(self) -> None:
        """Close once the ends are not needed any more. Holds the lock."""
        if self._finishing and not (self._inside or self._backlog or self._feeder):
            self.close()

    def _check(self) -> None:
        if self._fd < 0 or self.words[CLOSED]:  # in this order: closed here, the map is gone
            raise MailboxClosed

    def _check_full(self) -> None:
        """Called while the mailbox is full."""
        self._check()
        self.on_full()

    def _wake(self) -> None:
        """Have the idle reader look up: a sender killed with a token in hand has not woken it."""
        with self._lock, contextlib.suppress(OSError):
            if self._fd >= 0 and not bytes_in(self._fd):
                os.write(self._fd, _NUDGE)

    def _write(self, record: bytes, claimed: bool) -> bool:
        """Write, or queue behind what waits; return whether it was queued. Holds the lock."""
        self._check()
        if not self._backlog and self._is_written(record):
            return False
        self._queue(record, claimed)
        return True

    def _is_written(self, data: bytes) -> bool:
        """Write, unless the pipe is full; return whether it was done. Holds the lock."""
        try:
            os.write(self._fd, data)
        except BlockingIOError:
            if self.words[CLOSED]:  # full, because it is being closed for good
                raise MailboxClosed from None
            return False
        except BrokenPipeError:
            raise MailboxClosed from None
        # Whatever comes of the mailbox now: a record in the pipe is handled or answered.
        return True

    def _queue(self, record: bytes, claimed: bool) -> None:
        self._backlog.append((record, claimed))
        if not len(self._backlog) % _HELP_EVERY:
            # The feeder gets the interpreter only every few milliseconds while this thread goes
            # on sending: so the sender writes too, many records in a call.
            while self._backlog and not self._write_some():
                pass
            if not self._backlog:
                return
        self._feed_on()

    def _wait_for_room(self) -> None:
        """Wait a moment until the pipe takes something; without the lock, which others need."""
        if self._backlog:
            self.flush(_ROOM_S)
            return
        fd = self._fd
        if fd >= 0:  # closed meanwhile, or another file's: then this only waits in vain
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll(_ROOM_S * 1000)

    def _feed_on(self) -> None:
        """Have the feeder write what waits in the backlog. Holds the lock."""
        if self._feeder is None:
            self._feeder = threading.Thread(
                target=self._feed, name="procactors-feeder", daemon=True
            )
            self._feeder.start()
        else:
            self._changed.notify_all()

    def _feed(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        while True:
            with self._lock:
                if not self._backlog and self._fd >= 0:
                    self._changed.wait(_LINGER_S)
                if not self._backlog or self._fd < 0:
                    self._feeder = None
                    self._close_if_done()
                    self._changed.notify_all()
                    return
                full = self._write_some()
            if full:
                poll.poll(_SLICE_S * 1000)

    def _write_some(self) -> bool:
        """Write records from the front of the backlog in one call; return whether it is full."""
        chunk, count = [], 0
        for record, _ in self._backlog:
            count += len(record)
            if count > select.PIPE_BUF:  # beyond this the kernel may cut a write in two
                break
            chunk.append(record)
        writing = map(os.write, (self._fd,), (b"".join(chunk),))
        taking = itertools.starmap(self._backlog.popleft, itertools.repeat((), len(chunk)))
        try:
            if self.words[CLOSED] == GONE:
                raise BrokenPipeError
            # Written and taken in one call of C: a signal handler of the sender's own thread, that
            # raises between the two, would have the records written twice.
            self._written.extend(itertools.chain(writing, taking))
        except BlockingIOError:
            return True
        except BrokenPipeError:
            lost = [self._backlog.popleft() for _ in range(len(self._backlog))]
            self._written.extend(lost)
            self._give_up_claims()
            for record, _ in lost:
                self._on_lost(record)
            return False
        self._give_up_claims()
        if not self._backlog:
            self._changed.notify_all()
        return False

    def _give_up_claims(self) -> None:
        """Give up the claims of what is in the backlog no more, and had waited for a place."""
        tokens, written = self._tokens, self._written
        if tokens is None:
            written.clear()
        while written:
            entry = written.popleft()
            if tokens is not None and isinstance(entry, tuple) and entry[1]:
                tokens.give_up()

    def _after_fork(self) -> None:
        # The copy of the backlog is the parent's to write: else every record would arrive twice.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._backlog, self._written = deque(), deque()
        self._feeder = None
        if self._tokens is not None:
            self._tokens.after_fork()


def _nothing() -> None:
    """Do nothing: nobody wants to know."""


def _forget_in_child() -> None:
    for writer in list(_writers):
        writer._after_fork()
