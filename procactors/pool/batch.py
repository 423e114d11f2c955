"""A batch on its way: which spans it has, on which sheet, and how far it is.

Layer: api. Runs in: the pool's process.
Owns: the lease of its sheet, until its answer has come.
Never: decides what follows: that is the dispatcher's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from procactors.pool.spans import Span
from procactors.process.batch import TIMED
from procactors.wire.reply import Answer
from procactors.wire.sheet import LIMIT, STARTED, Sheet

if TYPE_CHECKING:
    from procactors.pool.dispatch import Dispatcher
    from procactors.pool.member import Member

__all__ = ["Batch"]


class Batch:
    """Some spans that one worker has been sent in one message.

    Attributes:
        member: the worker.
        spans: in the order in which they are run.
        sheet: where their outcomes are written down.
        number: names it on its sheet.
        count: items in sum.
        sent_at: when it was sent (monotonic).
        taken: items whose outcomes have been handed over.
        limit: items that the worker may begin, as far as the pool has said.
        limited_at: when the limit was lowered; None if it was not.
        stolen_from: items from here on were taken back; `count` if none were.
        suspect: an item that was seen in hand without a time of its own, and since when.
        accused_of: what was seen to take too long: the item, when it began, the process, and the
            messages that this had handled before.
    """

    __slots__ = (
        "accused_of",
        "count",
        "dispatcher",
        "limit",
        "limited_at",
        "member",
        "number",
        "sent_at",
        "sheet",
        "spans",
        "stolen_from",
        "suspect",
        "taken",
    )

    def __init__(
        self,
        dispatcher: Dispatcher,
        member: Member,
        spans: list[Span],
        sheet: Sheet,
        number: int,
        now: float,
    ) -> None:
        self.dispatcher = dispatcher
        self.member = member
        self.spans = spans
        self.sheet = sheet
        self.number = number
        self.count = self.limit = self.stolen_from = sum(map(len, spans))
        self.sent_at = now
        self.taken = 0
        self.limited_at: float | None = None
        self.suspect: tuple[tuple[int, int], float] | None = None
        self.accused_of: tuple[int, int, int, int] | None = None
        sheet.prepare(number, self.count)

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:
        """Take the worker's answer from the reader thread."""
        self.dispatcher.ended(self, answer, error)

    @property
    def flags(self) -> int:
        """What the worker is to heed."""
        return TIMED if self.spans[0].timeout is not None else 0

    @property
    def has_started(self) -> bool:
        """Whether the worker has taken it."""
        return bool(self.sheet.words[STARTED])

    @property
    def is_cut_off(self) -> bool:
        """Whether the worker has taken it and was not through with it; asked behind its end."""
        return self.sheet.words[STARTED] == 1

    def expected_s(self) -> float | None:
        """Return the seconds that it will take in sum; None if nobody knows."""
        return self.spans[0].owner.pace.takes_s(self.count)

    def done(self) -> int:
        """Return how many items are done, as far as they are still the worker's."""
        return self.sheet.done(self.stolen_from, self.taken)

    def lower(self, limit: int, now: float) -> None:
        """Let the worker begin no item from `limit` on."""
        if limit < self.limit:
            self.limit = limit
            self.limited_at = now
            self.sheet.words[LIMIT] = limit

    def parts(self, start: int, stop: int) -> Iterator[tuple[Span, int]]:
        """Yield (span, its place in the batch) for the items `start` to `stop`, cut to them."""
        at = 0
        for span in self.spans:
            first, last = max(start, at), min(stop, at + len(span))
            if first < last:
                offset = span.start - at
                whole = (first, last) == (at, at + len(span))
                part = span if whole else span.part(first + offset, last + offset)
                yield part, first
            at += len(span)
