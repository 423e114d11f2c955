"""What an actor holds out of its batch: messages that are begun, or put aside, and their payloads.

Layer: runner. Runs in: actor, main thread.
Owns: the reader's view of the hands table (`close`).
Never: frees a payload before its message is handled; lets a fence take one that is held.

    hold ─► RUNNING ─┬─► finish
                     ├─► LATER ─────► finish          (answered later)
                     └─► STASHED ───► begin, finish   (put aside)
    lift ─► LATER, STASHED: the same, with the message in hand in the batch until its handler ends
    owe ──► OWED ──► finish                           (answered for another actor)
    killed ─► WAITING ─► begin, finish, in the next life
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING

from procactors.wire.envelope import open_envelope
from procactors.wire.mailbox.hands import DONE, LATER, OWED, RUNNING, STASHED, Hands, Slot
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.payload_store import PayloadStore
from procactors.wire.record import IN_SEGMENT, Kind

if TYPE_CHECKING:
    from procactors.runner.checkpoints import Keeper

__all__ = ["Held"]


class Held:
    """The messages of one life that are out of the batch.

    Args:
        reader: of the actor's mailbox.
        store: for their payloads.
        keeper: writes the actor's state down; None: nobody does.
    """

    def __init__(
        self, reader: MailboxReader, store: PayloadStore, keeper: Keeper | None = None
    ) -> None:
        self._reader = reader
        self._store = store
        self._keeper = keeper
        self._hands = Hands(reader.path, reader.box.words, is_reader=True)
        for slot in self._hands.in_use():
            self.keep(slot)

    def hold(self, *, place: bool = True) -> Slot:
        """Take the message in hand out of the batch; it is RUNNING until its slot says else.

        Args:
            place: whether it is a message (and not the runtime's own), whose place in a bounded
                mailbox is free from now on.

        Raises:
            StorageFull: there is no room to hold one more; it is still in hand in the batch.
        """
        slot = self._hands.hold(self._reader, place=place)
        self.keep(slot)
        return slot

    def lift(self, state: int) -> Slot:
        """Put the message in hand into the table, LATER or STASHED, while its handler goes on.

        Raises:
            StorageFull: as `hold`.
        """
        slot = self._hands.lift(self._reader, state)
        self.keep(slot)
        return slot

    def owe(self, record: bytes) -> Slot:
        """Note that this actor owes the answer to another one's message: it is OWED.

        Raises:
            StorageFull: as `hold`.
        """
        return self._hands.put(record, OWED)

    def waiting(self) -> list[Slot]:
        """Return what is to be begun (again), in order: left by the life before, or put aside."""
        slots = self._hands.waiting()
        if self._keeper is None:
            return slots
        done = [slot for slot in slots if self._keeper.has(slot)]
        for slot in done:
            self.finish(slot)
        return [slot for slot in slots if slot not in done]

    def unstash(self) -> int:
        """Have what was put aside begun anew: it is WAITING. Return how many those are."""
        return self._hands.unstash()

    def owed(self) -> list[Slot]:
        """Return the messages whose answers are to come."""
        return [slot for slot in self._hands.in_use() if slot.state in (LATER, OWED)]

    def stashed(self) -> int:
        """Return how many messages are put aside."""
        return self._hands.count(STASHED)

    def taken_over(self, number: int, turn: int) -> None:
        """Let go of a message whose answer another process owes now."""
        slot = self._hands.slot_of(number, turn)
        if slot is not None:
            self.let_go(slot)

    def finish(self, slot: Slot) -> None:
        """Let go of a message that is handled, and of its payload."""
        # One that is answered later changes nothing here: and its answer may come from a thread, or
        # in the midst of another message.
        if self._keeper is not None and slot.state == RUNNING:
            self._keeper.ends(slot)
        record = self._counted_as(slot)
        self.let_go(slot)
        record()

    def count(self, slot: Slot) -> None:
        """Count a message as handled, though its slot is still needed: its answer comes later."""
        record = self._counted_as(slot)
        slot.count()
        record()

    def _counted_as(self, slot: Slot) -> Callable[[], None]:
        """Return what counts a message behind the store by which it is handled."""
        meter, message = self._reader.meter, slot.record
        if meter is None or slot.is_counted or message.kind not in (Kind.CALL, Kind.MOVED):
            return _nothing
        key, took = open_envelope(message.body).method, monotonic_ns() - slot.since
        return lambda: meter.record(key, took)

    def let_go(self, slot: Slot) -> None:
        """Let go of a message, and of its payload. From any thread, if it was lifted or is owed."""
        record = slot.record
        if record.flags & IN_SEGMENT and record.kind == Kind.CALL:
            # In this order: killed in between, the supervisor frees the payload.
            slot.state = DONE
            self._store.discard(record.flags, open_envelope(record.body).payload)
        slot.release()

    def close(self) -> None:
        """Close the view of the table."""
        self._hands.close()

    def keep(self, slot: Slot) -> None:
        """See that no fence of a sender that has died takes the payload of a message held.

        Called anew behind each look at the payload (`PayloadStore.open`).
        """
        record = slot.record
        if record.flags & IN_SEGMENT and record.kind == Kind.CALL:
            self._store.keep(record.flags, open_envelope(record.body).payload)


def _nothing() -> None:
    """Count nothing."""
