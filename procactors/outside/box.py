"""One actor's mailbox and black box, looked at by a process that is none of the system's.

Layer: outside. Runs in: processes outside of the system.
Owns: a map of the box that cannot be written (`close`); ends of the pipe, for the time of a look.
Never: takes a message out, takes a lock, or wakes anybody.
"""

from __future__ import annotations

import contextlib
import os
import struct

from procactors.crash import MessageInHand
from procactors.wire.endpoint import actor_path
from procactors.wire.mailbox.black_box import STATE, unpack_state
from procactors.wire.mailbox.closing import peek
from procactors.wire.mailbox.looks import MailboxLooks
from procactors.wire.mailbox.tokens import bytes_in
from procactors.wire.record import Kind, parse_all

__all__ = ["ActorBox"]

#: What a look may meet while the actor changes what is looked at, or its files are removed.
_CHANGED = (OSError, ValueError, IndexError, KeyError, struct.error)


class ActorBox(MailboxLooks):
    """The box of one actor.

    Args:
        runtime_dir: the system's.
        actor: the actor's id.

    Raises:
        OSError: the actor is gone. ValueError: the box is another version's.
    """

    def __init__(self, runtime_dir: str, actor: int) -> None:
        super().__init__(actor_path(runtime_dir, actor), is_guest=True)

    def now_in_hand(self) -> tuple[MessageInHand, ...]:
        """Return what is in hand now, the oldest first; what has just changed is missing."""
        with contextlib.suppress(*_CHANGED):
            return self.in_hand()
        return ()

    def waiting(self) -> int:
        """Return how many messages wait: in the batch behind that in hand, put aside, in the pipe.

        The pipe is copied, not read, and open for that moment only: a read end that stayed would
        keep the mailbox of an actor that has ended.
        """
        with contextlib.suppress(*_CHANGED):
            word = self.words[STATE]
            fill, offset, in_hand = unpack_state(word)
            if not word:
                # Its reader may have been stopped right behind a read, which it has not noted yet:
                # then the bytes are there, and at any other time they are zero.
                fill = len(self.box.batch)
            starts = [at for at, _ in self.box.walk(offset, fill)][in_hand:]
            kinds = [self.record(at).kind for at in starts]
            kinds += self._kinds_in_pipe()
            if (table := self.hands) is not None:
                kinds += [slot.record.kind for slot in table.put_aside()]
            return kinds.count(Kind.CALL)
        return 0

    def _kinds_in_pipe(self) -> list[int]:
        fd = os.open(f"{self.folder}/pipe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not bytes_in(fd):  # nearly always, and a copy takes ten times as long
                return []
            return [record.kind for record in parse_all(peek(fd))]
        finally:
            os.close(fd)
