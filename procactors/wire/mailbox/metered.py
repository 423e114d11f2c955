"""A mailbox's reader that counts what is handled, for each method, and how long that took.

Layer: wire. Runs in: actor, main thread.
Owns: the meter (`close`).
Never: costs a quick message more than a comparison or two.

What it counts it counts behind the stores by which a message is handled. Of quick messages of one
method, one behind the other in a batch, those before the last are counted in one piece, at their
mean: how many they are is known from the box.
"""

from __future__ import annotations

from time import monotonic_ns

from procactors.wire.mailbox.black_box import BUSY_SINCE, DELIVERIES, HANDLED, IN_HAND, STATE
from procactors.wire.mailbox.meter import Meter, add, scratch
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.meter_table import FINE_NS, FINE_SHIFT, INDEX, SECOND, SUM, index_of
from procactors.wire.record import stamp_of

__all__ = ["MeteredReader"]

#: A message that takes no longer is counted with those behind it: that is four times what one costs
#: that does nothing, and most others cost more.
_QUICK_NS = 16_384
#: From the index of a column to that of the same one in the second histogram.
_TO_SECOND = SECOND - SUM


class MeteredReader(MailboxReader):
    """A reader that counts.

    Args:
        path: the mailbox's directory.
        meter: what it fills; None: nothing is counted.
    """

    def __init__(self, path: str, meter: Meter | None = None) -> None:
        super().__init__(path)
        self.meter = meter
        # Where the message in hand is counted: what is no message, where nobody looks.
        self._nowhere = self._row = scratch()
        # When it was begun; when the first was that is not counted, and how many were handled then.
        self._began = self._since = self._base = 0
        if meter is not None:
            meter.words = self._words

    def advance(self, timeout: float | None = None) -> int:
        """Mark the next record as in hand; return its offset, as every reader does."""
        at = super().advance(timeout)
        words = self._words
        self._began = self._since = words[BUSY_SINCE]
        self._base = words[HANDLED]
        return at

    def step(self, timeout: float | None = None) -> int:
        """Do `done(place=True)` and then `advance`, in one call: see `MailboxReader.step`."""
        words = self._words
        if words[DELIVERIES] or self._tokens is not None:
            self.done(place=True)
            return self.advance(timeout)
        word = words[STATE]
        offset = (word >> 16) & 0xFFFFFF
        behind, fill = offset + self._lengths[offset >> 2], word >> 40
        if behind < fill:
            words[BUSY_SINCE] = now = monotonic_ns()
            words[STATE] = fill << 40 | behind << 16 | IN_HAND
            words[HANDLED] += 1
            if now - self._began > _QUICK_NS:
                self._count(now)
            self._began = now
            return behind
        words[STATE] = fill << 40 | behind << 16
        words[HANDLED] += 1
        now = monotonic_ns()
        took = now - self._began
        if self._since != self._began or took >= FINE_NS:
            self._count(now)
        else:  # the same of one message, without a call
            row = self._row
            row[INDEX[took >> FINE_SHIFT]] += 1
            row[SUM] += took
            self._base += 1
        if not self._refill(fill, timeout):
            return -1
        words[BUSY_SINCE] = self._began = self._since = monotonic_ns()
        words[STATE] |= IN_HAND
        return 0

    def done(self, *, place: bool, handled: int = 1) -> None:
        """Step behind the record in hand: see `MailboxReader.done`."""
        super().done(place=place, handled=handled)
        if handled:
            self._count(monotonic_ns())

    def turn(self, key: bytes | None) -> None:
        """Count the message in hand for the method of a key; None: for no method."""
        handled = self._words[HANDLED]
        if handled > self._base:
            add(self._row, SUM, self._began - self._since, handled - self._base)
        self._since, self._base = self._began, handled
        meter = self.meter
        self._row = self._nowhere if meter is None or key is None else meter.shows(key)
        self.key = key

    def waited(self, at: int) -> None:
        """Count how long the message at an offset of the batch has waited: it is stamped."""
        if self._words[DELIVERIES]:
            return  # it has waited, and was begun
        sent, standing = stamp_of(self.box.batch, at + self._lengths[at >> 2])
        took = max(0, self._began - sent)
        row = self._row
        at = INDEX[took >> FINE_SHIFT] if took < FINE_NS else index_of(took)
        row[_TO_SECOND + at] += standing
        row[SECOND] += took * standing

    def close(self) -> None:
        """Close this process's ends, and the meter."""
        self._row = self._nowhere
        if self.meter is not None:
            self.meter.close()
        super().close()

    def _count(self, now: int) -> None:
        """Count the message that was in hand until now, and those before it."""
        row, handled, took = self._row, self._words[HANDLED], now - self._began
        if handled - self._base > 1:
            add(row, SUM, self._began - self._since, handled - self._base - 1)
        row[index_of(took)] += 1
        row[SUM] += took
        self._since, self._base = now, handled
