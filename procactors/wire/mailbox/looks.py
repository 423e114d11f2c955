"""What a mailbox's black box and hands table show of the messages in hand, to whoever looks.

Layer: wire. Runs in: parent; and processes outside of the system, which look only.
Owns: nothing: box and table are those of the class that is built on this one.
Never: changes a word; waits for the actor. A look may come while it goes on: what has just changed
is missing then.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from time import monotonic_ns
from typing import TYPE_CHECKING

from procactors.crash import MessageInHand
from procactors.late import late
from procactors.wire.envelope import open_envelope
from procactors.wire.mailbox.black_box import (
    BUSY_SINCE,
    DELIVERIES,
    HANDS,
    IN_HAND,
    STATE,
    TIMER,
    BlackBox,
    unpack_state,
)
from procactors.wire.record import (
    CHILD_FAILED,
    EVENT,
    RESTARTED,
    SETTLED,
    TAKEN_OVER,
    TERMINATED,
    Kind,
    Record,
    parse,
)

if TYPE_CHECKING:
    from procactors.wire.mailbox import hands as table
    from procactors.wire.mailbox.hands import Hands, Slot
else:
    table = late("procactors.wire.mailbox.hands")  # of actors with more than one in hand

__all__ = ["MailboxLooks", "is_call"]

#: The hook that is for an event, by what has happened.
_EVENT_HOOKS = {
    SETTLED: None,
    RESTARTED: "on_restarted",
    TERMINATED: "on_terminated",
    CHILD_FAILED: "on_child_failure",
    TAKEN_OVER: None,
}


class MailboxLooks:
    """Looks at one mailbox's box and table.

    Args:
        folder: the mailbox's directory.
        is_guest: this process is none of the system's, and maps nothing that it could write.

    Raises:
        OSError: there is no box, or no descriptor is left. ValueError: it is another version's.
    """

    #: The clock by which it is seen how long a message is in hand.
    now_ns: Callable[[], int] = monotonic_ns

    def __init__(self, folder: str, *, is_guest: bool = False) -> None:
        self.folder = folder
        self.is_guest = is_guest
        self.box = BlackBox(f"{folder}/box", is_guest=is_guest)
        self.words = self.box.words
        self._hands: Hands | None = None

    @property
    def hands(self) -> Hands | None:
        """The messages that the actor holds out of the batch; None if it has never had one."""
        if self._hands is None and self.words[HANDS]:
            self._hands = table.Hands(self.folder, self.words, is_guest=self.is_guest)
        return self._hands

    def slots(self) -> list[Slot]:
        """Return the slots of its hands table that are in use, in the order of their messages."""
        hands = self.hands
        return hands.in_use() if hands is not None else []

    def record(self, at: int) -> Record:
        """Return the record at an offset of the batch."""
        return parse(self.box.batch, at)

    # -- what is in hand ------------------------------------------------------------------------

    def in_hand(self, *, is_alive: bool = True) -> tuple[MessageInHand, ...]:
        """Return the messages in hand: which ended the actor, if that is known; then the oldest.

        Args:
            is_alive: it may go on while it is looked at: what it has just begun or ended is missing
                then. Else it is dead.
        """
        now = self.now_ns()
        found = [
            *self._in_batch(now, is_alive),
            *self._in_timer(now),
            *self._in_table(now, is_alive),
        ]
        found.sort(key=lambda entry: (not entry[0], -entry[1].busy_s))
        return tuple(message for _, message in found)

    def at_work(self) -> str | None:
        """Return the handler that the actor is in now; None: in none, or it has just gone on."""
        in_hand = self.in_hand(is_alive=True)
        return next((message.handler for message in in_hand if not message.is_later), None)

    def has_in_hand(self, reply: int, call: int) -> bool:
        """Return whether a call is in hand; of a live actor, a glance that may be late."""
        word = self.words[STATE]
        with _under_our_eyes(is_alive=True):
            if word & IN_HAND and is_call(self.record(unpack_state(word)[1]), reply, call):
                return self.words[STATE] == word
            for slot in self.slots():
                is_begun = slot.state in (table.RUNNING, table.LATER)
                if is_begun and is_call(slot.record, reply, call):
                    return slot.is_same
        return False

    def _in_batch(self, now: int, is_alive: bool) -> Iterator[tuple[bool, MessageInHand]]:
        """Yield (False, the message in hand in the batch), if there is one with a handler."""
        words = self.words
        word = words[STATE]
        if not word & IN_HAND:
            return
        since, deliveries = words[BUSY_SINCE], words[DELIVERIES] + 1
        _, offset, _ = unpack_state(word)
        with _under_our_eyes(is_alive):
            handler = _handler_of(self.record(offset))
            if handler is not None and words[STATE] == word:
                yield False, MessageInHand(handler, max(0.0, (now - since) / 1e9), deliveries)

    def _in_timer(self, now: int) -> Iterator[tuple[bool, MessageInHand]]:
        """Yield (whether it ended the actor, the timer that runs), if one does."""
        since = self.words[TIMER]
        if name := self.box.timer:
            busy_s = max(0.0, (now - since) / 1e9)
            ended_it = self.box.has_timer_failed or not any(
                slot.state == table.RUNNING for slot in self.slots()
            )
            yield ended_it, MessageInHand(name, busy_s, deliveries=0)

    def _in_table(self, now: int, is_alive: bool) -> Iterator[tuple[bool, MessageInHand]]:
        """Yield (whether it ended the actor, message) of each in hand that is out of the batch."""
        for slot in self.slots():
            state, since, deliveries = slot.state, slot.since, slot.deliveries + 1
            if state not in (table.RUNNING, table.LATER, table.FAILED, table.OWED):
                continue
            with _under_our_eyes(is_alive):
                handler = _handler_of(slot.record)
                if handler is not None and slot.is_same:
                    busy_s = max(0.0, (now - since) / 1e9)
                    is_later = state in (table.LATER, table.OWED)
                    message = MessageInHand(handler, busy_s, deliveries, is_later)
                    yield state == table.FAILED, message

    def close(self) -> None:
        """Unmap; views of records must be gone."""
        if self._hands is not None:
            self._hands.close()
            self._hands = None
        self.box.close()


def is_call(record: Record, reply: int, call: int) -> bool:
    """Return whether a record is the message of that call."""
    if record.kind != Kind.CALL:
        return False
    envelope = open_envelope(record.body)
    return (envelope.reply, envelope.call) == (reply, call)


def _handler_of(record: Record) -> str | None:
    """Return the name of the handler, or hook, that a record is for; None: it is for none."""
    if record.kind in (Kind.CALL, Kind.MOVED):
        return open_envelope(record.body).handler
    if record.kind == Kind.EVENT:
        return _EVENT_HOOKS[EVENT.unpack_from(record.body)[0]]
    return None


@contextlib.contextmanager
def _under_our_eyes(is_alive: bool) -> Iterator[None]:
    """Let bytes be anything while their actor goes on: it may have changed them meanwhile."""
    try:
        yield
    except (ValueError, struct.error, IndexError, KeyError):
        if not is_alive:
            raise
