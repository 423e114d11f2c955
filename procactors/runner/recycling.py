"""When an incarnation makes way for the next one, and the state that goes over.

Layer: runner. Runs in: actor, main thread; only where `recycle_after` is set.
Owns: the file `snapshot` in the actor's directory, on the actor's side.
Never: ends a life between two halves of a message; keeps one from its first message.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic

from procactors.runner.source import ENDS, LONGEST_WAIT_S, MESSAGES, NOTHING
from procactors.wire.mailbox.black_box import PHASE, STOP_ORDERED, STOPPING
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.pickling.codec import Encoded, pieces
from procactors.wire.procstat import resident_of
from procactors.wire.record import KIND_AT
from procactors.wire.storage import read_file, remove_file, write_file

__all__ = ["Recycler", "take_snapshot", "write_snapshot"]


class Recycler:
    """Stands between loop and reader, and says when this life has reached one of its bounds.

    Args:
        reader: the actor's mailbox.
        messages: messages that this life handles at most; None: any number.
        seconds: seconds from now on for which it runs at most; None: for ever.
        growth: bytes by which its resident memory may grow from now on; None: any.
        clock: the actor's, in seconds.

    Attributes:
        due: a bound is reached, and no stop came before it.
    """

    def __init__(
        self,
        reader: MailboxReader,
        messages: int | None,
        seconds: float | None,
        growth: int | None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._clock = clock
        self._reader = reader
        self._words = reader.box.words
        self._raw = reader.box.raw
        self._left = messages if messages is not None else math.inf
        self._until = None if seconds is None else self._clock() + seconds
        self._most_resident = None if growth is None else resident_of("self") + growth
        self._has_served = False
        self.due = False

    def advance(self, timeout: float | None) -> int:
        """Mark the next record as in hand, as the reader does; ENDS when a bound is reached.

        Once the actor has come to its stop, no bound counts any more.
        """
        if self._words[PHASE] == STOPPING:
            return self._reader.advance(timeout)
        until = None if timeout is None else self._clock() + timeout
        while not self._is_reached():
            at = self._reader.advance(self._patience(until))
            if at >= 0:
                return self._count(at)
            if until is not None and self._clock() >= until:
                return NOTHING
        if self._words[STOP_ORDERED]:
            return self._reader.advance(timeout)  # an ordered stop wins
        if not self._has_served:
            # However short a life is meant to be: while messages wait, each one handles one.
            at = self._reader.advance(0.0)
            if at >= 0:
                return self._count(at)
        self.due = True
        return ENDS

    def step(self, timeout: float | None) -> int:
        """Step behind the message in hand first, and then `advance`."""
        self._reader.done(place=True)
        return self.advance(timeout)

    def done(self, *, place: bool) -> None:
        """Step behind the record in hand."""
        self._reader.done(place=place)

    def room(self) -> int | None:
        """Return how many items of the batch in hand this life may handle; None: any number."""
        return None if math.isinf(self._left) else int(self._left) + 1

    def spend(self, items: int) -> None:
        """Count the items of the batch in hand, which has counted as one message so far."""
        self._left -= items - 1

    def _count(self, at: int) -> int:
        if self._raw[at + KIND_AT] in MESSAGES:
            self._left -= 1
            self._has_served = True
        return at

    def _is_reached(self) -> bool:
        return (
            self._left <= 0
            or (self._until is not None and self._clock() >= self._until)
            or (self._most_resident is not None and resident_of("self") >= self._most_resident)
        )

    def _patience(self, until: float | None) -> float | None:
        """Return the seconds to wait for the next message; `until` is who asks."""
        ends = [instant for instant in (self._until, until) if instant is not None]
        if not ends:
            return None
        return min(max(0.0, min(ends) - self._clock()), LONGEST_WAIT_S)


def write_snapshot(runtime_dir: str, actor: int, encoded: Encoded) -> None:
    """Leave an encoded state for the next incarnation, whole or not at all.

    Raises:
        StorageFull: there is no room for it.
    """
    write_file(
        runtime_dir, _snapshot(actor), *pieces(encoded), what=f"the snapshot of actor {actor}"
    )


def take_snapshot(runtime_dir: str, actor: int) -> bytes | None:
    """Return the state that the life before has left, and remove it: it is used once.

    Removed before it is used, so that one which kills the actor is not tried again.
    """
    try:
        data = read_file(runtime_dir, _snapshot(actor))
    except FileNotFoundError:
        return None
    remove_file(runtime_dir, _snapshot(actor))
    return data


def _snapshot(actor: int) -> str:
    return f"actors/{actor}/snapshot"
