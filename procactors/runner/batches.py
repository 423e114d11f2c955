"""Batches: many items of a pool in one message, each written down as soon as it is done.

Layer: runner. Runs in: worker (`BatchRunner`); `pack_batch` in the pool's process.
Owns: maps of the pool's result tables, for the life of the process.
Never: begins an item behind the result table's limit; holds a result in memory while the next one
runs.

    message ─► started ─┬─► load ─► limit? ─► run ─► result on the result table ─► mark ─┬─► reply
                        └─── next span ◄─────────────────────── next item ◄──────┘

The pool lowers the limit to take back what has not begun, and looks some milliseconds later at
the marks: an item at or behind the limit that is not begun by then never will be, since the worker
reads the limit behind the store of each mark.
"""

from __future__ import annotations

import functools
import pickle
from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from procactors.errors import (
    DecodeError,
    EncodeError,
    ResultEncodeError,
    StorageFull,
)
from procactors.light_tuple import NamedTuple
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.pickle_errors import describe_load
from procactors.wire.raised import by_signal, one_line
from procactors.wire.replies.failures import pack_failure, short_failure
from procactors.wire.result_table import (
    BATCH,
    CANCELLED,
    FAILURE,
    FALSE,
    FLOAT,
    FUNCTION,
    LIMIT,
    LOADING,
    MOST_ITEMS,
    NONE,
    OUTSIDE,
    PAYLOAD,
    RESERVE,
    SET,
    STARTED,
    TEXT,
    TRUE,
    UTF8,
    VALUE,
    ResultTable,
    open_result_table,
)

__all__ = [
    "CALL",
    "INLINE",
    "ITEMS",
    "STAR",
    "STORED",
    "TIMED",
    "BatchRunner",
    "Outcome",
    "WireSpan",
    "by_reference",
    "by_value",
    "method_named",
    "pack_batch",
]

#: How a span's payload is used: CALL is (args, kwargs) of one call; ITEMS are first arguments,
#: STAR are argument tuples, one an item.
CALL, ITEMS, STAR = range(3)
#: Where a span's payload is: in the message, or in a segment that the pool frees.
INLINE, STORED = range(2)

#: Flag: note when each item begins.
TIMED = 1

#: Functions, large functions and result tables that a worker keeps at hand. A large one may be a
#: partial with an array of gigabytes: those that maps go on with are kept, not those of calls gone
#: by.
_KEPT_FUNCTIONS, _KEPT_LARGE, _KEPT_TABLES = 256, 2, 64

_dumps = pickle.dumps
_loads = pickle.loads
_new = tuple.__new__  # past NamedTuple's own constructor: half the cost
#: Opcode behind every class and function in a pickle: without it C pickle's result stands.
_STACK_GLOBAL = 0x93


class WireSpan(NamedTuple):
    """Some items of one payload, in a row, as they travel.

    Attributes:
        function: what to call: see `method_named`, `by_value` and `by_reference`.
        payload: the pickled items, or the reference of their segment.
        place: INLINE or STORED.
        form: CALL, ITEMS or STAR.
        start, stop: which of the items.
        alone: the payload has no other item, so that whatever is wrong with it is wrong with this.
    """

    function: bytes
    payload: bytes
    place: int
    form: int
    start: int
    stop: int
    alone: bool


class Outcome(NamedTuple):
    """A worker's reply to a batch; it travels as a plain tuple, at half the cost.

    Attributes:
        done: items that are marked on the result table.
        spent_ns: nanoseconds for loading and running them.
        trouble: why the span behind them could not be loaded as a whole; empty if it was.
    """

    done: int
    spent_ns: int
    trouble: str


def method_named(key: bytes) -> bytes:
    """Return a method of the worker's, by the key under which it travels, as a function."""
    return b"m" + key


def by_value(pickled: bytes) -> bytes:
    """Return a pickled function as a batch names it."""
    return b"f" + pickled


def by_reference(reference: bytes) -> bytes:
    """Return a function whose pickle is in a segment."""
    return b"r" + reference


def pack_batch(
    process: int, result_table: int, batch: int, reply: int, flags: int, spans: Sequence[WireSpan]
) -> bytes:
    """Return a batch as the message's pickle: arguments of `BatchRunner.run`.

    Args:
        process: token of the pool's process.
        result_table: number of its result table.
        batch: number of the batch.
        reply: number of the pool's reply port.
        flags: TIMED or 0.
        spans: what to run.
    """
    # Plain tuples: a class's name in the pickle would cost more than all of the rest.
    work = (process, result_table, batch, reply, flags, [tuple(span) for span in spans])
    return _dumps((work, {}), 5)


class BatchRunner:
    """Runs the batches that one worker is sent.

    Args:
        store: for loading and encoding.
        find: returns the bound method for a method's key; raises UnknownMethod.
        room: returns how many items may be handled before this life makes way; None: any number.
        spend: called with how many items were handled.
    """

    def __init__(
        self,
        store: PayloadStore,
        find: Callable[[bytes], Callable[..., Any]],
        room: Callable[[], int | None],
        spend: Callable[[int], None],
    ) -> None:
        self._store = store
        self._find = find
        self._room = room
        self._spend = spend
        self._result_tables: OrderedDict[tuple[int, int], ResultTable] = OrderedDict()
        self._functions: OrderedDict[bytes, Callable[..., Any]] = OrderedDict()
        self._large: OrderedDict[bytes, Callable[..., Any]] = OrderedDict()
        self._work: _Work | None = None

    def run(
        self,
        process: int,
        number: int,
        batch: int,
        reply: int,
        flags: int,
        spans: Sequence[tuple[Any, ...]],
    ) -> tuple[int, int, str]:
        """Run a batch as far as its limit; what is raised beside `Exception` ends the actor.

        Returns the fields of an `Outcome`.
        """
        result_table = self._result_table(process, number)
        words = result_table.words
        if words[BATCH] != batch:
            raise RuntimeError(f"expected batch {batch} on its result table, found {words[BATCH]}")
        words[STARTED] = 1
        began = self._store.now_ns()
        self._work = work = _Work(self._store, result_table, reply, flags, self._room())
        trouble = ""
        for fields in spans:
            if work.is_over():
                break
            trouble = self._run_span(work, _new(WireSpan, fields))
            if trouble:
                break
        self._spend(work.done)
        words[STARTED] = 2
        return work.done, self._store.now_ns() - began, trouble

    @property
    def is_cancelled(self) -> bool:
        """Whether the caller of the item in hand, of a batch in hand, does not want it any more."""
        work = self._work
        return work is not None and work.is_cancelled()

    def _run_span(self, work: _Work, span: WireSpan) -> str:
        """Run one span; return why its items could not be loaded as a whole, or nothing."""
        words = work.result_table.words
        try:
            words[LOADING] = FUNCTION
            function = self._function(span.function)
            words[LOADING] = PAYLOAD
            items = self._load(span)
        except Exception as error:  # noqa: BLE001 - whatever unpickling the user's value raised
            words[LOADING] = 0
            text = f"could not be unpickled in the worker: {self._describe(span, error)}"
            if not span.alone:
                return f"an item {text}"
            work.fail(DecodeError(f"the item {text}"))
            return ""
        # Not in a `finally`: what ends the process while it loads leaves the word as it is.
        words[LOADING] = 0
        if span.form == CALL:
            args, kwargs = items
            # A partial has no frame of its own: the traceback begins in the user's code.
            call = functools.partial(function, **kwargs) if kwargs else function
            work.run(call, (args,), spread=True)
        else:
            stop = min(span.stop, span.start + work.room_left)
            work.run(function, items[span.start : stop], spread=span.form == STAR)
        return ""

    def _load(self, span: WireSpan) -> Any:
        return self._fetch(span.payload) if span.place == STORED else _loads(span.payload)

    def _fetch(self, reference: bytes) -> Any:
        """Load what is in a segment of the pool's, which frees it when its last item has ended."""
        received = self._store.fetch(reference)
        try:
            return _loads(received.head, buffers=received.buffers)
        finally:
            received.leave()

    def _describe(self, span: WireSpan, error: Exception) -> str:
        if not span.alone or span.place == STORED:
            return one_line(error)
        return describe_load(span.payload, (), error)

    def _function(self, named: bytes) -> Callable[..., Any]:
        if named[:1] == b"m":
            return self._find(named[1:])
        is_small = named[:1] == b"f"
        kept = self._functions if is_small else self._large
        function = kept.get(named)
        if function is None:
            load: Callable[[bytes], Callable[..., Any]] = _loads if is_small else self._fetch
            function = load(named[1:])
            if is_small and (type(function) is not FunctionType or function.__closure__):
                return function  # it may hold state, and that is this batch's alone
            if len(kept) >= (_KEPT_FUNCTIONS if is_small else _KEPT_LARGE):
                kept.popitem(last=False)
            # A reference names one writing of its segment: it is good as a key, too.
            kept[named] = function
        return function

    def _result_table(self, process: int, number: int) -> ResultTable:
        result_table = self._result_tables.get((process, number))
        if result_table is None:
            result_table = open_result_table(self._store, process, number)
            self._result_tables[process, number] = result_table
            if len(self._result_tables) > _KEPT_TABLES:
                self._result_tables.popitem(last=False)[1].close()
        return result_table


class _Work:
    """One batch being worked off: what is done, and where the next result goes.

    Args:
        store: for encoding.
        result_table: the batch's.
        reply: the pool's reply port.
        flags: see `pack_batch`.
        room: items that this life may handle; None: any number. Not stored as the limit, which
            the pool alone writes: it would undo what the pool has just taken back.

    Attributes:
        done: items that are marked.
    """

    def __init__(
        self,
        store: PayloadStore,
        result_table: ResultTable,
        reply: int,
        flags: int,
        room: int | None,
    ) -> None:
        self.result_table = result_table
        self.done = 0
        self._store = store
        self._reply = reply
        self._flags = flags
        self._room = MOST_ITEMS if room is None else room
        self._end = 0  # of the last result's bytes in the area
        self._last_start = len(result_table.area) - RESERVE

    @property
    def room_left(self) -> int:
        """How many items this life may still handle."""
        return self._room - self.done

    def is_cancelled(self) -> bool:
        """Whether the item in hand is the one that is cancelled: the first that has no mark."""
        table, at = self.result_table, self.done
        number = table.words[CANCELLED]
        return number > at and table.done(number, at) == number - 1

    def is_over(self) -> bool:
        """Whether no further item may be begun."""
        most = min(self._room, self.result_table.words[LIMIT])
        return self.done >= most or self._end > self._last_start

    def run(  # noqa: C901, PLR0912 - each call that would make it simpler costs a third of a tiny item
        self, function: Callable[..., Any], items: Sequence[Any], *, spread: bool
    ) -> None:
        """Run items one after the other, as far as the limit.

        Flat, and numbers first: a tiny item costs 0.14 microseconds here, and a pickle two.
        """
        result_table = self.result_table
        words, is_lowered, marks, floats, kinds, area = (
            result_table.words,
            result_table.is_lowered,
            result_table.marks,
            result_table.floats,
            result_table.kinds,
            result_table.area,
        )
        timed, now_ns = self._flags & TIMED, self._store.now_ns
        for at, item in enumerate(items, self.done):
            if is_lowered and at >= words[LIMIT]:
                self.done = at
                return
            if timed:
                result_table.begin_item(now_ns())
            try:
                value = function(*item) if spread else function(item)
            except Exception as error:  # noqa: BLE001 - the user's; it goes to the caller
                self._put_failure(at, error)
            else:
                kind = type(value)
                if kind is int:
                    try:
                        marks[at] = value
                        continue
                    except ValueError:  # more than eight bytes
                        self._put_value(at, value)
                elif kind is float:
                    kinds[at] = FLOAT
                    floats[at] = value
                    continue
                elif value is None:
                    kinds[at] = NONE
                    marks[at] = SET
                    continue
                elif kind is bool:
                    kinds[at] = TRUE if value else FALSE
                    marks[at] = SET
                    continue
                elif kind is str and len(data := value.encode(*UTF8)) < RESERVE:
                    begin = self._end
                    self._end = end = begin + len(data)
                    area[begin:end] = data
                    kinds[at] = end << 8 | TEXT
                    marks[at] = SET
                else:
                    self._put_value(at, value)
            if self._end > self._last_start:
                self.done = at + 1
                return
        self.done += len(items)

    def fail(self, error: Exception) -> None:
        """Write down an item that could not be begun."""
        self._put_failure(self.done, error)
        self.done += 1

    def _put_value(self, at: int, value: Any) -> None:
        found: list[pickle.PickleBuffer] = []
        try:
            # The first half of `codec.encode`: what is small and plain is done here.
            head = _dumps(value, 5, buffer_callback=found.append)
        except Exception as error:  # the slow way says what is wrong
            if by_signal(error):
                raise
            head = b"\x93"
        if not found and _STACK_GLOBAL not in head and len(head) < RESERVE:
            self._keep(at, VALUE, head)
            return
        try:
            self._put(at, VALUE, value)
        except (EncodeError, StorageFull) as error:
            text = f"the item was run, but its result cannot be sent: {error}"
            self._put_failure(at, ResultEncodeError(text))

    def _put_failure(self, at: int, error: Exception) -> None:
        packed = pack_failure(error, self._store)
        try:
            self._put(at, FAILURE, packed)
        except (EncodeError, StorageFull) as full:
            self._put(at, FAILURE, short_failure(error, full))

    def _put(self, at: int, tag: int, value: Any) -> None:
        """Encode a value; what is too large for the area goes to a segment for the pool."""
        encoded = self._store.encode(value, "result")
        head = encoded.head
        if not encoded.buffers and len(head) < RESERVE:
            self._keep(at, tag, head)
        else:
            self._keep(at, tag | OUTSIDE, self._store.store(encoded, self._reply))

    def _keep(self, at: int, tag: int, data: bytes) -> None:
        result_table, begin = self.result_table, self._end
        self._end = end = begin + len(data)
        result_table.area[begin:end] = data
        result_table.kinds[at] = end << 8 | tag
        # Behind these, and by one store: from here on the item is done.
        result_table.marks[at] = SET
