"""The mailbox: a `multiprocessing.queues.Queue` that survives the death of its users.

Layer: wire. Runs in: any process.
Owns: the mailbox's directory (removed by its maker); reader and writer, made on first use.
Never: a lock between processes; a message that a killed process takes with it, but the one that
it was just unpickling.

    writer ──os.write, whole records──► named pipe ──readv──► black box ──► reader
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import logging
import os
import threading
import weakref
from multiprocessing import util
from multiprocessing.queues import Queue
from queue import Empty, Full
from time import monotonic
from typing import Any

from procactors.errors import InvalidSpec
from procactors.stored import stored
from procactors.wire.mailbox.black_box import (
    CLOSED,
    DELIVERIES,
    GONE,
    IN_HAND,
    STATE,
    BlackBox,
    pack_state,
    unpack_state,
)
from procactors.wire.mailbox.closing import peek
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.mailbox.writer import MailboxClosed, MailboxWriter
from procactors.wire.payload_store import PayloadStore, store_of
from procactors.wire.pickling.codec import decode
from procactors.wire.record import Kind, Record, parse, parse_all
from procactors.wire.runtime_dir import RuntimeDir, sweep

__all__ = ["Mailbox"]

_log = logging.getLogger("procactors")

#: Seconds for which a process that ends normally goes on writing what waits in its backlog.
_FLUSH_S = 10.0
#: How often a record whose reader died while unpickling it is tried before it is dropped.
_MOST_TRIES = 3


class Mailbox(Queue):  # type: ignore[type-arg]
    """A queue between processes for one reader at a time and any number of writers.

    It has the interface of `multiprocessing.Queue`, and moreover: a killed reader or writer harms
    no other, what was put is pickled in the caller's frame, and the mailbox itself may travel in a
    message, since it is known by its directory. Use it in one process, hand it to a `Process`
    of any start method, or send it inside a message.

    Args:
        maxsize: capacity in messages; 0 or less is unbounded.

    The process that makes it owns it: its files go when that process ends or drops it.
    """

    def __init__(self, maxsize: int = 0, *, ctx: Any = None) -> None:
        del ctx  # taken for the interface: nothing here depends on a start method
        if isinstance(maxsize, bool) or not isinstance(maxsize, int):
            raise InvalidSpec(f"maxsize is a whole number, not {maxsize!r}")
        sweep()
        runtime_dir = RuntimeDir()
        try:
            files = MailboxFiles(os.path.join(runtime_dir.path, "mailbox"), max(0, maxsize))
        except BaseException:
            runtime_dir.remove()
            raise
        self._remove = util.Finalize(self, _remove, (files, runtime_dir), exitpriority=-10)
        self._set(files.path, max(0, maxsize))

    def _set(self, path: str, maxsize: int) -> None:
        self._path = path
        self._maxsize = maxsize
        self._runtime_dir = os.path.dirname(path)
        self._reset()

    def _reset(self, after_fork: bool = False) -> None:
        del after_fork  # the base class's interface; both cases begin anew here
        self._pid = os.getpid()
        self._writer: MailboxWriter | None = None
        self._reader: MailboxReader | None = None
        self._claim = -1
        self._closed = False
        self._cancelled = False
        # Guards making reader and writer. Many threads of the one reading process may call get():
        # they take turns.
        self._make = threading.RLock()
        self._reading = threading.RLock()

    def __reduce__(self) -> tuple[Any, ...]:
        return (_open_mailbox, (self._path, self._maxsize))

    def __getstate__(self) -> Any:
        return (self._path, self._maxsize)

    def __setstate__(self, state: Any) -> None:
        self._set(*state)

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Pickle `obj` here and now and write it into the pipe.

        Blocks only while a bounded mailbox has no free place, up to `timeout` seconds.

        Raises:
            queue.Full: no free place (at once with ``block=False``).
            EncodeError: `obj` cannot be pickled; nothing was sent.
            ValueError: the mailbox is closed.
        """
        writer = self._writing()
        store = store_of(self._runtime_dir)
        record = store.record(Kind.ITEM, b"", store.encode(obj), 0)
        try:
            writer.send(record, timeout if block else 0.0)
        except MailboxClosed:
            _discard(store, record)
            raise ValueError(f"{self!r} is closed: its maker has ended or removed it") from None
        except Full:
            _discard(store, record)
            raise

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the next message, waiting for one up to `timeout` seconds.

        Raises:
            queue.Empty: none came in time (at once with ``block=False``).
            DecodeError: the message cannot be unpickled; it is gone, the next one is intact.
        """
        deadline = _deadline(block, timeout)
        with self._one_reader(deadline) as reader:
            while True:
                left = None if deadline is None else max(0.0, deadline - monotonic())
                taken = reader.take(left)
                if taken is None:
                    raise Empty
                if taken.kind == Kind.ITEM:
                    return self._open(reader, taken)
                reader.done(place=False)  # a nudge: a sender waits for tokens that are lost

    def _open(self, reader: MailboxReader, taken: Record) -> Any:
        """Decode the record in hand, and step behind it."""
        received = None
        try:
            head, buffers, received = store_of(self._runtime_dir).open(taken.flags, taken.body)
            return decode(head, buffers)
        finally:
            # Also after an error: the message is taken, whatever it was. First the box, then
            # the segment: killed in between, the next reader frees it once more.
            head = None
            taken.body.release()
            reader.done(place=True)
            if received is not None:
                received.consume()

    def qsize(self) -> int:
        """Return about how many messages wait here (those in other senders' backlogs not)."""
        if self._maxsize:
            return self._maxsize - self._writing().free()
        writer = self._writing()
        box = BlackBox(os.path.join(self._path, "box"))
        fill, offset, in_hand = unpack_state(box.words[STATE])
        batch = sum(1 for _ in box.walk(offset, fill)) - in_hand
        box.close()
        return max(0, batch) + _count_in_pipe(self._path) + writer.waiting()

    def empty(self) -> bool:
        """Return whether no message waits here."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Return whether a bounded mailbox has no free place."""
        return bool(self._maxsize) and self._writing().free() == 0

    def close(self) -> None:
        """Close this process's ends; the backlog is still written. Others are not concerned."""
        self._closed = True
        with self._reading:
            if self._reader is not None:
                self._close_reader()
        if self._writer is not None:
            self._writer.finish()

    def join_thread(self) -> None:
        """After `close`: wait until what this process put is in the pipe."""
        if not self._closed:
            raise ValueError(f"{self!r} is not closed yet: call close() first")
        if self._writer is not None and not self._cancelled:
            self._writer.flush(float("inf"))
            self._writer.close()

    def cancel_join_thread(self) -> None:
        """Let this process end without waiting for what is in its backlog."""
        self._cancelled = True
        if self._writer is not None:
            _written.discard(self._writer)

    def __repr__(self) -> str:
        return f"<Mailbox maxsize={self._maxsize} at {self._path}>"

    def _writing(self) -> MailboxWriter:
        if self._closed:
            raise ValueError(f"{self!r} is closed")
        if self._pid != os.getpid():
            self._reset(after_fork=True)
        writer = self._writer
        if writer is None:
            with self._make:
                if self._writer is None:
                    try:
                        self._writer = MailboxWriter(
                            self._path, functools.partial(_lost, repr(self))
                        )
                    except MailboxClosed:
                        raise ValueError(
                            f"{self!r} is gone: the process that made it has ended"
                        ) from None
                    _written.add(self._writer)
                    _flush_at_exit_of_this_process()
                    # Dropped, it is closed once its backlog is written, as a stock queue is.
                    weakref.finalize(self, self._writer.finish).atexit = False
                writer = self._writer
        return writer

    @contextlib.contextmanager
    def _one_reader(self, deadline: float | None) -> Any:
        """Be the one reader: of the threads here, and of the processes."""
        if self._closed:
            raise ValueError(f"{self!r} is closed")
        if self._pid != os.getpid():
            self._reset(after_fork=True)
        left = -1 if deadline is None else max(0.0, deadline - monotonic())
        if not self._reading.acquire(timeout=left):
            raise Empty
        try:
            is_new = self._reader is None
            if self._reader is None:
                claim = os.open(os.path.join(self._path, "box"), os.O_RDWR | os.O_CLOEXEC)
                self._claim = claim
                self._reader = MailboxReader(self._path, prompt=True, also=claim)
                self._close_reader = weakref.finalize(self, self._reader.close)
                self._close_reader.atexit = False
            try:
                fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RuntimeError(
                    f"another process is reading from {self!r}; a mailbox has one reader at a time"
                ) from None
            try:
                if is_new:  # with the lock, not before: the box may be a live reader's
                    free_handled(self._reader.box, store_of(self._runtime_dir))
                self._take_over(self._reader.box)
                yield self._reader
            finally:
                fcntl.flock(self._claim, fcntl.LOCK_UN)
        finally:
            self._reading.release()

    def _take_over(self, box: BlackBox) -> None:
        """Decide on a record that a dead reader was just unpickling: no code has seen it yet."""
        words = box.words
        if not words[STATE] & IN_HAND:
            return
        fill, offset, _ = box.recover()
        words[DELIVERIES] += 1
        if words[DELIVERIES] < _MOST_TRIES:
            words[STATE] = pack_state(fill, offset)
            return
        _log.error("%r: dropped a message that killed %d readers", self, _MOST_TRIES)
        words[DELIVERIES] = 0
        words[STATE] = pack_state(fill, offset + box.lengths[offset >> 2])


#: Writers of this process whose backlog a normal end must not lose; pid that flushes them then.
_written: weakref.WeakSet[MailboxWriter] = weakref.WeakSet()
_flushing_pid = 0


def _flush_at_exit_of_this_process() -> None:
    global _flushing_pid  # noqa: PLW0603 - multiprocessing forgets finalizers in a forked child
    if _flushing_pid != os.getpid():
        _flushing_pid = os.getpid()
        util.Finalize(None, _flush_written, exitpriority=-5)


def _flush_written() -> None:
    deadline = monotonic() + _FLUSH_S
    left = sum(writer.flush(max(0.0, deadline - monotonic())) for writer in list(_written))
    if left:
        _log.warning("%d messages were still waiting for a full mailbox at exit", left)


def _lost(mailbox: str, record: bytes) -> None:
    # No method: the writer would keep its mailbox alive.
    _log.warning("%s is gone: a message of %d bytes was not delivered", mailbox, len(record))


def free_handled(box: BlackBox, store: PayloadStore) -> None:
    """Free the segments of all records before the offset: a dead reader may not have come to it."""
    _, handled, _ = box.recover()
    for offset, _ in box.walk(0, handled):
        kind, flags, body = parse(box.batch, offset)
        if kind == Kind.ITEM:
            store.discard(flags, body)


@stored
def _open_mailbox(path: str, maxsize: int) -> Mailbox:
    mailbox: Mailbox = Mailbox.__new__(Mailbox)
    mailbox._set(path, maxsize)
    return mailbox


def _deadline(block: bool, timeout: float | None) -> float | None:
    if not block:
        return 0.0
    return None if timeout is None else monotonic() + timeout


def _remove(files: MailboxFiles, runtime_dir: RuntimeDir) -> None:
    # The mark first: a writer whose pipe is full looks at it.
    with contextlib.suppress(OSError, ValueError):
        box = BlackBox(os.path.join(files.path, "box"))
        box.words[CLOSED] = GONE
        box.close()
    files.close()
    store_of(runtime_dir.path).close()
    runtime_dir.remove()


def _discard(store: PayloadStore, record: bytes) -> None:
    """Free the segment of a record that was not sent."""
    _, flags, body = parse(record)
    store.discard(flags, body)


def _count_in_pipe(path: str) -> int:
    """Count the records in the pipe without taking any."""
    source = os.open(os.path.join(path, "pipe"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return sum(1 for _ in parse_all(peek(source)))
    finally:
        os.close(source)
