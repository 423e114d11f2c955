"""What an actor holds out of its batch, in memory; see `wire.mailbox.hands` for what each state is.

Layer: local. Runs in: one process: the thread that serves the actor, and the supervisor behind it.
Owns: the records that are held.
Never: a message in two places, or in none.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from procactors.local.here import Killed, here
from procactors.runner.held import Held
from procactors.wire.mailbox.black_box import DELIVERIES, HANDLED, HANDLED_OWN, HANDS
from procactors.wire.mailbox.hands import (
    COPIED,
    DONE,
    FREE,
    HELD,
    LATER,
    RUNNING,
    STASHED,
    WAITING,
)
from procactors.wire.record import KIND_AT, Kind, Record, parse

if TYPE_CHECKING:
    from procactors.local.box import LocalReader
    from procactors.runner.checkpoints import Keeper
    from procactors.wire.mailbox.hands import Slot
    from procactors.wire.payload_store import PayloadStore

__all__ = ["LocalHands", "LocalHeld", "LocalSlot"]


class LocalSlot:
    """One message out of the batch; see `wire.mailbox.hands.Slot`."""

    def __init__(self, hands: LocalHands, number: int, record: bytes, since: int) -> None:
        self._hands: LocalHands | None = hands
        self.number = self.turn = number
        self.state = COPIED
        self.since = since
        self.deliveries = 0
        self.raw = record
        self.is_own = self.is_counted = False

    @property
    def record(self) -> Record:
        """The record."""
        return parse(self.raw)

    @property
    def is_same(self) -> bool:
        """Whether its message is still held."""
        return self._hands is not None

    def busy_since(self, since: int) -> None:
        """Note since when its handler is at one piece of work."""
        self.since = since

    def begin(self) -> None:
        """Note that a handler for it begins now."""
        if self._hands is not None:
            self.since = self._hands.now_ns()
        self.state = RUNNING

    def give_away(self) -> None:
        """Note that the message is somebody else's now."""
        self.raw = self.raw[:KIND_AT] + bytes((Kind.MOVED,)) + self.raw[KIND_AT + 1 :]

    def count(self) -> None:
        """Count its message as handled now."""
        if self._hands is not None and not self.is_counted:
            self.is_counted = True
            self._hands.count_handled(self.is_own)

    def release(self) -> None:
        """Give the slot free; once more is no error, nor is it for a life that was killed."""
        if (hands := self._hands) is not None:
            hands.release(self)

    def forget(self) -> bool:
        """Belong to no table any more; return whether it has."""
        hands, self._hands = self._hands, None
        self.state = FREE
        return hands is not None

    def successor(self) -> LocalSlot:
        """Return the same for the next life: this one is a dead life's, and means nothing now."""
        slot = copy.copy(self)
        self._hands = None
        return slot


class LocalHands:
    """The messages that one actor holds, through all its lives; see `wire.mailbox.hands.Hands`."""

    def __init__(self, words: Any, now_ns: Callable[[], int], lock: Any) -> None:
        self._words = words
        # The mail's.
        self._lock = lock
        self.now_ns = now_ns
        self._numbers = itertools.count()
        #: By number, so in the order in which they were taken.
        self._slots: dict[int, LocalSlot] = {}

    def renew(self, words: Any) -> None:
        """Have what a dead life knows of its slots mean nothing any more. Under the mail's lock.

        Args:
            words: those of the box from now on.
        """
        self._words = words
        self._slots = {number: slot.successor() for number, slot in self._slots.items()}

    def hold(self, reader: LocalReader, *, place: bool = True) -> LocalSlot:
        """Take the message in hand out of the batch; it is RUNNING."""
        with alive(reader):
            return self._hold(reader, place)

    def _hold(self, reader: LocalReader, place: bool) -> LocalSlot:
        slot = self._copied(reader.in_hand(), reader.box.words[DELIVERIES])
        slot.is_own = not place
        if slot.record.kind == Kind.CALL:
            reader.give_away()
        reader.done(place=place, handled=0)
        slot.state = RUNNING
        return slot

    def lift(self, reader: LocalReader, state: int) -> LocalSlot:
        """Put the message in hand into a slot, which has it from now on: LATER or STASHED."""
        with alive(reader):
            return self._lift(reader, state)

    def _lift(self, reader: LocalReader, state: int) -> LocalSlot:
        slot = self._copied(reader.in_hand(), reader.box.words[DELIVERIES])
        slot.is_counted = state == LATER
        reader.give_away()
        slot.state = state
        if state != LATER:
            self._words[HANDLED_OWN] += 1  # against what the batch counts
        return slot

    def put(self, record: bytes, state: int) -> LocalSlot:
        """Put a record into a slot that was in no batch of this mailbox."""
        slot = self._copied(record, 0)
        slot.is_counted = True
        slot.state = state
        return slot

    def unstash(self) -> int:
        """Have what is STASHED begun again; return how many those are."""
        stashed = self._in((STASHED,))
        for slot in stashed:
            slot.state = WAITING
        return len(stashed)

    def count(self, state: int) -> int:
        """Return how many slots are in that state."""
        return len(self._in((state,)))

    def slot_of(self, number: int, turn: int) -> LocalSlot | None:
        """Return the slot that still has the message of that turn; None: none has."""
        return self._slots.get(number)

    def in_use(self) -> list[LocalSlot]:
        """Return all that are not free, in order."""
        return self._in((COPIED, *HELD, DONE))

    def running(self) -> list[LocalSlot]:
        """Return those whose handlers are at work."""
        return self._in((RUNNING,))

    def waiting(self) -> list[LocalSlot]:
        """Return those that are to be begun before what is in the mailbox."""
        return self._in((WAITING,))

    def put_aside(self) -> list[LocalSlot]:
        """Return those that wait here."""
        return self._in((WAITING, STASHED))

    def settle(self, *, is_moved: bool = False) -> None:
        """Nothing is ever half-way here."""

    def count_handled(self, own: bool) -> None:
        """Count a message; `own`: it is the runtime's own."""
        self._words[HANDLED] += 1
        self._words[HANDLED_OWN] += own

    def release(self, slot: LocalSlot) -> None:
        """Forget a slot, in one step: a kill comes before, or behind."""
        with self._lock:
            if not slot.forget():
                return
            self._slots.pop(slot.number, None)
            # The supervisor's answers for the dead count nothing as handled.
            if not slot.is_counted and here.life is not None:
                self.count_handled(slot.is_own)

    def close(self) -> None:
        """Nothing is mapped."""

    def _copied(self, record: bytes, deliveries: int) -> LocalSlot:
        number = next(self._numbers)
        slot = self._slots[number] = LocalSlot(self, number, record, self.now_ns())
        slot.deliveries = deliveries
        self._words[HANDS] = 1
        return slot

    def _in(self, states: Collection[int]) -> list[LocalSlot]:
        return [slot for slot in list(self._slots.values()) if slot.state in states]


class LocalHeld(Held):
    """What `Held` is, over slots in memory."""

    def __init__(
        self,
        reader: Any,
        store: PayloadStore,
        keeper: Keeper | None,
        hands: Any,
    ) -> None:
        # Nothing of the base class's: there is no file to map.
        self._reader = reader
        self._store = store
        self._keeper = keeper
        self._hands = hands

    def owe(self, record: bytes) -> Slot:
        """Note that this actor owes the answer to another one's message."""
        reader: Any = self._reader
        with alive(reader):
            return super().owe(record)

    def unstash(self) -> int:
        """Have what was put aside begun anew; return how many those are."""
        reader: Any = self._reader
        with alive(reader):
            return super().unstash()


@contextlib.contextmanager
def alive(reader: LocalReader) -> Iterator[None]:
    """Let a life do something as one step, which a kill comes before, or behind.

    Raises:
        Killed: it came before.
    """
    with reader.mail.lock:
        if reader.is_dead:
            raise Killed
        yield
