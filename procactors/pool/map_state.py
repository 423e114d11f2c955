"""One map's state and its chunks: items taken from the input at once, and what came of them.

Layer: pool. Runs in: the pool's process: the thread that iterates the map, and any that brings
news.
Owns: the segments of the items' payloads, until the last of a chunk has ended; the map's target.
Never: runs a user's code: items are encoded, and outcomes opened, by the map's job.

    job: items ─► Chunk ─► span ─► dispatcher ─► Chunk.ended ─► MapState.events ─► job
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import CancelledError
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from procactors.crash import CrashReport
from procactors.errors import ReplyError
from procactors.pool.batch import QUARANTINE, Load, Span, death_of
from procactors.pool.map_options import MapOptions
from procactors.pool.sizing import Pace
from procactors.pool.targets import Target
from procactors.runner.batches import ITEMS, STAR
from procactors.wire.result_table import FAILURE, Sealed

__all__ = ["BELL", "Chunk", "MapState", "News", "Single"]

#: An item that has not ended.
_PENDING: Any = object()

#: (chunk, from which item, how many have ended; negative: so many are to be sent one by one).
News: TypeAlias = "tuple[Chunk, int, int]"


class MapState:
    """What the chunks of a map have in common, and the map's job with them.

    Attributes:
        target: what is called.
        options: how; changed by an executor that reads the map aside.
        pace: what an item costs, as seen so far.
        events: news of the chunks, for the thread that iterates.
        aside: where another thread hears of each chunk's end, and what is to be sent one by one.
        closed: no more of its results are wanted.
        draining: nothing more is begun, and what is in hand is still wanted.
        open: chunks that have not ended. Under the dispatcher's lock.
        tries: of items that raised and were tried again, by their number: how often.
        keeps_items: items are wanted until their outcome has been looked at.
    """

    def __init__(
        self,
        target: Target,
        options: MapOptions,
        pace: Pace,
        events: SimpleQueue[News] | None = None,
    ) -> None:
        self.target = target
        self.options = options
        self.pace = pace
        self.events: SimpleQueue[News] = SimpleQueue() if events is None else events
        self.aside: SimpleQueue[News] | None = None
        self.closed = False
        self.draining = False
        self.open = 0
        self.tries: dict[int, int] = {}
        self.keeps_items = bool(options.retry_on)

    def together(self) -> int:
        """Return how many chunks are worth taking and sending together.

        Chunks of a size that the caller has chosen stay as they are, but tiny ones need not each
        cost a message, and a turn of all threads.
        """
        return self.pace.together(self.options.chunk) if self.options.chunk is not None else 1

    def chunk_ended(self) -> None:
        """Count one chunk less. Under the dispatcher's lock."""
        self.open -= 1
        if self.aside is not None:
            self.ring()
        if self.open:
            return
        if self.closed:
            self.target.free()
        if self.draining:
            self.events.put(BELL)  # the last chunk may be what the drain waits for

    def ring(self) -> None:
        """Have the thread beside the reader's look, if there is one."""
        if (aside := self.aside) is not None:
            aside.put(BELL)

    def close(self) -> None:
        """Want no more results; what comes later is dropped. Under the dispatcher's lock."""
        self.closed = True
        if self.aside is not None:
            self.ring()
        if not self.open:
            self.target.free()
        while not self.events.empty():
            try:
                chunk, _, count = self.events.get_nowait()
            except Empty:  # the reader was first
                break
            if count < 0:
                chunk.unwanted(-count)


class Chunk:
    """Some items in a row that were taken from the input at once (a `batch.Owner`).

    Attributes:
        base: number of its first item in the input.
        items: as they came; kept for those that have to be encoded once more.
        outcomes: what came of each; `_PENDING` until something has.
        left: how many have not ended.
        given: how many of the outcomes have been yielded.
        is_plain: all outcomes so far are values as they are, nothing has to be opened.
    """

    __slots__ = (
        "_deaths",
        "_loads",
        "_state",
        "base",
        "given",
        "is_plain",
        "items",
        "left",
        "outcomes",
        "pace",
    )

    def __init__(self, state: MapState, base: int, items: Sequence[Any]) -> None:
        self._state = state
        self.pace = state.pace
        self.base = base
        self.items = items
        self.outcomes: list[Any] = [_PENDING] * len(items)
        self.left = len(items)
        self.given = 0
        self.is_plain = True
        self._deaths: dict[int, int] = {}
        self._loads: list[Load] = []

    @property
    def source(self) -> object:
        """The map, which is withdrawn as a whole."""
        return self._state

    def span(self, load: Load, start: int, stop: int) -> Span:
        """Return the span of some of its items, whose payload is its own from now on."""
        self._loads.append(load)
        state = self._state
        return Span(
            self,
            state.target.name,
            state.target.named,
            load,
            STAR if state.options.spread else ITEMS,
            start,
            stop,
            state.options.timeout,
        )

    def begins(self, span: Span) -> bool:
        """Return whether the map's results are still wanted."""
        if self._state.closed or self._state.draining:
            self._count_ended(len(span))
            return False
        return True

    def ended(self, span: Span, at: int, outcomes: list[Any], is_plain: bool = False) -> None:
        """Keep outcomes until they are asked for."""
        if not self._state.closed:
            self.is_plain = self.is_plain and is_plain
            if len(outcomes) == len(self.outcomes):
                self.outcomes = outcomes
            else:
                self.outcomes[at : at + len(outcomes)] = outcomes
            self._state.events.put((self, at, len(outcomes)))
        self._count_ended(len(outcomes))

    def died(self, span: Span, report: CrashReport) -> Span | None:
        """Try the item again if that is allowed; else its error stands in its place."""
        at, state = span.start, self._state
        self._deaths[at] = deaths = self._deaths.get(at, 0) + 1
        tries = deaths + state.tries.get(self.base + at, 0)
        if tries <= state.options.retries and deaths < QUARANTINE:
            return span
        self.ended(span, at, [Sealed(FAILURE, death_of(report, deaths, span.timeout))])
        return None

    def unreadable(self, span: Span, why: str) -> None:
        """Have the items sent one by one: the one that cannot be loaded is to stand alone."""
        if self._state.closed:
            self._count_ended(len(span))
        else:
            self._state.events.put((self, span.start, -len(span)))
            self._state.ring()

    def unwanted(self, count: int) -> None:
        """Count so many items as ended: the job sends them no more. Under the dispatcher's lock."""
        self._count_ended(count)

    def refused(self, span: Span, error: Exception) -> None:
        """Let the error stand for each of the items."""
        self.ended(span, span.start, [Sealed(FAILURE, error)] * len(span))

    def cancel(self, span: Span) -> bool:
        """Let a CancelledError stand for each of the items: it is raised at the first of them."""
        self.refused(span, CancelledError())
        return True

    def ready_until(self, start: int) -> int:
        """Return behind which item from `start` on the first one lies that has not ended."""
        # Read first: what ends after it is found at the next look. In a drain, what was not begun
        # has ended without an outcome.
        if self.left or self._state.draining:
            with contextlib.suppress(ValueError):
                return self.outcomes.index(_PENDING, start)
        return len(self.outcomes)

    def fail(self, at: int, error: Exception) -> None:
        """Let an error stand in an item's place. Under the dispatcher's lock."""
        self.is_plain = False
        self.outcomes[at] = Sealed(FAILURE, error)
        self._state.events.put((self, at, 1))
        self._count_ended(1)

    def give_up(self) -> None:
        """Count the whole chunk as ended: not sent, or not wanted. Under the lock."""
        self._count_ended(self.left)

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
            self._state.open += 1
        self.left += 1

    def _count_ended(self, count: int) -> None:
        if self.left <= 0:
            return  # it has been given up, and this comes of what was sent of it all the same
        self.left -= count
        if self.left <= 0:
            for load in self._loads:
                load.free()
            self._loads.clear()
            if not self._state.keeps_items:
                self.items = []  # they may be large, and their results may wait for long
            self._state.chunk_ended()


class Single:
    """One item of a chunk, sent by itself: the only item of its own payload (an `Owner`)."""

    def __init__(self, chunk: Chunk, at: int) -> None:
        self._chunk = chunk
        self._at = at
        self.pace = chunk.pace

    @property
    def source(self) -> object:
        """The map, which is withdrawn as a whole."""
        return self._chunk.source

    def begins(self, span: Span) -> bool:
        """Return whether the map's results are still wanted."""
        return self._chunk.begins(span)

    def ended(self, span: Span, at: int, outcomes: list[Any], is_plain: bool = False) -> None:
        """Keep the outcome at the item's place in the chunk."""
        self._chunk.ended(span, self._at, outcomes, is_plain)

    def died(self, span: Span, report: CrashReport) -> Span | None:
        """Try the item again if that is allowed; else its error stands in its place."""
        moved = span.part(self._at, self._at + 1)
        return None if self._chunk.died(moved, report) is None else span

    def unreadable(self, span: Span, why: str) -> None:
        """Let the reason stand in the item's place: no other item can be to blame."""
        self._chunk.ended(span, self._at, [Sealed(FAILURE, ReplyError(why))])

    def refused(self, span: Span, error: Exception) -> None:
        """Let the error stand in the item's place."""
        self._chunk.ended(span, self._at, [Sealed(FAILURE, error)])

    def cancel(self, span: Span) -> bool:
        """Let a CancelledError stand in the item's place."""
        self.refused(span, CancelledError())
        return True


def _no_items() -> Chunk:
    chunk = Chunk.__new__(Chunk)  # of no map: left in a queue, it would hold that in a cycle
    chunk.items, chunk.outcomes, chunk.given, chunk.is_plain = [], [], 0, True
    return chunk


#: News of no items: there is something to look at that is no outcome.
BELL: News = (_no_items(), 0, 0)
