"""The receiving side of a mailbox: batches read straight into the black box.

Layer: wire. Runs in: actor (one reader at a time; no lock among readers).
Owns: two read ends, one write end of the pipe, the box's map (`close`).
Never: state that is not in the box: an exception from a signal handler, or SIGKILL, may come
between any two instructions.

    take ──► record at the offset, marked in hand ──► handle ──► done ──► offset behind it
     └─ batch empty: zero it; state = 0; read the pipe into it; state = (bytes read, 0)

Each write of a sender is whole, and the batch is at least as large as the pipe: so a read ends
on a record's boundary. State 0 with bytes in the batch means that the reader ended between the
read and the store of its length: the records' own lengths then tell (`BlackBox.recover`).
"""

from __future__ import annotations

import contextlib
import os
import select
import weakref
from time import monotonic, monotonic_ns

from procactors.wire.copies import in_copies
from procactors.wire.mailbox.black_box import (
    BUSY_SINCE,
    CAPACITY,
    DELIVERIES,
    HANDLED,
    HANDLED_OWN,
    IN_HAND,
    STATE,
    BlackBox,
)
from procactors.wire.mailbox.meter import Meter
from procactors.wire.mailbox.tokens import Tokens, bytes_in
from procactors.wire.record import KIND_AT, Kind, Record, frame, parse
from procactors.wire.spin import Spin

__all__ = ["MailboxReader", "WouldWait"]

#: Zeros for a batch as large as an ordinary pipe; made in the zygote, and shared by all actors.
_ZEROS = memoryview(bytes(1 << 16))

#: Seconds between an idle reader's tries to bring back the tokens of killed senders.
_HEAL_EVERY_S = 0.2


class WouldWait(Exception):
    """Nothing is there, and this reader does not wait: its event loop does.

    Attributes:
        seconds: for which it would have waited; None: for ever.
    """

    def __init__(self, seconds: float | None) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class MailboxReader:
    """The one reader of a mailbox.

    Args:
        path: the mailbox's directory.
        also: a descriptor to close with the reader's own.
        prompt: give back each token at once (a plain queue), not in batches (an actor).

    Attributes:
        path: the mailbox's directory.
        box: its black box.
        meter: counts what is handled, where that is wanted (`metered`); else None.
        key: of the method for which the message in hand is counted, if it is.
    """

    meter: Meter | None = None
    key: bytes | None = None

    def __init__(self, path: str, prompt: bool = False, also: int | None = None) -> None:
        self.path = path
        self._fds: list[int] = [] if also is None else [also]
        try:
            self._open_all(path)
        except BaseException:
            self.after_fork()
            raise
        poll = select.poll()
        poll.register(self._ready, select.POLLIN)
        self._wait = poll.poll
        self._words = self.box.words
        self._lengths = self.box.lengths
        self._into = (self.box.batch,)
        self._spin = Spin()
        capacity = self._words[CAPACITY]
        _readers.add(self)
        in_copies(_close_in_child)
        #: It never waits, but raises `WouldWait`: an event loop waits for it.
        self.is_polled = False
        #: Then it tries for a moment all the same: nothing else is under way there.
        self.is_alone = False
        self._owed = 0
        self._batched = 1 if prompt else max(1, capacity // 4)

    def _open_all(self, path: str) -> None:
        pipe = f"{path}/pipe"
        self._ready = self._open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        # With no writer at all a read would return end-of-file at once: hold one ourselves.
        self._own_end = self._open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        # Opened anew: blocking or not belongs to the open file description, and we need both.
        self._blocking = self._open(pipe, os.O_RDONLY)
        self.box = BlackBox(f"{path}/box")
        capacity = self.box.words[CAPACITY]
        try:
            self._tokens = Tokens(path, capacity) if capacity else None
        except BaseException:
            # Its map holds a descriptor, and a kept error keeps this reader by its traceback.
            self.box.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor that is readable when a record is in the pipe."""
        return self._ready

    def wake(self) -> None:
        """Make a thread that waits in `take` return with a nudge."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # full: it does not wait
            os.write(self._own_end, frame(Kind.NUDGE, 0, b""))

    def _open(self, pipe: str, flags: int) -> int:
        fd = os.open(pipe, flags | os.O_CLOEXEC)
        self._fds.append(fd)
        return fd

    def advance(self, timeout: float | None = None) -> int:
        """Mark the next record as in hand; return its offset in the batch (`box.raw`).

        Waits up to `timeout` seconds for one (None: for ever), then returns -1. A record that is
        in hand and not `done` is returned again.
        """
        words = self._words
        word = words[STATE]
        offset = (word >> 16) & 0xFFFFFF
        fill = word >> 40
        if offset >= fill:
            if not self._refill(fill, timeout):
                return -1
            word = words[STATE]
            offset = (word >> 16) & 0xFFFFFF
        words[BUSY_SINCE] = monotonic_ns()
        words[STATE] = word | IN_HAND
        return offset

    def step(self, timeout: float | None = None) -> int:
        """Do `done(place=True)` and then `advance`, in one call."""
        words = self._words
        if words[DELIVERIES] or self._tokens is not None:
            self.done(place=True)
            return self.advance(timeout)
        word = words[STATE]
        offset = (word >> 16) & 0xFFFFFF
        behind, fill = offset + self._lengths[offset >> 2], word >> 40
        if behind < fill:
            words[BUSY_SINCE] = monotonic_ns()
            # One store for both: the one is handled, and the next is in hand.
            words[STATE] = fill << 40 | behind << 16 | IN_HAND
            words[HANDLED] += 1
            return behind
        words[STATE] = fill << 40 | behind << 16
        words[HANDLED] += 1
        if not self._refill(fill, timeout):
            return -1
        words[BUSY_SINCE] = monotonic_ns()
        words[STATE] |= IN_HAND
        return 0

    def take(self, timeout: float | None = None) -> Record | None:
        """Return the next record, in hand as with `advance`; None if none came in time.

        Its body is a view of the batch, and good until `done`.
        """
        at = self.advance(timeout)
        return None if at < 0 else parse(self.box.batch, at)

    def in_hand(self) -> bytes:
        """Return a copy of the whole record in hand."""
        offset = (self._words[STATE] >> 16) & 0xFFFFFF
        return bytes(self.box.batch[offset : offset + self.box.lengths[offset >> 2]])

    def give_away(self) -> None:
        """Note that the message in hand is somebody else's now: the supervisor leaves it alone."""
        offset = (self._words[STATE] >> 16) & 0xFFFFFF
        self.box.batch[offset + KIND_AT] = Kind.MOVED

    def done(self, *, place: bool, handled: int = 1) -> None:
        """Step behind the record in hand, which is handled; give back its token if it took one.

        Args:
            place: whether it took a token of a bounded mailbox; if not, it is the runtime's own.
            handled: 0 if it is no more handled than before, but held elsewhere (see `hands`).
        """
        words = self._words
        word = words[STATE]
        offset = (word >> 16) & 0xFFFFFF
        behind = offset + self._lengths[offset >> 2]
        # First: the number is of the record at the offset. Killed between the two stores, a record
        # counts one delivery less; the other way round, the next one would count as delivered.
        if words[DELIVERIES]:
            words[DELIVERIES] = 0
        # One store: before it the record is in hand, after it it is handled.
        words[STATE] = (word >> 40) << 40 | behind << 16
        words[HANDLED] += handled
        if not place:
            words[HANDLED_OWN] += handled
        elif self._tokens is not None:
            self._owed += 1
            if self._owed >= self._batched or behind >= word >> 40:
                self._tokens.give(self._owed)
                self._owed = 0

    def turn(self, key: bytes | None) -> None:
        """Count the message in hand for the method of a key; None: for no method."""

    def waited(self, at: int) -> None:
        """Count how long the message at an offset of the batch has waited: it is stamped."""

    def after_fork(self) -> None:
        """Close the ends in a forked copy: it must neither read nor keep a claim alive."""
        fds, self._fds = self._fds, []
        for fd in fds:
            with contextlib.suppress(OSError):
                os.close(fd)

    def close(self) -> None:
        """Close this process's ends; what was not handled stays for the next reader."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        if self._tokens is not None:
            self._tokens.close()
        self._into = ()  # type: ignore[assignment]
        self.box.close()

    def _refill(self, fill: int, timeout: float | None) -> bool:
        """Read the next batch behind the last one, of `fill` bytes; return whether there is one."""
        words = self._words
        if not fill:
            # An earlier read may have ended between the bytes and the store of their number.
            fill, offset, _ = self.box.recover()
            if offset < fill:
                return True
        if fill:
            # Old bytes first, state second: a walk over the lengths must end at the new ones.
            self.box.batch[:fill] = _ZEROS[:fill] if fill <= len(_ZEROS) else bytes(fill)
            words[STATE] = 0
        if self.is_polled:
            return self._poll(timeout)
        if timeout is None or timeout > 0:
            self._spin.comes(self._wait)
        if timeout is None and (self._tokens is None or self._healed()):
            count = os.readv(self._blocking, self._into)
        else:
            count = self._read_timed(timeout)
        if count:
            words[STATE] = count << 40  # as `pack_state` does; the first record is the next
        return count > 0

    def _poll(self, timeout: float | None) -> bool:
        """Read the next batch if something is there; else raise, unless `timeout` is 0."""
        count = self._read_timed(0.0)
        if not count and self.is_alone and self._spin.comes(self._wait):
            count = self._read_timed(0.0)
        if count:
            self._words[STATE] = count << 40
        elif timeout is None or timeout > 0:
            if self._tokens is not None and not self._healed():
                timeout = _HEAL_EVERY_S if timeout is None else min(timeout, _HEAL_EVERY_S)
            raise WouldWait(timeout)
        return count > 0

    def _read_timed(self, timeout: float | None) -> int:
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            try:
                return os.readv(self._ready, self._into)
            except BlockingIOError:
                pass
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                return 0
            if self._tokens is not None and not self._healed():
                left = _HEAL_EVERY_S if left is None else min(left, _HEAL_EVERY_S)
            self._wait(None if left is None else left * 1000)

    def give_back(self) -> None:
        """Give back the tokens that are owed: this reader goes, and a next one is to come."""
        if self._owed and self._tokens is not None:
            self._tokens.give(self._owed)
            self._owed = 0

    def _healed(self) -> bool:
        assert self._tokens is not None
        self.give_back()
        return self._tokens.heal(lambda: bytes_in(self._ready) == 0)


_readers: weakref.WeakSet[MailboxReader] = weakref.WeakSet()


def _close_in_child() -> None:
    for reader in list(_readers):
        reader.after_fork()
