"""The black box: a small shared map in which a mailbox's reader leaves its state.

Layer: wire. Runs in: parent and actor.
Owns: the map (closed with `close`); the file belongs to the mailbox's directory.
Never: two words for one fact: killed between them, the wrong message would be blamed.

One aligned 8-byte word, `STATE`, says how far the reader is: bytes in the batch, offset of the
next record, and whether that record is in hand. It changes by a single store, so that a reader
killed at any instruction leaves a state that was true (measured facts: docs/design.md).

    0        the words named below
    4096     the name of the timer that runs
    8192     the batch: what the last read took out of the pipe, then 64 zero bytes
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
from collections.abc import Iterator

__all__ = [
    "BUSY_SINCE",
    "CANCELS",
    "CAPACITY",
    "CLOSED",
    "CLOSING",
    "CONTROL",
    "DEBUGGED",
    "DELIVERIES",
    "ENDING",
    "EXPIRED",
    "FAILED",
    "GONE",
    "HALT",
    "HALTED",
    "HANDLED",
    "HANDLED_OWN",
    "HANDS",
    "INCARNATION",
    "IN_HAND",
    "LEAVE",
    "LEFT",
    "LISTENED",
    "LISTENED_OVERFLOW",
    "LISTENED_PROGRESS",
    "LOGS",
    "LOGS_LOW",
    "METRICS",
    "PARENT_GONE",
    "PHASE",
    "PID",
    "PROCESS",
    "RECYCLED",
    "RECYCLING",
    "RUNNING",
    "SERIAL",
    "STARTING",
    "STATE",
    "STOPPED",
    "STOPPING",
    "STOP_ORDERED",
    "SYSTEM_ENDS",
    "TERMINATE",
    "TIMER",
    "UNTOLD",
    "WAITING_ON",
    "BlackBox",
    "pack_state",
    "unpack_state",
]

_MAGIC, STATE, CLOSED, CONTROL, INCARNATION, PHASE = range(6)
HANDLED, BUSY_SINCE, WAITING_ON, DELIVERIES, CAPACITY, PROCESS, PID, _BATCH_BYTES = range(6, 14)
#: Set by the supervisor once a stop is ordered: the actor makes way for no next life any more.
STOP_ORDERED = 14
#: Set by the supervisor in its own box: what is listened to, as a sum of the two values below.
LISTENED = 15
#: Set by the supervisor in its own box: the whole system is being stopped.
SYSTEM_ENDS = 16
#: Of the records that were handled, those of the runtime's own: no messages.
HANDLED_OWN = 20
#: Set by callers: where the last mark in the cancel log ended (see `cancels`).
CANCELS = 21
#: Messages that were not begun because their callers' time was over.
EXPIRED = 22
#: Which row of the table `metrics` counts what is handled now, from 1 (see `meter`). In the
#: supervisor's own box: how many dead letters there have been.
METRICS = 28
#: Of an actor: records that it has logged for the parent in this life, handed over or not. In the
#: supervisor's own box: number of the latest change of logging levels.
LOGS = 29
#: Where the lowest byte of that word stands in the map.
LOGS_LOW = LOGS * 8 + (7 if sys.byteorder == "big" else 0)
#: Deaths whose message in hand was lost, and whose caller has not been told so yet.
UNTOLD = 26
#: While somebody debugs the actor: the process of the terminal; 1: none yet, or the program's.
DEBUGGED = 27
#: Of an actor with a checkpoint: the number of the record in hand, or else of the last one. It goes
#: up before the next one is in hand, but not for one that is delivered again.
SERIAL = 23
#: While a timer runs: since when, as BUSY_SINCE, in even nanoseconds; odd ones: it has ended the
#: actor. Its name stands on a page of its own.
TIMER = 24
#: Chunks of the mailbox's hands table (see `hands`); 0: it has none.
HANDS = 25

_MAGIC_VALUE = 0x31_58_4F_42_43_41_50  # "PACBOX1"
#: A byte with the length of the name, then that.
_TIMER_AT, _TIMER_BYTES = 4096, 255
_BATCH_AT = 8192
_WORDS = 4096 // 8
#: Zero bytes after the batch: a walk over the lengths of a full batch ends there, and a message's
#: header can be read in one piece wherever a record begins.
_TAIL = 64

#: Values of the word LISTENED: the progress of actors, and messages that meet a full mailbox.
LISTENED_PROGRESS, LISTENED_OVERFLOW = 1, 2

#: Values of the closed mark. CLOSING: no new message is taken, what is there is still handled.
#: GONE: the actor is over; set before its pipe is closed for good.
CLOSING, GONE = 1, 2

#: Values of the control word. TERMINATE: the SIGTERM that follows is the supervisor's.
#: PARENT_GONE: the stop in the mailbox is because the parent actor ends.
#: HALT: stop behind the message in hand; the mailbox is kept for the next incarnation.
#: LEAVE: stop behind the message in hand, for good; the mailbox is given up.
TERMINATE, PARENT_GONE, HALT, LEAVE = 1, 2, 3, 4

#: Values of the phase word. LEFT is a stop of the actor's own will, STOPPED an ordered one, HALTED
#: one by the supervisor that will start it again; ENDING is between the last message and these.
#: RECYCLED made way for the next incarnation, RECYCLING is between the last message and that.
STARTING, RUNNING, STOPPING, STOPPED, LEFT, FAILED, ENDING, RECYCLING, RECYCLED, HALTED = range(10)

#: Flag in the low bits of the state word: the record at the offset is in hand.
IN_HAND = 1


def pack_state(fill: int, offset: int) -> int:
    """Return the state word for `fill` bytes in the batch, the next record at `offset`."""
    return fill << 40 | offset << 16


def unpack_state(word: int) -> tuple[int, int, bool]:
    """Return (fill, offset, in hand) of a state word."""
    return word >> 40, (word >> 16) & 0xFFFFFF, bool(word & IN_HAND)


class BlackBox:
    """The shared map of one mailbox.

    Args:
        path: the file.
        is_guest: this process is none of the system's: its map cannot be written.

    Attributes:
        data: the whole map.
        at: offset of the batch in it.
        words: the header as native 8-byte words; index it with this module's constants.
        batch: the bytes of the last read, as long as the pipe can be full.
        raw: the batch and the zero bytes behind it.
        lengths: the batch as native 4-byte words, for walking from record to record.
    """

    at = _BATCH_AT

    def __init__(self, path: str, *, is_guest: bool = False) -> None:
        fd = os.open(path, (os.O_RDONLY if is_guest else os.O_RDWR) | os.O_CLOEXEC)
        try:
            access = mmap.ACCESS_READ if is_guest else mmap.ACCESS_DEFAULT
            self.data = mmap.mmap(fd, os.fstat(fd).st_size, access=access)
        finally:
            os.close(fd)
        if self.data[:8] != _MAGIC_VALUE.to_bytes(8, sys.byteorder):
            self.data.close()
            raise ValueError(f"expected a black box of this version in {path}, found other bytes")
        whole = memoryview(self.data)
        self.words = whole[: _WORDS * 8].cast("Q")
        size = self.words[_BATCH_BYTES]
        self.batch = whole[_BATCH_AT : _BATCH_AT + size]
        self.raw = whole[_BATCH_AT : _BATCH_AT + size + _TAIL]
        self.lengths = whole[_BATCH_AT : _BATCH_AT + size + _TAIL].cast("I")

    @property
    def timer(self) -> str:
        """Name of the timer that runs; empty if none does, or it has changed during the look."""
        since = self.words[TIMER]
        if not since:
            return ""
        length = self.data[_TIMER_AT]
        name = self.data[_TIMER_AT + 1 : _TIMER_AT + 1 + length]
        return name.decode(errors="replace") if self.words[TIMER] == since else ""

    @property
    def has_timer_failed(self) -> bool:
        """Whether the timer that is named has ended the actor, by what it raised."""
        return bool(self.words[TIMER] & 1)

    def begin_timer(self, name: bytes, since: int, *, has_failed: bool = False) -> None:
        """Note that a timer runs, or has raised, and since when.

        Args:
            name: as reports call it.
            since: in nanoseconds of the monotonic clock.
            has_failed: it raises what ends the actor.
        """
        name = name[:_TIMER_BYTES]
        # In this order: whoever sees a beginning sees the name that belongs to it.
        self.words[TIMER] = 0
        self.data[_TIMER_AT : _TIMER_AT + 1 + len(name)] = bytes((len(name),)) + name
        self.words[TIMER] = (since | 1) - (not has_failed)

    def end_timer(self) -> None:
        """Note that none runs."""
        self.words[TIMER] = 0

    @staticmethod
    def create(path: str, batch_bytes: int, capacity: int = 0) -> None:
        """Make the file, with its space reserved: a sparse one dies of SIGBUS on a full disk."""
        size = -(-(_BATCH_AT + batch_bytes + _TAIL) // 4096) * 4096
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)
            header = bytearray(_WORDS * 8)
            words = memoryview(header).cast("Q")
            words[_MAGIC], words[_BATCH_BYTES] = _MAGIC_VALUE, batch_bytes
            words[CAPACITY] = capacity
            os.pwrite(fd, header, 0)
        finally:
            os.close(fd)

    def walk(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield (offset, length) of each record from `start`, up to `end` or the first zero.

        Every length is checked against the bounds: the bytes may be a dead process's last.
        """
        offset = start
        while offset < end:
            length = self.lengths[offset >> 2]
            if length < 8 or length & 7 or offset + length > len(self.batch):
                return
            yield offset, length
            offset += length

    def recover(self) -> tuple[int, int, bool]:
        """Return (fill, offset, in hand), finding the fill if the reader ended inside its read."""
        word = self.words[STATE]
        if word == 0:
            fill = 0
            for offset, length in self.walk(0, len(self.batch)):
                fill = offset + length
            word = self.words[STATE] = pack_state(fill, 0)
        return unpack_state(word)

    def close(self) -> None:
        """Unmap; views of the map must be gone."""
        self.words.release()
        self.batch.release()
        self.raw.release()
        self.lengths.release()
        with contextlib.suppress(BufferError):  # a record's view is still held: its holder unmaps
            self.data.close()
