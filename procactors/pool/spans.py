"""What waits for a worker: spans of items, and who is told what came of them.

Layer: api. Runs in: the pool's process.
Owns: the segment of a large payload (`Load.free`).
Never: runs a user's code: values were encoded when they came, and are decoded where they go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from procactors.errors import ActorDied, ItemTimeout, Quarantined
from procactors.pool.sizing import Pace
from procactors.process.batch import INLINE, STORED, WireSpan
from procactors.supervision.crash import CrashReport, ExitKind
from procactors.wire.codec import Encoded
from procactors.wire.home import Home

if TYPE_CHECKING:
    from procactors.pool.member import Member

__all__ = ["QUARANTINE", "Load", "Owner", "Span", "death_of", "refuse"]

#: Bytes of a payload that travels in the message itself: with frame, envelope, sheet and the
#: function's name it must fit into the 4096 of a record.
_INLINE_BYTES = 3000

#: Workers that one item may kill. After that it is not tried again, whatever `retries` says.
QUARANTINE = 3


class Load:
    """Encoded items: in the message, or in a segment that stays until the last has ended.

    Args:
        home: of this process.
        encoded: the items.
        target: a worker's mailbox: with it a segment goes that its process has left.
        count: how many items they are.

    Raises:
        StorageFull: no room for a segment.
    """

    __slots__ = ("_home", "count", "data", "place")

    def __init__(self, home: Home, encoded: Encoded, target: int, count: int = 1) -> None:
        self._home = home
        self.count = count
        if not encoded.buffers and len(encoded.head) <= _INLINE_BYTES:
            self.data, self.place = encoded.head, INLINE
        else:
            self.data, self.place = home.store(encoded, target), STORED

    def free(self) -> None:
        """Let the segment be written again. Called once, when no worker will read it."""
        if self.place == STORED:
            self.place = INLINE
            data, self.data = self.data, b""
            self._home.free(data)


class Owner(Protocol):
    """Who is told what came of a span. Called in whichever thread brings the news, and brief.

    Attributes:
        pace: what its items cost.
    """

    pace: Pace

    def begins(self, span: Span) -> bool:
        """It is about to be sent; False: nobody wants it any more."""

    def ended(self, span: Span, at: int, outcomes: list[Any], is_plain: bool = False) -> None:
        """The items from `at` on have ended: their results, or `sheet.Sealed` ones.

        `is_plain` says that none of them is sealed.
        """

    def died(self, span: Span, report: CrashReport) -> Span | None:
        """The worker ended with this one item in hand; return the span that tries it again."""

    def unreadable(self, span: Span, why: str) -> None:
        """The items could not be loaded together, and none of them was begun."""

    def refused(self, span: Span, error: Exception) -> None:
        """None of the items was begun, and none will be."""

    def cancel(self, span: Span) -> bool:
        """Whoever has the pool wants none of the items any more; False: it was sent before."""


class Span:
    """Items of one load, in a row: what is sent, split, taken back and sent again.

    Attributes:
        owner: who is told.
        name: what is called, for people.
        function: the same as a batch names it.
        load: the items.
        form: how they are used (see `process.batch`).
        start, stop: which of them.
        timeout: seconds that one may take; None: any time.
        pinned: the worker that alone may have it, as long as it is there; None: any.
        is_strict: no other may have it when that one has gone.
    """

    __slots__ = (
        "form",
        "function",
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
        self.pinned: Member | None = None
        self.is_strict = False

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
        return part

    def wire(self) -> WireSpan:
        """Return it as it travels."""
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
        """About how many bytes it takes in a message."""
        return len(self.function) + len(self.load.data) + 32


def refuse(spans: Iterable[Span], error: Exception) -> None:
    """Tell the owners that nothing of these will be done."""
    for span in spans:
        span.owner.refused(span, error)


def death_of(report: CrashReport, deaths: int, timeout: float | None) -> ActorDied:
    """Return the error of an item that has ended a worker, and is not tried again.

    Args:
        report: of the last of the workers.
        deaths: how many it has ended.
        timeout: what it was allowed to take.
    """
    if report.reason.kind is ExitKind.HANG and timeout is not None:
        return ItemTimeout(
            f"the item took longer than timeout={timeout:g} s; {report.brief()}", report
        )
    if deaths > 1:
        text = f"the item ended {deaths} workers and is not tried again; {report.brief()}"
        return Quarantined(text, report)
    return ActorDied(report.brief(), report)
