"""Where an actor's loop takes messages from.

Layer: runner. Runs in: actor, main thread.
Owns: nothing.
Never: is loaded by an actor whose messages come straight from its mailbox.
"""

from __future__ import annotations

from typing import Protocol

from procactors.wire.record import Kind

__all__ = ["ENDS", "LONGEST_WAIT_S", "MESSAGES", "NOTHING", "Source"]

#: What `advance` and `step` return instead of an offset: nothing came in time; or this life is to
#: end here, and whatever asks again gets the same. Both are below 0, and the loop ends with both.
NOTHING, ENDS = -1, -2

#: Longest wait in one piece, in seconds: `poll` takes its time as 32-bit milliseconds.
LONGEST_WAIT_S = 86_400.0
#: Kinds of records that count as messages: not the runtime's own.
MESSAGES = frozenset((int(Kind.CALL), int(Kind.EVENT)))


class Source(Protocol):
    """Gives the loop the messages, one behind the other.

    What an actor uses beside its mailbox (bounds on a life, timers, checkpoints) is a source that
    stands before another one: so an actor without it pays nothing. They stand in any order, so
    each waits for no longer than the one before it allows, passes `ENDS` on, and tells by the
    phase word, not by the wait it is allowed, whether the actor has come to its stop.
    """

    def advance(self, timeout: float | None) -> int:
        """Mark the next record as in hand; return its offset in the batch.

        Waits up to `timeout` seconds (None: for ever); else returns NOTHING or ENDS.
        """
        ...

    def step(self, timeout: float | None) -> int:
        """Step behind the message in hand, which is handled, and then `advance`."""
        ...

    def done(self, *, place: bool) -> None:
        """Step behind the record in hand, which is handled, and take no other.

        What `step` does with that record, this does too: one that its handler has put aside, say.

        Args:
            place: it took a place in a bounded mailbox: it is no record of the runtime's own.
        """
        ...
