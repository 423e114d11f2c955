"""The hands table: messages that are begun, or put aside, and no longer in the batch.

Layer: wire. Runs in: parent and actor.
Owns: a map of the table (`close`); the file belongs to the mailbox's directory.
Never: a message in two places, or in none, at whatever instruction the reader ends.

The black box has one message in hand. An actor that begins a second one before the first is
answered, or puts one aside, holds each in a slot: a copy of the whole record, and beside it a word
that says what the message is. `hold` moves one out of the batch:

    copy the record into a free slot
    slot: COPIED                        in hand in the box: it is the batch's, the slot is nothing
    box: MOVED, if it has a segment     from here on it is the slot's
    box: the offset behind it           from this one store on it is the slot's
    slot: RUNNING

Between the second store and the last one no message is in hand in the box. So a slot that is COPIED
is the batch's while one is in hand there, and its own when none is (`settle`).

The file grows by chunks of some slots, with their space reserved before they are mapped: a sparse
map dies of SIGBUS on a full disk. The box says how many chunks there are, behind that.

    chunk    0      eight words a slot; in the first chunk, behind them, the next turn
             4096   the records, 4096 bytes each
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
from collections.abc import Collection
from time import monotonic_ns

from procactors.errors import StorageFull
from procactors.wire.mailbox.black_box import (
    DELIVERIES,
    HANDLED,
    HANDLED_OWN,
    HANDS,
    IN_HAND,
    STATE,
)
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.record import FRAME, IN_SEGMENT, KIND_AT, Kind, Record, parse

__all__ = [
    "COPIED",
    "DONE",
    "FAILED",
    "FREE",
    "HELD",
    "LATER",
    "OWED",
    "RUNNING",
    "STASHED",
    "WAITING",
    "Hands",
    "Slot",
]

#: What the message in a slot is. RUNNING: its handler is at work. LATER: that has ended, and the
#: answer is to come. STASHED: put aside, to be begun anew in this life or the next. WAITING: to be
#: begun by the next life, before what is in the mailbox. FAILED: its handler ends this life by what
#: it raised. DONE: it is handled, and its payload about to be freed.
#: OWED: an answer to another actor's message, which this one has taken over; never begun.
FREE, COPIED, RUNNING, LATER, STASHED, WAITING, FAILED, DONE, OWED = range(9)

#: In these the slot has a message that is to be answered for.
HELD = (RUNNING, LATER, STASHED, WAITING, FAILED, OWED)

#: Words of a slot: what it is, since when (monotonic nanoseconds), how often its message was begun
#: before, its place in the order in which the actor has taken them, 1 if it is no message but the
#: runtime's own, and 1 if it counts as handled already.
_STATE, _SINCE, _DELIVERIES, _TURN, _OWN, _COUNTED = range(6)
_SLOT_WORDS = 8
#: Slots of a chunk: enough for most actors, in 68 KiB.
_SLOTS = 16
_RECORD_BYTES = select.PIPE_BUF
_RECORDS_AT = 4096
_SIZE = _RECORDS_AT + _SLOTS * _RECORD_BYTES
#: Whole pages, since it is mapped.
_CHUNK_BYTES = -(-_SIZE // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
#: Word of the first chunk.
_NEXT_TURN = _SLOTS * _SLOT_WORDS


class _Map:
    """The whole file, as it was when it was mapped; a longer one is mapped beside it."""

    __slots__ = ("bytes", "chunks", "data", "words")

    def __init__(self, fd: int, chunks: int, access: int = mmap.ACCESS_DEFAULT) -> None:
        self.chunks = chunks
        self.data = mmap.mmap(fd, chunks * _CHUNK_BYTES, access=access)
        self.bytes = memoryview(self.data)
        self.words = self.bytes.cast("Q")

    def close(self) -> None:
        self.words.release()
        self.bytes.release()
        with contextlib.suppress(BufferError):  # a record's view is still held: its holder unmaps
            self.data.close()


def _word_of(number: int) -> int:
    """Return the index of a slot's first word."""
    chunk, within = divmod(number, _SLOTS)
    return chunk * (_CHUNK_BYTES // 8) + within * _SLOT_WORDS


def _record_of(number: int) -> int:
    """Return the offset of a slot's record."""
    chunk, within = divmod(number, _SLOTS)
    return chunk * _CHUNK_BYTES + _RECORDS_AT + within * _RECORD_BYTES


class Slot:
    """One message out of the batch. For one thread; it is over with `release`.

    Attributes:
        number: the slot's in the table, from 0.
        turn: its place in the order in which the actor took them; no other message has it.
    """

    __slots__ = ("_at", "_bytes", "_hands", "_word", "_words", "number", "turn")

    def __init__(self, hands: Hands, view: _Map, number: int) -> None:
        self._hands: Hands | None = hands
        self._words = view.words
        self._bytes = view.bytes
        self._word = _word_of(number)
        self._at = _record_of(number)
        self.number = number
        self.turn: int = self._words[self._word + _TURN]

    @property
    def state(self) -> int:
        """What the message is: one of this module's constants."""
        return self._words[self._word + _STATE]

    @state.setter
    def state(self, state: int) -> None:
        self._words[self._word + _STATE] = state

    @property
    def since(self) -> int:
        """Monotonic nanoseconds since which it is in hand: held, or begun again (`begin`)."""
        return self._words[self._word + _SINCE]

    def busy_since(self, since: int) -> None:
        """Note since when its handler is at one piece of work: a stream's, at an item."""
        self._words[self._word + _SINCE] = since

    @property
    def deliveries(self) -> int:
        """How often its message had been begun before this time."""
        return self._words[self._word + _DELIVERIES]

    @deliveries.setter
    def deliveries(self, count: int) -> None:
        self._words[self._word + _DELIVERIES] = count

    @property
    def is_same(self) -> bool:
        """Whether the slot still has the message that it had when this was made."""
        words, at = self._words, self._word
        return words[at + _STATE] != FREE and words[at + _TURN] == self.turn

    @property
    def raw(self) -> bytes:
        """A copy of the whole record."""
        length = FRAME.unpack_from(self._bytes, self._at)[0]
        return bytes(self._bytes[self._at : self._at + length])

    @property
    def record(self) -> Record:
        """The record; its body is a view that is good until the slot is released."""
        return parse(self._bytes, self._at)

    def begin(self) -> None:
        """Note that a handler for it begins now: RUNNING."""
        self._words[self._word + _SINCE] = monotonic_ns()
        self._words[self._word + _STATE] = RUNNING

    def give_away(self) -> None:
        """Note that the message is somebody else's now, though its handler is still at work."""
        self._bytes[self._at + KIND_AT] = Kind.MOVED

    @property
    def is_counted(self) -> bool:
        """Whether its message counts as handled already."""
        return bool(self._words[self._word + _COUNTED])

    def count(self) -> None:
        """Count its message as handled now, and not when the slot is given free: by any thread."""
        if self._hands is not None and not self._words[self._word + _COUNTED]:
            self._words[self._word + _COUNTED] = 1
            self._hands.count_handled(self._words[self._word + _OWN])

    def release(self) -> None:
        """Give the slot free: its message is handled, or answered for. Once more is no error."""
        hands, self._hands = self._hands, None
        if hands is not None:
            own, counted = self._words[self._word + _OWN], self._words[self._word + _COUNTED]
            self._words[self._word + _STATE] = FREE
            hands._released(self.number, own, counted)


class Hands:
    """The table of one mailbox: its reader's, or the supervisor's to read, and to change behind it.

    Args:
        path: the mailbox's directory.
        words: of its black box.
        is_reader: this is the mailbox's reader, which alone holds messages.
        is_guest: this process is none of the system's: its map cannot be written.
    """

    def __init__(
        self, path: str, words: memoryview, *, is_reader: bool = False, is_guest: bool = False
    ) -> None:
        self._path = path
        self._words = words
        self._is_reader = is_reader
        self._is_guest = is_guest
        self._map: _Map | None = None
        self._remap()
        #: Numbers of the free slots; the reader's alone.
        self._free: list[int] = []
        if is_reader and words[HANDS]:
            self._free = self._numbers((FREE,))[::-1]

    # -- the reader's ---------------------------------------------------------------------------

    def hold(self, reader: MailboxReader, *, place: bool = True) -> Slot:
        """Take the message in hand out of the batch; it is RUNNING.

        Args:
            reader: of the mailbox, with a message in hand: it is stepped behind that.
            place: whether that takes a place of a bounded mailbox, which is free from now on; if
                not, it is the runtime's own.

        Raises:
            StorageFull: the table has no slot left and cannot grow; the message is still in hand
                in the batch.
        """
        record = reader.in_hand()
        slot = self._copied(record, reader.box.words[DELIVERIES], own=not place)
        _, kind, flags, _ = FRAME.unpack_from(record)
        if kind == Kind.CALL and flags & IN_SEGMENT:
            reader.give_away()  # the record left there is not to name the slot's payload
        reader.done(place=place, handled=0)
        slot.state = RUNNING
        return slot

    def lift(self, reader: MailboxReader, state: int) -> Slot:
        """Copy the message in hand to a slot, which has it from now on: LATER or STASHED.

        In the batch it stays in hand as MOVED, for as long as its handler is at work. Then it
        counts as handled; but STASHED not before its slot is given free.

        Raises:
            StorageFull: as `hold`.
        """
        record, deliveries = reader.in_hand(), reader.box.words[DELIVERIES]
        slot = self._copied(record, deliveries, counted=state == LATER)
        reader.give_away()
        slot.state = state
        if state != LATER:
            self._words[HANDLED_OWN] += 1  # against what the batch counts
        return slot

    def put(self, record: bytes, state: int) -> Slot:
        """Put a record into a slot that was in no batch of this mailbox.

        Raises:
            StorageFull: as `hold`.
        """
        return self._copied(record, 0, counted=True, state=state)

    def unstash(self) -> int:
        """Have what is STASHED begun again: it is WAITING. Return how many those are."""
        stashed = self._slots((STASHED,))
        for slot in stashed:
            slot.state = WAITING
        return len(stashed)

    def count(self, state: int) -> int:
        """Return how many slots are in that state."""
        return len(self._numbers((state,)))

    def slot_of(self, number: int, turn: int) -> Slot | None:
        """Return the slot that still has the message of that turn; None: none has."""
        view = self._map
        if view is None or number >= view.chunks * _SLOTS:
            return None
        slot = Slot(self, view, number)
        return slot if slot.turn == turn and slot.state != FREE else None

    def _copied(
        self,
        record: bytes,
        deliveries: int,
        *,
        own: bool = False,
        counted: bool = False,
        state: int = COPIED,
    ) -> Slot:
        """Return a slot with a copy of a record."""
        number = self._free.pop() if self._free else self._grow()
        view = self._map
        assert view is not None
        words, at, to = view.words, _word_of(number), _record_of(number)
        view.bytes[to : to + len(record)] = record
        words[at + _TURN] = turn = words[_NEXT_TURN]
        words[_NEXT_TURN] = turn + 1
        words[at + _SINCE] = monotonic_ns()
        words[at + _DELIVERIES] = deliveries
        words[at + _OWN], words[at + _COUNTED] = own, counted
        words[at + _STATE] = state
        return Slot(self, view, number)

    def _grow(self) -> int:
        """Make the table longer, and return the number of a free slot."""
        count = self._words[HANDS]
        more = max(1, count)
        try:
            fd = os.open(f"{self._path}/hands", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, count * _CHUNK_BYTES, more * _CHUNK_BYTES)
                view = _Map(fd, count + more)
            finally:
                os.close(fd)
        except OSError as error:
            raise StorageFull(
                f"no room for one more message in hand beside {count * _SLOTS}: {error}; free "
                f"space in {self._path}, or have fewer in hand at once"
            ) from error
        self._map = view
        # Behind the reservation: the supervisor maps what is counted here.
        self._words[HANDS] = count + more
        self._free += range((count + more) * _SLOTS - 1, count * _SLOTS - 1, -1)
        return self._free.pop()

    def _released(self, number: int, own: int, counted: int) -> None:
        if not self._is_reader:
            return
        if not counted:
            self.count_handled(own)
        self._free.append(number)

    def count_handled(self, own: int) -> None:
        """Count a message; `own`: 1 if it is the runtime's own."""
        self._words[HANDLED] += 1
        self._words[HANDLED_OWN] += own

    # -- both sides' ----------------------------------------------------------------------------

    def in_use(self) -> list[Slot]:
        """Return the slots that are not free, in the order in which the actor took their messages.

        While the reader lives, a glance: a slot may be COPIED, and given free meanwhile.
        """
        return self._slots((COPIED, *HELD, DONE))

    def running(self) -> list[Slot]:
        """Return the slots whose handlers are at work, in the order in which they were taken."""
        return self._slots((RUNNING,))

    def waiting(self) -> list[Slot]:
        """Return the messages that are to be begun before what is in the mailbox, in order."""
        return self._slots((WAITING,))

    def put_aside(self) -> list[Slot]:
        """Return the messages that wait here: to be begun, or until they are unstashed."""
        return self._slots((WAITING, STASHED))

    def settle(self, *, is_moved: bool = False) -> None:
        """Decide on what a dead reader was just moving: the batch's, or the slot's.

        Args:
            is_moved: the message in hand in the batch is somebody else's.
        """
        is_the_batches = bool(self._words[STATE] & IN_HAND) and not is_moved
        for slot in self._slots((COPIED,)):
            slot.state = FREE if is_the_batches else RUNNING

    def _slots(self, states: Collection[int]) -> list[Slot]:
        numbers, view = self._numbers(states), self._map
        if view is None:
            return []
        return sorted([Slot(self, view, number) for number in numbers], key=_turn)

    def _numbers(self, states: Collection[int]) -> list[int]:
        self._remap()
        view = self._map
        numbers = range(view.chunks * _SLOTS if view is not None else 0)
        return [n for n in numbers if view and view.words[_word_of(n) + _STATE] in states]

    def _remap(self) -> None:
        """Map what has grown since the last look."""
        count = self._words[HANDS]
        if count > (self._map.chunks if self._map is not None else 0):
            access = mmap.ACCESS_READ if self._is_guest else mmap.ACCESS_DEFAULT
            mode = os.O_RDONLY if self._is_guest else os.O_RDWR
            fd = os.open(f"{self._path}/hands", mode | os.O_CLOEXEC)
            try:
                self._map = _Map(fd, count, access)
            finally:
                os.close(fd)

    def close(self) -> None:
        """Unmap; slots and views of records must be gone."""
        view, self._map = self._map, None
        if view is not None:
            view.close()
        self._free.clear()


def _turn(slot: Slot) -> int:
    return slot.turn
