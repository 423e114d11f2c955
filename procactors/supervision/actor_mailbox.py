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
from typing import TYPE_CHECKING

from procactors.crash import MessageInHand
from procactors.late import late
from procactors.model.options import Checkpoint, Options
from procactors.supervision.health import Look
from procactors.wire.mailbox.black_box import (
    BUSY_SINCE,
    HANDLED,
    HANDS,
    IN_HAND,
    PHASE,
    RUNNING,
    STATE,
    STOPPING,
    TIMER,
    unpack_state,
)
from procactors.wire.mailbox.closing import peek
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.looks import MailboxLooks
from procactors.wire.mailbox.tokens import bytes_in
from procactors.wire.raised import FATAL, last_dump
from procactors.wire.record import (
    Kind,
    Record,
    parse_all,
)
from procactors.wire.storage import move_file, remove_file, remove_folder

if TYPE_CHECKING:
    from procactors.wire.checkpoint_claim import Claim
    from procactors.wire.mailbox import hands as table
else:
    table = late("procactors.wire.mailbox.hands")  # of actors with more than one in hand

__all__ = ["ActorMailbox"]

#: Characters of the stacks that a report carries: a hundred threads must not fill a reply.
_STACK_BYTES = 65536


class ActorMailbox(MailboxLooks):
    """One actor's mailbox, through all incarnations."""

    def __init__(
        self, runtime_dir: str, actor: int, name: str, class_name: str, options: Options
    ) -> None:
        self.id = actor
        self.name = name
        self.class_name = class_name
        self._runtime_dir = runtime_dir
        self._recycles = options.recycle_after is not None
        folder = os.path.join(runtime_dir, "actors", str(actor))
        #: The file with its class and arguments.
        self.blueprint = ""
        self._claim = None if options.checkpoint is None else claim_of(options.checkpoint, name)
        try:
            self.files = MailboxFiles(folder, options.mailbox or 0)
            try:
                super().__init__(folder)
            except BaseException:
                self.files.close()
                raise
        except BaseException:
            if self._claim is not None:
                self._claim.release()
            raise
        #: Where in the file of stacks those begin that the supervisor has asked for; None: not yet.
        self._asked_from: int | None = None

    def settle(self) -> None:
        """Decide on a message that the dead actor was just moving out of the batch."""
        if (hands := self.hands) is not None:
            _, offset, in_hand = self.box.recover()
            hands.settle(is_moved=in_hand and self.record(offset).kind == Kind.MOVED)

    def take_blueprint(self, path: str, is_shared: bool) -> None:
        """Take over the file with its class and arguments; if it `is_shared`, by another name."""
        name = f"actors/{self.id}/blueprint"
        self.blueprint = move_file(self._runtime_dir, path, name, keep=is_shared)

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
        """Return the messages in hand (see `MailboxLooks.in_hand`); of a dead actor, settled."""
        if not is_alive:
            self.settle()
        return super().in_hand(is_alive=is_alive)

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
        """Return the stacks of what ended this life, or of its accusation; empty if there are none.

        In the same file stand those that a terminal has asked for meanwhile: they are no report's.
        """
        asked_from, text = self._asked_from, ""
        with contextlib.suppress(OSError), open(self._fault_path, "rb") as file:
            text = file.read().decode(errors="replace")
            # Should the next life end before it has opened the file, it is not to be its stack.
            self.forget_dump()
        if FATAL in text:
            text = text[text.index(FATAL) :]
        else:
            # Emptied since, by a terminal that found it large: what is there came behind that.
            text = "" if asked_from is None else last_dump(text[asked_from:] or text)
        return text[:_STACK_BYTES]

    def expect_dump(self) -> None:
        """What is written of stacks from here on is asked for by the supervisor."""
        self._asked_from = 0
        self._asked_from = self.dumped()

    def dumped(self) -> int:
        """Return how many bytes of stacks are written since `expect_dump`."""
        try:
            size = os.stat(self._fault_path).st_size
        except OSError:
            return 0
        begin = self._asked_from or 0
        return size - begin if size >= begin else size

    def forget_dump(self) -> None:
        """Drop what is written of stacks."""
        self._asked_from = None
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
        self.close()
        self.files.close()
        remove_folder(self._runtime_dir, f"actors/{self.id}")


def claim_of(checkpoint: Checkpoint, name: str) -> Claim | None:
    """Take the file of an actor's checkpoints for it alone; None if it goes with the actor."""
    if checkpoint.file is None:
        return None
    from procactors.wire.checkpoint_claim import Claim  # only where it is used

    return Claim(os.fspath(checkpoint.file), name)
