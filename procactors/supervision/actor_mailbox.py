"""The parent's side of one actor's mailbox: its files, its black box, its blueprint.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: the actor's folder, the mailbox's descriptors, the box's map, the claim on a file of the
user's (`remove`).
Never: decides what becomes of a message: `recovery` does.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from time import monotonic_ns
from typing import TYPE_CHECKING

from procactors.crash import MessageInHand
from procactors.late import late
from procactors.model.options import Checkpoint, Options
from procactors.supervision.health import Look
from procactors.wire.envelope import open_envelope
from procactors.wire.mailbox.black_box import (
    BUSY_SINCE,
    DELIVERIES,
    HANDLED,
    HANDS,
    IN_HAND,
    PHASE,
    RUNNING,
    STATE,
    STOPPING,
    TIMER,
    BlackBox,
    unpack_state,
)
from procactors.wire.mailbox.closing import peek
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.tokens import bytes_in
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
    parse_all,
)
from procactors.wire.storage import move_file, remove_file, remove_folder

if TYPE_CHECKING:
    from procactors.wire.checkpoint_claim import Claim
    from procactors.wire.mailbox import hands as table
    from procactors.wire.mailbox.hands import Hands, Slot
else:
    table = late("procactors.wire.mailbox.hands")  # of actors with more than one in hand

__all__ = ["ActorMailbox", "is_call"]

#: Bytes of the stacks that a report carries: a hundred threads must not fill a reply.
_STACK_BYTES = 65536
#: The hook that is for an event, by what has happened.
_EVENT_HOOKS = {
    SETTLED: None,
    RESTARTED: "on_restarted",
    TERMINATED: "on_terminated",
    CHILD_FAILED: "on_child_failure",
    TAKEN_OVER: None,
}


class ActorMailbox:
    """One actor's mailbox, through all incarnations."""

    #: The clock by which it is seen how long a message is in hand.
    now_ns: Callable[[], int] = monotonic_ns

    def __init__(
        self, runtime_dir: str, actor: int, name: str, class_name: str, options: Options
    ) -> None:
        self.id = actor
        self.name = name
        self.class_name = class_name
        self._runtime_dir = runtime_dir
        self._recycles = options.recycle_after is not None
        self.folder = os.path.join(runtime_dir, "actors", str(actor))
        #: The file with its class and arguments.
        self.blueprint = ""
        self._claim = None if options.checkpoint is None else _claim(options.checkpoint, name)
        try:
            self.files = MailboxFiles(self.folder, options.mailbox or 0)
            try:
                self.box = BlackBox(os.path.join(self.folder, "box"))
            except BaseException:
                self.files.close()
                raise
        except BaseException:
            if self._claim is not None:
                self._claim.release()
            raise
        self.words = self.box.words
        self._hands: Hands | None = None

    @property
    def hands(self) -> Hands | None:
        """The messages that the actor holds out of the batch; None if it has never had one."""
        if self._hands is None and self.words[HANDS]:
            self._hands = table.Hands(self.folder, self.words)
        return self._hands

    def slots(self) -> list[Slot]:
        """Return the slots of its hands table that are in use, in the order of their messages."""
        hands = self.hands
        return hands.in_use() if hands is not None else []

    def settle(self) -> None:
        """Decide on a message that the dead actor was just moving out of the batch."""
        if (hands := self.hands) is not None:
            _, offset, in_hand = self.box.recover()
            hands.settle(is_moved=in_hand and self.record(offset).kind == Kind.MOVED)

    def take_blueprint(self, path: str, is_shared: bool) -> None:
        """Take over the file with its class and arguments; if it `is_shared`, by another name."""
        name = f"actors/{self.id}/blueprint"
        self.blueprint = move_file(self._runtime_dir, path, name, keep=is_shared)

    def record(self, at: int) -> Record:
        """Return the record at an offset of the batch."""
        return parse(self.box.batch, at)

    def count_waiting(self, is_read: bool) -> int:
        """Return how many messages wait: put aside, in the batch behind that in hand, in the pipe.

        Args:
            is_read: its reader lives. It may read a batch between the two looks: then those
                messages are in the other place, and missed this time.
        """
        if is_read:  # look, but do not put in order what it is changing
            fill, offset, in_hand = unpack_state(self.words[STATE])
        else:
            fill, offset, in_hand = self.box.recover()
        starts = [at for at, _ in self.box.walk(offset, fill)][in_hand:]
        kinds = [self.record(at).kind for at in starts]
        with contextlib.suppress(OSError):  # no descriptor is left: then what is in the batch
            kinds += [record.kind for record in parse_all(peek(self.files.read_end))]
        with contextlib.suppress(OSError):
            kinds += [slot.record.kind for slot in self.hands.put_aside()] if self.hands else []
        return kinds.count(Kind.CALL)

    def look(self, now: float) -> Look:
        """Return what can be seen of its progress. One that starts or ends has nothing to do."""
        words = self.words
        if words[PHASE] not in (RUNNING, STOPPING):
            return Look(now, words[HANDLED], None, False)
        # In this order: should the next message begin in between, it comes out too young.
        word = words[STATE]
        handled = words[HANDLED]
        since = [words[BUSY_SINCE]] if word & IN_HAND else []
        if timer := words[TIMER]:
            since.append(timer)
        if words[HANDS] and (hands := self.hands):
            since += [slot.since for slot in hands.running()]
        if since:
            return Look(now, handled, min(since) / 1e9, True)
        fill, offset = word >> 40, (word >> 16) & 0xFFFFFF
        # Stopped right behind its read, it has not yet noted how much it got: then the first length
        # in the batch tells (`BlackBox.recover`, which must not be called while the reader lives).
        in_box = offset < fill or (word == 0 and self.box.lengths[0] > 0)
        return Look(now, handled, None, in_box or bytes_in(self.files.read_end) > 0)

    # -- what is in hand ------------------------------------------------------------------------

    def in_hand(self, *, is_alive: bool = False) -> tuple[MessageInHand, ...]:
        """Return the messages in hand: which ended the actor, if that is known; then the oldest.

        Args:
            is_alive: it may go on while it is looked at: what it has just begun or ended is missing
                then. Else it is dead.
        """
        now = self.now_ns()
        if not is_alive:
            self.settle()
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

    def first_in_hand(self) -> Record | None:
        """Return the message in hand that a dead actor's report names; None: it names none."""
        if self.words[TIMER]:
            return None  # it names the timer
        _, offset, in_hand = self.box.recover()
        found = [
            (slot.state != table.FAILED, slot.since, slot.record)
            for slot in self.slots()
            if slot.state in (table.RUNNING, table.FAILED)
        ]
        if in_hand:
            found.append((True, self.words[BUSY_SINCE], self.record(offset)))
        return min(found, key=lambda entry: entry[:2])[2] if found else None

    # -- the files that a process leaves in the folder ------------------------------------------

    def last_words(self, start: int) -> tuple[str, str]:
        """Return (one line, traceback) of the exception that ended the life of a start, if any."""
        try:
            with open(os.path.join(self.folder, "error"), "rb") as file:
                of_start, text, trace = pickle.load(file)
        except (OSError, pickle.UnpicklingError, EOFError, ValueError):
            return "", ""
        return (text, trace) if of_start == start else ("", "")

    def take_stacks(self) -> str:
        """Return what faulthandler wrote in this life; empty if nothing."""
        with contextlib.suppress(OSError), open(self._fault_path, "rb") as file:
            text = file.read(_STACK_BYTES).decode(errors="replace")
            # Should the next life end before it has opened the file, it is not to be its stack.
            self.forget_dump()
            return text
        return ""

    def dumped(self) -> int:
        """Return how many bytes of stacks are written."""
        try:
            return os.stat(self._fault_path).st_size
        except OSError:
            return 0

    def forget_dump(self) -> None:
        """Drop what is written of stacks."""
        with contextlib.suppress(OSError):
            os.truncate(self._fault_path, 0)

    @property
    def _fault_path(self) -> str:
        return os.path.join(self.folder, "fault")

    def drop_snapshot(self) -> None:
        """Remove the state that a life has left for a recycling, and then crashed."""
        if self._recycles:
            remove_file(self._runtime_dir, f"actors/{self.id}/snapshot")

    def remove(self) -> None:
        """Close and remove everything."""
        if self._claim is not None:
            self._claim.release()
        if self._hands is not None:
            self._hands.close()
            self._hands = None
        self.box.close()
        self.files.close()
        remove_folder(self._runtime_dir, f"actors/{self.id}")


def _claim(checkpoint: Checkpoint, name: str) -> Claim | None:
    """Take the file of an actor's checkpoints for it alone; None if it goes with the actor."""
    if checkpoint.file is None:
        return None
    from procactors.wire.checkpoint_claim import Claim  # only where it is used

    return Claim(os.fspath(checkpoint.file), name)


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
