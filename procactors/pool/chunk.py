"""Items that one map has taken from its input at once, and what came of them.

Layer: api. Runs in: the pool's process: the thread that iterates, and whichever brings news.
Owns: the segments of their payloads, until the last of them has ended.
Never: runs a user's code: items are encoded, and outcomes opened, by the map.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from procactors.errors import ReplyError
from procactors.pool.spans import QUARANTINE, Load, Span, death_of
from procactors.process.batch import ITEMS, STAR
from procactors.supervision.crash import CrashReport
from procactors.wire.sheet import FAILURE, Sealed

if TYPE_CHECKING:
    from procactors.pool.map import MapJob

__all__ = ["BELL", "Chunk", "Single"]

#: An item that has not ended.
_PENDING: Any = object()


class Chunk:
    """Some items in a row that were taken from the input at once (a `spans.Owner`).

    Attributes:
        base: number of its first item in the input.
        items: as they came; kept for those that have to be encoded once more.
        outcomes: what came of each; `_PENDING` while nothing did.
        left: how many have not ended.
        given: how many of the outcomes have been yielded.
        is_plain: all outcomes so far are values as they are, nothing has to be opened.
    """

    __slots__ = (
        "_deaths",
        "_loads",
        "base",
        "given",
        "is_plain",
        "items",
        "job",
        "left",
        "outcomes",
        "pace",
    )

    def __init__(self, job: MapJob, base: int, items: list[Any]) -> None:
        self.job = job
        self.pace = job.pace
        self.base = base
        self.items = items
        self.outcomes: list[Any] = [_PENDING] * len(items)
        self.left = len(items)
        self.given = 0
        self.is_plain = True
        self._deaths: dict[int, int] = {}
        self._loads: list[Load] = []

    def span(self, load: Load, start: int, stop: int) -> Span:
        """Return the span of some of its items, whose payload is its own from now on."""
        self._loads.append(load)
        job = self.job
        return Span(
            self,
            job.target.name,
            job.target.named,
            load,
            STAR if job.rules.spread else ITEMS,
            start,
            stop,
            job.rules.timeout,
        )

    def begins(self, span: Span) -> bool:
        """Say whether anybody still wants the map's results."""
        if self.job.closed or self.job.draining:
            self._settle(len(span))
            return False
        return True

    def ended(self, span: Span, at: int, outcomes: list[Any], is_plain: bool = False) -> None:
        """Keep outcomes until they are asked for."""
        if not self.job.closed:
            self.is_plain = self.is_plain and is_plain
            self.outcomes[at : at + len(outcomes)] = outcomes
            self.job.events.put((self, at, len(outcomes)))
        self._settle(len(outcomes))

    def died(self, span: Span, report: CrashReport) -> Span | None:
        """Try the item again if that is allowed; else its error stands in its place."""
        at = span.start
        self._deaths[at] = deaths = self._deaths.get(at, 0) + 1
        tries = deaths + self.job.raised(self.base + at)
        if tries <= self.job.rules.retries and deaths < QUARANTINE:
            return span
        self.ended(span, at, [Sealed(FAILURE, death_of(report, deaths, span.timeout))])
        return None

    def unreadable(self, span: Span, why: str) -> None:
        """Have the items sent one by one: the one that cannot be loaded is to stand alone."""
        if self.job.closed:
            self._settle(len(span))
        else:
            self.job.events.put((self, span.start, -len(span)))

    def unwanted(self, count: int) -> None:
        """Nobody will send so many of the items again. Under the dispatcher's lock."""
        self._settle(count)

    def refused(self, span: Span, error: Exception) -> None:
        """Let the error stand for each of the items."""
        self.ended(span, span.start, [Sealed(FAILURE, error)] * len(span))

    def cancel(self, span: Span) -> bool:
        """Whoever iterates is told at the first of its items."""
        self.refused(span, CancelledError())
        return True

    def ready_until(self, start: int) -> int:
        """Return behind which item from `start` on the first one lies that has not ended."""
        # Read first: what ends after it is found at the next look. In a drain, what was not begun
        # has ended without an outcome.
        if self.left or self.job.draining:
            with contextlib.suppress(ValueError):
                return self.outcomes.index(_PENDING, start)
        return len(self.outcomes)

    def fail(self, at: int, error: Exception) -> None:
        """Let an error stand in an item's place. Under the dispatcher's lock."""
        self.is_plain = False
        self.outcomes[at] = Sealed(FAILURE, error)
        self.job.events.put((self, at, 1))
        self._settle(1)

    def give_up(self) -> None:
        """Nothing of it was sent, or will be waited for. Under the dispatcher's lock."""
        self._settle(self.left)

    def is_done(self, at: int) -> bool:
        """Whether an item has ended and its outcome has not been taken."""
        return self.outcomes[at] is not _PENDING

    def deaths(self, at: int) -> int:
        """Return how many workers an item has ended."""
        return self._deaths.get(at, 0)

    def reopen(self, at: int) -> None:
        """Let one of its items be run once more. Under the dispatcher's lock."""
        self.outcomes[at] = _PENDING
        if not self.left:
            self.job.chunk_opened()
        self.left += 1

    def _settle(self, count: int) -> None:
        if self.left <= 0:
            return  # it has been given up, and this comes of what was sent of it all the same
        self.left -= count
        if self.left <= 0:
            for load in self._loads:
                load.free()
            self._loads.clear()
            if not self.job.keeps_items:
                self.items = []  # they may be large, and their results may wait for long
            self.job.chunk_ended()


class Single:
    """One item of a chunk that is sent by itself, at place 0 of its own payload (an `Owner`)."""

    def __init__(self, chunk: Chunk, at: int) -> None:
        self._chunk = chunk
        self._at = at
        self.job = chunk.job
        self.pace = chunk.pace

    def begins(self, span: Span) -> bool:
        """As the chunk's."""
        return self._chunk.begins(span)

    def ended(self, span: Span, at: int, outcomes: list[Any], is_plain: bool = False) -> None:
        """As the chunk's, at its place there."""
        self._chunk.ended(span, self._at, outcomes, is_plain)

    def died(self, span: Span, report: CrashReport) -> Span | None:
        """As the chunk's, at its place there."""
        moved = span.part(self._at, self._at + 1)
        return None if self._chunk.died(moved, report) is None else span

    def unreadable(self, span: Span, why: str) -> None:
        """Let the reason stand in its place: there is nobody else to blame."""
        self._chunk.ended(span, self._at, [Sealed(FAILURE, ReplyError(why))])

    def refused(self, span: Span, error: Exception) -> None:
        """Let the error stand in its place."""
        self._chunk.ended(span, self._at, [Sealed(FAILURE, error)])

    def cancel(self, span: Span) -> bool:
        """As the chunk's, at its place there."""
        self.refused(span, CancelledError())
        return True


def _no_items() -> Chunk:
    chunk = Chunk.__new__(Chunk)  # of no job: left in a queue, it would hold that in a circle
    chunk.items, chunk.outcomes, chunk.given, chunk.is_plain = [], [], 0, True
    return chunk


#: News of no items: there is something to look at that is no outcome.
BELL = (_no_items(), 0, 0)
