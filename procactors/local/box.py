"""A mailbox in memory, and its black box: the same words as over processes, in a list.

Layer: local. Runs in: one process; read by the thread that serves the actor, written by any.
Owns: the records that wait.
Never: waits: who finds nothing says so (`WouldWait`), and the engine waits.

The words, and what the state word means, are those of `wire.mailbox.black_box`: so all that reads
or repairs a box (loop, timers, recovery) is the same. The batch is one record.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from procactors.local.here import Killed
from procactors.wire.mailbox.black_box import (
    BUSY_SINCE,
    CAPACITY,
    DELIVERIES,
    HANDLED,
    HANDLED_OWN,
    IN_HAND,
    STATE,
    TIMER,
    unpack_state,
)
from procactors.wire.mailbox.reader import WouldWait
from procactors.wire.record import KIND_AT, Kind, Record, frame, parse

if TYPE_CHECKING:
    from procactors.local.engine import Engine, Waiter
    from procactors.local.metering import LocalMeter

__all__ = ["LocalBox", "LocalMail", "LocalReader", "is_begun"]

_WORDS = 64
_NUDGE = frame(Kind.NUDGE, 0, b"")
_MOVED = bytes((Kind.MOVED,))


class LocalBox:
    """What `BlackBox` is in shared memory.

    Attributes:
        words: whole numbers, by the constants of `wire.mailbox.black_box`.
        current: the record of the batch; the state word says whether it is handled.
    """

    at = 0

    def __init__(self, capacity: int) -> None:
        self.words: Any = [0] * _WORDS
        self.words[CAPACITY] = capacity
        self.current = b""
        self._timer = b""

    def successor(self) -> LocalBox:
        """Return the same for the supervisor and the next life: this one is a dead life's own.

        Its thread may go on, and note whatever it likes.
        """
        box = LocalBox(0)
        box.words = self.words.copy()
        box.current, box._timer = self.current, self._timer
        return box

    @property
    def raw(self) -> Any:
        """The batch's bytes by their offsets, whatever record that is by then."""
        return self

    def __getitem__(self, at: int) -> int:
        return self.current[at]

    @property
    def batch(self) -> bytes:
        """The batch's bytes, as they are now."""
        return self.current

    @property
    def lengths(self) -> list[int]:
        """Length of the record at each offset: there is one, at 0."""
        return [len(self.current)]

    @property
    def timer(self) -> str:
        """Name of the timer that runs; empty if none does."""
        return self._timer.decode(errors="replace") if self.words[TIMER] else ""

    @property
    def has_timer_failed(self) -> bool:
        """Whether the timer that is named has ended the actor, by what it raised."""
        return bool(self.words[TIMER] & 1)

    def begin_timer(self, name: bytes, since: int, *, has_failed: bool = False) -> None:
        """Note that a timer runs, or has raised, and since when (nanoseconds)."""
        self._timer = name
        self.words[TIMER] = (since | 1) - (not has_failed)

    def end_timer(self) -> None:
        """Note that none runs."""
        self.words[TIMER] = 0

    def walk(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield (offset, length) of each record from `start` up to `end`."""
        if start == 0 and 0 < end == len(self.current):
            yield 0, len(self.current)

    def recover(self) -> tuple[int, int, bool]:
        """Return (fill, offset, in hand)."""
        return unpack_state(self.words[STATE])

    def close(self) -> None:
        """Nothing is mapped."""


class LocalMail:
    """The records that wait for one actor, or in an inbox.

    Attributes:
        records: whole ones, the next first.
        lock: held to change them, where a sender looks whether it may, and by a life that takes one
            or steps behind it: a kill comes before that, or behind.
    """

    def __init__(self, engine: Engine, box: LocalBox) -> None:
        self.records: deque[bytes] = deque()
        self.lock = threading.RLock()
        #: What its readers count with; None: nothing is counted.
        self.meter: LocalMeter | None = None
        self._engine = engine
        self._words = box.words
        self._taken = 0
        self._senders: deque[Waiter] = deque()

    def take_place(self) -> Waiter | None:
        """Take a place of a bounded mailbox; if there is none, return what is to be waited for."""
        with self.lock:
            capacity = self._words[CAPACITY]
            if not capacity:
                return None
            if self._taken < capacity:
                self._taken += 1
                return None
            waiter = self._engine.waiter()
            self._senders.append(waiter)
            return waiter

    def leave(self, waiter: Waiter) -> None:
        """Wait no more for a place."""
        with self.lock:
            if waiter in self._senders:
                self._senders.remove(waiter)
            elif waiter.is_set:
                self._wake_sender()  # it was for us: another may have it

    def free_place(self) -> None:
        """Give a place back."""
        with self.lock:
            if self._words[CAPACITY]:
                self._taken -= 1
                self._wake_sender()

    def _wake_sender(self) -> None:
        if self._senders:
            self._senders.popleft().set()

    def close_for_good(self) -> list[bytes]:
        """Return what is left; nothing comes any more, since the box says GONE."""
        with self.lock:
            left = list(self.records)
            self.records.clear()
            while self._senders:
                self._wake_sender()
        return left


class LocalReader:
    """The receiving side of a mailbox, for one life; see `wire.mailbox.reader.MailboxReader`.

    Attributes:
        path: names the mailbox.
        box: its black box.
        records: what waits, the next first.
        meter: counts what is handled; None: nothing is counted.
        is_dead: the life was killed: whatever it still does with its mailbox raises `Killed`.
    """

    is_polled = True
    is_alone = False
    #: Method of the message in hand; None: it is counted for none.
    key: bytes | None = None

    def __init__(
        self, path: str, box: LocalBox, mail: LocalMail, now_ns: Callable[[], int]
    ) -> None:
        self.path = path
        self.box = box
        self.mail = mail
        self.is_dead = False
        self._words = box.words
        self.records = mail.records
        self.meter = mail.meter
        self._is_bounded = bool(box.words[CAPACITY])
        self._now_ns = now_ns

    def advance(self, timeout: float | None = None) -> int:
        """Mark the next record as in hand and return 0; -1: there is none.

        Raises:
            WouldWait: there is none, and the caller grants time.
        """
        words = self._words
        with self.mail.lock:
            if self.is_dead:
                raise Killed
            word = words[STATE]
            if (word >> 16) & 0xFFFFFF >= word >> 40:
                try:
                    record = self.box.current = self.records.popleft()
                except IndexError:
                    if timeout is not None and timeout <= 0:
                        return -1
                    raise WouldWait(timeout) from None
                word = len(record) << 40
            words[BUSY_SINCE] = self._now_ns()
            words[STATE] = word | IN_HAND
        return 0

    def step(self, timeout: float | None = None) -> int:
        """Do `done(place=True)` and then `advance`."""
        self.done(place=True)
        return self.advance(timeout)

    def take(self, timeout: float | None = None) -> Record | None:
        """Return the next record, in hand; None if there is none."""
        return None if self.advance(timeout) < 0 else parse(self.box.current)

    def take_from(self, records: deque[bytes]) -> None:
        """Take records from there, and no more from the mailbox."""
        self.records = records

    def in_hand(self) -> bytes:
        """Return the whole record in hand."""
        return self.box.current

    def give_away(self) -> None:
        """Note that the message in hand is somebody else's now."""
        record = self.box.current
        self.box.current = record[:KIND_AT] + _MOVED + record[KIND_AT + 1 :]

    def done(self, *, place: bool, handled: int = 1) -> None:
        """Step behind the record in hand, which is handled; see `MailboxReader.done`."""
        words = self._words
        with self.mail.lock:
            if self.is_dead:
                raise Killed
            words[DELIVERIES] = 0
            fill = words[STATE] >> 40
            words[STATE] = fill << 40 | fill << 16
            words[HANDLED] += handled
            if not place:
                words[HANDLED_OWN] += handled
            elif self._is_bounded:
                self.mail.free_place()
        if handled and self.meter is not None and self.key is not None:
            self.meter.record(self.key, self._now_ns() - words[BUSY_SINCE])

    def turn(self, key: bytes | None) -> None:
        """Count the message in hand for the method of a key; None: for no method."""
        self.key = key

    def waited(self, at: int) -> None:
        """Count how long the message in hand has waited: it is stamped."""
        if self.meter is not None and self.key is not None and not self._words[DELIVERIES]:
            self.meter.waited(self.key, self.box.current, self._words[BUSY_SINCE])

    def give_back(self) -> None:
        """Each place was given back at once."""

    def wake(self) -> None:
        """Have the life look at its words."""
        self.records.append(_NUDGE)

    def close(self) -> None:
        """What was not handled stays for the next reader."""


def is_begun(word: int) -> bool:
    """Whether a state word says that there is a record in the batch that is not stepped behind."""
    return (word >> 16) & 0xFFFFFF < word >> 40
