"""Lets an inline actor take the messages that a recording says, and no other ones.

Layer: runner. Runs in: the one thread of an inline system. Loaded by lives that are played again.
Owns: nothing.
Never: makes up a message: those that are let through have come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from procactors.runner.taps import Tap, Tapped
from procactors.wire.record import KIND_AT, Kind

__all__ = ["BEGUN", "SERVED", "Entry"]

#: Called with each life that begins: by the argument of the tap.
BEGUN: dict[str, Callable[[Tapped], None]] = {}
#: Called with each gate that serves.
SERVED: dict[str, Callable[[Tapped, Entry], None]] = {}

#: What is recorded; the rest is the runtime's own, and passes.
_RECORDED = frozenset((int(Kind.CALL), int(Kind.EVENT), int(Kind.STOP)))


class Entry(Tap):
    """The gate before the mailbox of one life.

    Attributes:
        waiting: the records that have come, the next first.
        deadly: (number of a message of this life, from 1; whether it is handled first): the life
            ends with it in hand. None: with none.
    """

    @classmethod
    def begins(cls, life: Tapped, argument: str) -> None:
        """A life is about to construct its actor."""
        BEGUN[argument](life)

    def change(self, argument: str) -> None:
        """Close the gate."""
        self.waiting: deque[bytes] = self._reader.mail.records
        self._let: deque[bytes] = deque()
        self.deadly: tuple[int, bool] | None = None
        self._count = 0
        self._reader.take_from(self._let)
        SERVED[argument](self._life, self)

    def let(self, record: bytes) -> None:
        """Let a record through that waits, and what is not recorded and stands before it."""
        at = self.waiting.index(record)
        passed = [self.waiting.popleft() for _ in range(at + 1)]
        own = [one for one in passed[:-1] if one[KIND_AT] not in _RECORDED]
        self.waiting.extendleft(reversed([one for one in passed[:-1] if one not in own]))
        self._let.extend([*own, record])

    def let_own(self) -> None:
        """Let through what is not recorded."""
        own = [one for one in self.waiting if one[KIND_AT] not in _RECORDED]
        for one in own:
            self.waiting.remove(one)
        self._let.extend(own)

    def taken(self, at: int, timeout: float | None) -> int:
        """A record is in hand."""
        if self._is_message(at):
            self._count += 1
            if self.deadly == (self._count, False):
                self._life.die()
        return at

    def ends(self) -> bool:
        """The message in hand is handled, and answered."""
        if self.deadly == (self._count, True):
            self._life.die()
        return True
