"""Result tables: shared maps on which a worker writes each item of a batch once it is done.

Layer: wire. Runs in: the pool's process (`ResultTables`), its workers (`open_result_table`).
Owns: the files and maps of a pool's tables (`close`); a worker's maps, for the life of its process.
Never: two stores for one fact: an item is done when its mark is stored, and not before.

A batch is many items in one message. Were their results in the reply alone, a worker that is
killed at the last item would take those of all the others along. So each result goes to the result
table first; then one 8-byte store, the item's mark, says that it is there. Whatever ends the
worker, marks that are set are results, and the first one that is not set is the item in hand.

    0        words: which batch this is for, how far it may go, what is just being done
    512      marks, one an item: the table's blank as long as it is not done; a number is its own
             mark, without a pickle; of any other outcome the mark says no more than that it is done
    +8 n     kinds, stored before the mark: 0 of a whole number; else which kind of outcome it is,
             and where its bytes end
    +8 n     area: pickled results and texts one behind the other, or references to segments

The blank is a number that each process draws for its tables, of eight bytes: that a result is just
that number happens once in 600 years, at a thousand million results a second.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import pickle
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from procactors.errors import DecodeError, StorageFull
from procactors.light_tuple import NamedTuple
from procactors.wire.payload_store import PayloadStore
from procactors.wire.raised import by_signal, one_line
from procactors.wire.record import Kind
from procactors.wire.replies.failures import unpack
from procactors.wire.shm.segments import Received
from procactors.wire.storage import Descriptors, create, find_file, remove_file, remove_folder

if TYPE_CHECKING:
    import ctypes

__all__ = [
    "BATCH",
    "CANCELLED",
    "FAILURE",
    "FALSE",
    "FLOAT",
    "FUNCTION",
    "LIMIT",
    "LOADING",
    "MOST_ITEMS",
    "NONE",
    "OUTSIDE",
    "PAYLOAD",
    "RESERVE",
    "SET",
    "SINCE",
    "SIZE",
    "STARTED",
    "TEXT",
    "TRUE",
    "UTF8",
    "VALUE",
    "WHOLE",
    "ResultTable",
    "ResultTables",
    "Sealed",
    "open_result_table",
    "remove_result_tables_of",
]

#: Words: BATCH: which batch the result table is for now. STARTED: 1 once the worker has taken it, 2
#: once it is through with it. LIMIT: items that it may begin; the pool lowers it. LOADING: what is
#: just being unpickled, if anything. SINCE: when the item in hand was begun, in nanoseconds, if the
#: pool wants to know. LOWERED: its first byte is 1 once the limit is lower than the batch is long.
#: CANCELLED: number of the item, from 1 on, that its caller does not want any more. BLANK: a mark
#: that was not set.
BATCH, STARTED, LIMIT, LOADING, SINCE, LOWERED, CANCELLED, BLANK = range(8)
_WORDS = 64
#: Values of LOADING: the function, whose module may take its time to be imported; the items.
FUNCTION, PAYLOAD = 1, 2

#: Items of one batch at most: what marks and kinds have room for. 8192 tiny ones take a worker
#: about a millisecond, ten times what a message costs.
MOST_ITEMS = 8192
#: Bytes for pickled results. A worker begins no item with less than RESERVE left: whatever its
#: result is, a reference to it still fits.
_AREA_BYTES = 192 * 1024
RESERVE = 4096

_MARKS_AT = _WORDS * 8
_KINDS_AT = _MARKS_AT + MOST_ITEMS * 8
_AREA_AT = _KINDS_AT + MOST_ITEMS * 8
#: Bytes of a result table.
SIZE = -(-(_AREA_AT + _AREA_BYTES) // 4096) * 4096

#: How an item ended, in the low bits of its kind. OUTSIDE is added when the area holds only a
#: reference to a segment.
WHOLE, FLOAT, NONE, VALUE, FAILURE, TEXT, FALSE, TRUE = range(8)
OUTSIDE = 16
#: The mark of an outcome that is no number.
SET = 1
#: How texts lie in the area: with halves of surrogate pairs, which a pickle lets pass, too.
UTF8 = ("utf-8", "surrogatepass")
_CONSTANTS = {NONE: None, FALSE: False, TRUE: True}
#: Where that lies in the eight bytes of a kind.
_LOW = 0 if sys.byteorder == "little" else 7

#: Those whose outcome needs no unpickling.
_PLAIN = frozenset((WHOLE, FLOAT, NONE, TEXT, FALSE, TRUE))

_ZEROS = memoryview(bytes(MOST_ITEMS * 8)).cast("Q")
_BLANKS = memoryview(os.urandom(8) * MOST_ITEMS).cast("q")
_new = tuple.__new__  # past NamedTuple's own constructor: half the cost


class Sealed(NamedTuple):
    """An item's result or exception as it came, to be unpickled where it is wanted.

    Attributes:
        tag: VALUE or FAILURE.
        data: the pickle, or the segment that holds it; the error if it could not be opened.
    """

    tag: int
    data: bytes | Received | Exception

    def open(self) -> tuple[bool, Any]:
        """Return (True, result) or (False, exception). Runs the value's own unpickling code."""
        data = self.data
        try:
            if type(data) is bytes:
                value = pickle.loads(data)
            elif isinstance(data, Exception):
                return False, data
            else:
                assert not isinstance(data, bytes)
                value = pickle.loads(data.head, buffers=data.buffers)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # one value's code must not end the caller
            if by_signal(error):
                raise  # the caller's own: the value is still here
            return False, DecodeError(f"the result could not be unpickled: {one_line(error)}")
        if self.tag == VALUE:
            return True, value
        return False, unpack(Kind.FAILURE, value)


class ResultTable:
    """One mapped result table.

    Args:
        fd: its file, which the map does not need any more.
        number: names it among those of its process.

    Attributes:
        number: names it among those of its process.
        words: the words above.
        lowered: the byte that says whether the limit was lowered.
        is_lowered: the same in the worker, which asks before each item whether it is true: of such
            an object that takes half as long.
        blank: the word BLANK, as one signed number.
        marks, floats: the same eight bytes an item, as signed whole numbers and as floats.
        kinds: eight bytes an item.
        area: where pickled results go.
        is_blind: the worker's marks are not seen before its answer.
    """

    is_blind = False

    def __init__(self, fd: int, number: int) -> None:
        self._map = mmap.mmap(fd, SIZE)
        self._show(self._map, number)

    def _show(self, data: mmap.mmap | bytearray, number: int) -> None:
        """Make the views of a table's bytes."""
        self.number = number
        whole = memoryview(data)
        self.words = whole[:_MARKS_AT].cast("Q")
        self.lowered = whole[LOWERED * 8 : LOWERED * 8 + 1]
        self.is_lowered: ctypes.c_ubyte | None = None
        self.blank = whole[BLANK * 8 : BLANK * 8 + 8].cast("q")
        self.marks = whole[_MARKS_AT:_KINDS_AT].cast("q")
        self.floats = whole[_MARKS_AT:_KINDS_AT].cast("d")
        self.kinds = whole[_KINDS_AT:_AREA_AT].cast("Q")
        self.area = whole[_AREA_AT : _AREA_AT + _AREA_BYTES]

    def begin_item(self, since: int) -> None:
        """Note when an item that has a time limit was begun (nanoseconds). In the worker."""
        self.words[SINCE] = since

    def prepare(self, batch: int, count: int) -> None:
        """Make the table ready for a batch of `count` items. No other process looks at it now."""
        self.marks[:count] = _BLANKS[:count]
        self.kinds[:count] = _ZEROS[:count]
        words = self.words
        self.blank[0] = _BLANKS[0]
        words[STARTED] = words[LOADING] = words[SINCE] = words[CANCELLED] = 0
        words[LIMIT] = count
        self.lowered[0] = 0
        words[BATCH] = batch

    def lower(self, limit: int) -> None:
        """Let the worker begin no item from `limit` on."""
        self.words[LIMIT] = limit
        # Looked at before each item in the place of the limit: a byte costs less to read.
        self.lowered[0] = 1

    def cancel(self, at: int) -> None:
        """Note that the caller of an item does not want it any more; its function may ask."""
        self.words[CANCELLED] = at + 1

    def done(self, count: int, start: int = 0) -> int:
        """Return how many of `count` items are done, knowing that `start` are."""
        marks, blank = self.marks, self.blank[0]
        if start >= count or marks[start] == blank:
            return start
        if marks[count - 1] != blank:
            return count
        found = marks[start:count].tolist()
        # Looked at in a copy: by now the worker may have done the last one, too.
        return start + found.index(blank) if blank in found else count

    def take(self, store: PayloadStore, start: int, stop: int) -> tuple[list[Any], bool]:
        """Return copies of the outcomes of done items `start` to `stop`, and whether all are plain.

        Numbers, texts, truth values and None (plain) as they are, everything else as `Sealed`: no
        code of a user's runs here.
        """
        kinds = self.kinds[start:stop].tobytes()
        tags = kinds[_LOW::8]
        tag = tags[0] if tags == tags[:1] * (stop - start) else -1  # -1: not all are of one kind
        if tag == WHOLE:
            return self.marks[start:stop].tolist(), True
        if tag == FLOAT:
            return self.floats[start:stop].tolist(), True
        ends = [kind >> 8 for kind in memoryview(kinds).cast("Q").tolist()]
        begin = max(self.kinds[:start].tolist(), default=0) >> 8  # they grow, but for those of 0
        if tag in (TEXT, VALUE):
            area = bytes(self.area[: ends[-1]])
            pieces = zip([begin, *ends], ends, strict=False)
            if tag == VALUE:
                return [_new(Sealed, (VALUE, area[begin:end])) for begin, end in pieces], False
            if area.isascii():  # decoded once, and cut: a third of the cost
                text = area.decode()
                return [text[begin:end] for begin, end in pieces], True
        outcomes = self._opened(store, tags, start, itertools.accumulate(ends, max, initial=begin))
        return outcomes, _PLAIN.issuperset(tags)

    def _opened(
        self, store: PayloadStore, tags: bytes, start: int, borders: Iterator[int]
    ) -> list[Any]:
        """Return copies of outcomes from `start` on, of which each may be of another kind.

        Args:
            store: for what is in segments.
            tags: of each of them.
            start: number of the first.
            borders: where the bytes of the first begin, and where those of each end.
        """
        outcomes: list[Any] = []
        for at, (tag, (begin, end)) in enumerate(
            zip(tags, itertools.pairwise(borders), strict=True), start
        ):
            if tag == WHOLE:
                outcomes.append(self.marks[at])
            elif tag == FLOAT:
                outcomes.append(self.floats[at])
            elif tag == TEXT:
                outcomes.append(str(self.area[begin:end], *UTF8))
            elif tag in _CONSTANTS:
                outcomes.append(_CONSTANTS[tag])
            else:
                outcomes.append(self._sealed(store, tag, bytes(self.area[begin:end])))
        return outcomes

    def _sealed(self, store: PayloadStore, tag: int, data: bytes) -> Sealed:
        if not tag & OUTSIDE:
            return Sealed(tag, data)
        try:
            received = store.fetch(data)
        except OSError as error:
            lost = StorageFull(f"a result was sent, but its segment cannot be opened: {error}")
            return Sealed(FAILURE, lost)
        # At once, not when it is opened: a map's results may wait by thousands, and each would
        # hold a descriptor. What is mapped stays locked as long as the map lives.
        received.consume()
        return Sealed(tag & ~OUTSIDE, received)

    def close(self) -> None:
        """Unmap the table."""
        self._hide()
        self._map.close()

    def _hide(self) -> None:
        """Let go of the views."""
        self.is_lowered = None  # before what it looks at is released
        for view in (
            self.words,
            self.lowered,
            self.blank,
            self.marks,
            self.floats,
            self.kinds,
            self.area,
        ):
            view.release()


class ResultTables:
    """The result tables of one pool: made when needed, used again and again; thread-safe."""

    def __init__(self, store: PayloadStore) -> None:
        self._store = store
        self._folder = _folder(store.process)
        self._free: list[ResultTable] = []
        self._closed = False
        # Guards the numbers and the list.
        self._lock = threading.Lock()

    def lease(self) -> ResultTable:
        """Return a result table that is not in use.

        Raises:
            StorageFull: there is no room for another.
        """
        with self._lock:
            if self._free:
                return self._free.pop()
            number = _next_number(self._store.process)
        if self._store.tables is not None:
            return self._store.tables.make(number)  # type: ignore[no-any-return]
        with Descriptors() as opened:
            create(opened, self._store.path, self._folder, str(number), SIZE)
            return ResultTable(opened[-1], number)

    def give_back(self, result_table: ResultTable) -> None:
        """Take a result table back on which no worker will write any more."""
        with self._lock:
            if not self._closed:
                self._free.append(result_table)
                return
        self._remove(result_table)

    def close(self) -> None:
        """Unmap and remove the free result tables, and each of the others when it comes back."""
        with self._lock:
            self._closed = True
            result_tables, self._free = self._free, []
        for result_table in result_tables:
            self._remove(result_table)

    def _remove(self, result_table: ResultTable) -> None:
        result_table.close()
        if self._store.tables is not None:
            self._store.tables.remove(result_table.number)
            return
        with contextlib.suppress(OSError):
            remove_file(self._store.path, os.path.join(self._folder, str(result_table.number)))


#: Numbers of this process's result tables, by its token: several pools share its folder.
_numbers: dict[int, int] = {}
# Guards the numbers: pools are used from many threads.
_numbering = threading.Lock()


def _next_number(process: int) -> int:
    with _numbering:
        _numbers[process] = number = _numbers.get(process, 0) + 1
        return number


def open_result_table(store: PayloadStore, process: int, number: int) -> ResultTable:
    """Map the result table of another process. Runs in a worker.

    Raises:
        FileNotFoundError: the pool is gone.
    """
    import ctypes  # only where it is used: each actor has it, the pool's process may do without

    if store.tables is not None:
        result_table: ResultTable = store.tables.find(number)
    else:
        path = find_file(store.path, os.path.join(_folder(process), str(number)))
        with Descriptors() as opened:
            result_table = ResultTable(opened.open(path, os.O_RDWR), number)
    result_table.is_lowered = ctypes.c_ubyte.from_buffer(result_table.lowered)
    return result_table


def remove_result_tables_of(runtime_dir: str, process: int) -> None:
    """Remove the result tables of a process that has ended."""
    remove_folder(runtime_dir, _folder(process))


def _folder(process: int) -> str:
    return f"result_tables/{process:016x}"
