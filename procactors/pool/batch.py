"""What a pool sends, and to which worker: spans of items, batches of spans, a slot a worker.

Layer: pool. Runs in: the pool's process, under the dispatcher's lock.
Owns: the segment of a large payload (`Load.free`).
Never: decides what is sent next (`dispatch`), or what follows from an answer (`batch_policy`);
runs a user's code: values are encoded before they come here, and decoded where they go.

    owner (a call, a chunk of a map) ─► span ─► batch of spans ─► worker slot
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from procactors.crash import CrashReport, ExitKind
from procactors.errors import ActorDied, ItemTimeout, Quarantined
from procactors.pool.sizing import PREFETCH_S, Pace
from procactors.runner.batches import INLINE, STORED, TIMED, WireSpan
from procactors.runtime.ref import ActorRef
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.codec import Encoded
from procactors.wire.replies.port import Answer
from procactors.wire.result_table import STARTED, ResultTable

__all__ = [
    "QUARANTINE",
    "SEEN_S",
    "Batch",
    "Load",
    "Owner",
    "Span",
    "WorkerSlot",
    "death_of",
    "refuse",
]

#: Bytes of a payload that travels in the message itself: with frame, envelope, result table and the
#: function's name it must fit into the 4096 of a record.
_INLINE_BYTES = 3000

#: Seconds after which a lowered limit has been seen: a store reaches the other cores within
#: microseconds, and the worker reads the limit behind each of its marks.
SEEN_S = 0.002

#: Workers that one item may kill. After that it is not tried again, whatever `retries` says.
QUARANTINE = 3


class Load:
    """Encoded items: in the message, or in a segment that stays until the last has ended.

    Args:
        store: of this process.
        encoded: the items.
        target: a worker's mailbox; the segment is swept with it when its process has left it.
        count: how many items there are.

    Raises:
        StorageFull: no room for a segment.
    """

    __slots__ = ("_store", "count", "data", "place")

    def __init__(self, store: PayloadStore, encoded: Encoded, target: int, count: int = 1) -> None:
        self._store = store
        self.count = count
        if not encoded.buffers and len(encoded.head) <= _INLINE_BYTES:
            self.data, self.place = encoded.head, INLINE
        else:
            self.data, self.place = store.store(encoded, target), STORED

    def encoded(self) -> Encoded:
        """Return the items as they were encoded.

        Raises:
            FileNotFoundError: their segment is gone.
        """
        if self.place == INLINE:
            return Encoded(self.data, ())
        received = self._store.fetch(self.data)
        encoded = Encoded(bytes(received.head), list(received.buffers))
        received.leave()
        return encoded

    def free(self) -> None:
        """Let the segment be written again. Called once, when no worker will read it."""
        if self.place == STORED:
            self.place = INLINE
            data, self.data = self.data, b""
            self._store.free(data)


class Owner(Protocol):
    """What a span's items belong to: it takes their outcomes.

    Called in whichever thread brings the news, under the dispatcher's lock, and brief.

    Attributes:
        pace: what its items cost.
        source: what all of it is withdrawn with (see `Dispatcher.withdraw`).
    """

    pace: Pace

    @property
    def source(self) -> object:
        """What the owner is part of: its map; a call is part of nothing but itself."""

    def begins(self, span: Span) -> bool:
        """Return whether the span, about to be sent, is still wanted."""

    def ended(self, span: Span, at: int, outcomes: list[Any], is_plain: bool = False) -> None:
        """Take the outcomes of the items from `at` on: results, or `result_table.Sealed` ones.

        `is_plain` says that none of them is sealed.
        """

    def died(self, span: Span, report: CrashReport) -> Span | None:
        """Hear that the worker ended with this one item in hand; return what tries it again."""

    def unreadable(self, span: Span, why: str) -> None:
        """Hear that the items could not be loaded together, and none of them was begun."""

    def refused(self, span: Span, error: Exception) -> None:
        """Hear that none of the items was begun, and none will be."""

    def cancel(self, span: Span) -> bool:
        """Give the items up, and return True; False: they were sent before."""


class Span:
    """Items of one load, in a row: what is sent, split, taken back and sent again.

    Attributes:
        owner: takes the outcomes.
        name: what is called, for people.
        function: what is called, as a batch names it.
        load: the items.
        form: how they are used (see `runner.batches`).
        start, stop: which of them.
        timeout: seconds that one may take; None: any time.
        pinned: the worker that alone may have it, as long as it is there; None: any.
        is_strict: no other may have it when that one has gone.
        is_alone: nothing else is sent with it: if its worker dies, it is to blame.
    """

    __slots__ = (
        "form",
        "function",
        "is_alone",
        "is_strict",
        "load",
        "name",
        "owner",
        "pinned",
        "start",
        "stop",
        "timeout",
    )

    def __init__(
        self,
        owner: Owner,
        name: bytes,
        function: bytes,
        load: Load,
        form: int,
        start: int,
        stop: int,
        timeout: float | None = None,
    ) -> None:
        self.owner = owner
        self.name = name
        self.function = function
        self.load = load
        self.form = form
        self.start = start
        self.stop = stop
        self.timeout = timeout
        self.pinned: WorkerSlot | None = None
        self.is_strict = False
        self.is_alone = False

    def __len__(self) -> int:
        return self.stop - self.start

    def part(self, start: int, stop: int) -> Span:
        """Return a span of some of its items."""
        part = Span(
            self.owner,
            self.name,
            self.function,
            self.load,
            self.form,
            start,
            stop,
            self.timeout,
        )
        part.pinned, part.is_strict = self.pinned, self.is_strict
        part.is_alone = self.is_alone
        return part

    def singles(self) -> Iterator[Span]:
        """Yield its items, each to be sent alone."""
        for at in range(self.start, self.stop):
            single = self.part(at, at + 1)
            single.is_alone = True
            yield single

    def wire(self) -> WireSpan:
        """Return the span as it travels."""
        load = self.load
        return WireSpan(
            self.function,
            load.data,
            load.place,
            self.form,
            self.start,
            self.stop,
            load.count == 1,
        )

    @property
    def wire_bytes(self) -> int:
        """About how many bytes the span takes in a message."""
        return len(self.function) + len(self.load.data) + 32


class WorkerSlot:
    """One worker as its pool sees it, and what is on its way to it.

    Attributes:
        ref: the actor; the system's, not the slot's.
        index: its number in the pool, from 0; never given to another.
        batches: what it has been sent and has not answered, oldest first.
        own: spans that only it may have.
        leaving: it gets nothing new.
        accused: it is being killed, perhaps: nothing is sent until that is known.
        idle_since: when it last ran out of work (monotonic).
        false_starts: deaths in a row before it had looked at the batch in hand.
    """

    __slots__ = (
        "accused",
        "batches",
        "false_starts",
        "idle_since",
        "index",
        "leaving",
        "own",
        "ref",
    )

    def __init__(self, ref: ActorRef[Any], index: int, now: float) -> None:
        self.ref = ref
        self.index = index
        self.batches: list[Batch] = []
        self.own: deque[Span] = deque()
        self.leaving = False
        self.accused = False
        self.idle_since = now
        self.false_starts = 0

    @property
    def load(self) -> int:
        """How many items the worker has before it."""
        return sum(batch.count for batch in self.batches) + sum(map(len, self.own))

    def release(self) -> list[Span]:
        """Return, and forget, the spans that have waited for this worker alone."""
        spans = list(self.own)
        self.own.clear()
        return spans

    def has_room(self) -> bool:
        """Whether the worker may be sent something now: it is free, or nearly."""
        if self.accused or len(self.batches) > 1:
            return False
        if not self.batches:
            return True
        expected = self.batches[0].expected_s()
        return expected is not None and expected <= PREFETCH_S


class Batch:
    """Some spans that one worker has been sent in one message.

    Args:
        on_answer: called in the reader thread with the batch, and the worker's answer or the error
            that stands for it.

    Attributes:
        slot: the worker.
        call: id of its message; None: it is not sent.
        spans: in the order in which they are run.
        timeout: seconds that each of its items may take; None: any time.
        result_table: where their outcomes are written down; leased until the answer has come.
        number: names it on its result table.
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
        "_on_answer",
        "accused_of",
        "call",
        "count",
        "limit",
        "limited_at",
        "number",
        "result_table",
        "sent_at",
        "slot",
        "spans",
        "stolen_from",
        "suspect",
        "taken",
        "timeout",
    )

    is_awaited = True  # a worker is free when it has come

    def __init__(
        self,
        slot: WorkerSlot,
        spans: list[Span],
        result_table: ResultTable,
        number: int,
        now: float,
        on_answer: Callable[[Batch, Answer | None, BaseException | None], None],
    ) -> None:
        self._on_answer = on_answer
        self.call: int | None = None
        self.slot = slot
        self.spans = spans
        self.timeout = spans[0].timeout  # alike in all that go together
        self.result_table = result_table
        self.number = number
        count = 0
        for span in spans:
            count += span.stop - span.start
        self.count = self.limit = self.stolen_from = count
        self.sent_at = now
        self.taken = 0
        self.limited_at: float | None = None
        self.suspect: tuple[tuple[int, int], float] | None = None
        self.accused_of: tuple[int, int, int, int] | None = None
        result_table.prepare(number, self.count)

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:
        """Take the worker's answer from the reader thread."""
        self._on_answer(self, answer, error)

    @property
    def flags(self) -> int:
        """What the worker is to heed of this batch, as bits."""
        return TIMED if self.timeout is not None else 0

    @property
    def has_started(self) -> bool:
        """Whether the worker has taken the batch."""
        return bool(self.result_table.words[STARTED])

    @property
    def is_cut_off(self) -> bool:
        """Whether the worker, which is gone, took the batch and was not through with it."""
        return self.result_table.words[STARTED] == 1

    def expected_s(self) -> float | None:
        """Return the seconds that the batch will take in sum; None if not known yet."""
        return self.spans[0].owner.pace.takes_s(self.count)

    def done(self) -> int:
        """Return how many items are done, as far as they are still the worker's."""
        return self.result_table.done(self.stolen_from, self.taken)

    def first_free(self) -> int:
        """Return the first item that is not begun, and never will be: `SEEN_S` after `lower`."""
        if self.result_table.is_blind:
            return self.count  # nobody sees how far it is
        done = self.done()
        # What lies behind the limit is not begun: the worker reads the limit behind each mark. Only
        # where it had come further than was seen when the limit was lowered, it may have one item
        # more in hand.
        return self.limit if done < self.limit or not self.has_started else done + 1

    def lower(self, limit: int, now: float) -> None:
        """Let the worker begin no item from `limit` on."""
        if limit < self.limit:
            self.limit = limit
            self.limited_at = now
            self.result_table.lower(limit)

    def parts(self, start: int, stop: int) -> Iterator[tuple[Span, int]]:
        """Yield (span, its place in the batch) for the items `start` to `stop`, cut to them."""
        at = 0
        for span in self.spans:
            end = at + span.stop - span.start
            if start <= at and end <= stop:
                yield span, at
            else:
                first, last = max(start, at), min(stop, end)
                if first < last:
                    offset = span.start - at
                    yield span.part(first + offset, last + offset), first
            at = end


def refuse(spans: Iterable[Span], error: Exception) -> None:
    """Tell the owners of these spans that none of their items will be done."""
    for span in spans:
        span.owner.refused(span, error)


def death_of(report: CrashReport, deaths: int, timeout: float | None) -> ActorDied:
    """Return the error of an item that has ended a worker, and is not tried again.

    Args:
        report: of the last of the workers.
        deaths: how many workers the item has ended.
        timeout: seconds that the item was allowed to take.
    """
    if report.reason.kind is ExitKind.HANG and timeout is not None:
        return ItemTimeout(
            f"the item took longer than timeout={timeout:g} s; {report.brief()}", report
        )
    if deaths > 1:
        text = f"the item ended {deaths} workers and is not tried again; {report.brief()}"
        return Quarantined(text, report)
    return ActorDied(report.brief(), report)
