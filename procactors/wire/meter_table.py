"""Meter tables: counts and latency histograms in a file, one row a method.

Layer: wire. Runs in: parent and actor; read from any process of the user.
Owns: a map of the file (`close`).
Never: goes below a number that was once in the file; a lock: each table has one writer.

    0     16 words: magic, bytes of a row, what was handled before the table was there, lengths
          of the name and the class; behind them both texts
    512   the rows: 64 words (state, errors, items, length of the name, its bytes), then a
          histogram or two of 128 words each

A histogram is a sum in nanoseconds, then the counts: below 1.024 µs, then four columns for each
doubling, up to 36 minutes, and what is above that. So a quantile is known within 12 %.

The file is as long as all rows would be, and sparse: the space of each row is reserved before it is
used, since a hole on a full disk dies of SIGBUS. A row counts once its state says so, behind its
name: a writer that is killed leaves whole ones.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator

from procactors.light_tuple import NamedTuple
from procactors.wire.storage import Descriptors

__all__ = [
    "COLUMNS",
    "ERRORS",
    "FINE_NS",
    "FINE_SHIFT",
    "INDEX",
    "ITEMS",
    "OTHER",
    "SECOND",
    "SUM",
    "MeterTable",
    "Row",
    "TableFacts",
    "as_bytes",
    "bound_ns",
    "index_of",
    "read_table",
]

_MAGIC_VALUE = 0x31_52_54_4D_43_41_50  # "PACMTR1"
_MAGIC, _ROW_BYTES, BASE, _NAME_BYTES, _CLASS_BYTES = range(5)
_TEXTS_AT, _ROWS_AT = 128, 512

#: Words of a row. ERRORS: how often its handler raised, or its message could not be read.
#: ITEMS: of a pool's batches or a stream.
_STATE, ERRORS, ITEMS, _LENGTH = range(4)
_USED = 1
_KEY_AT, _KEY_BYTES = 8 * 8, 56 * 8
#: Index of a histogram's sum in its row; the counts follow. SECOND: the same of the second one.
SUM, SECOND = 64, 192
_HISTOGRAM_WORDS = 128

#: Nanoseconds, as a power of two, below which all is one column; doublings above that.
_LEAST, _DOUBLINGS = 10, 31
#: Columns of a histogram; the last one has no upper bound.
COLUMNS = 2 + 4 * _DOUBLINGS

#: The key of the row for what has no row of its own.
OTHER = b":other"


def index_of(took_ns: int) -> int:
    """Return the index in a row, from `SUM`, of the column for a time."""
    power = took_ns.bit_length() - 1
    if power < _LEAST:
        return SUM + 1
    if power >= _LEAST + _DOUBLINGS:
        return SUM + COLUMNS
    return SUM + 2 + (power - _LEAST) * 4 + (took_ns >> (power - 2) & 3)


def bound_ns(column: int) -> int:
    """Return the time below which a column's are; the last but one's is the greatest there is."""
    doubling, quarter = divmod(column - 1, 4)
    return 1 << _LEAST if column == 0 else (5 + quarter) << (_LEAST + doubling - 2)


#: By nanoseconds / 128, below a millisecond: `index_of`, without its call.
FINE_NS, FINE_SHIFT = 1 << 20, 7
INDEX = bytes(index_of(at << FINE_SHIFT) for at in range(FINE_NS >> FINE_SHIFT))


def as_bytes(name: str) -> bytes:
    """Return a name as tables keep it; what UTF-8 has no bytes for stands as an escape."""
    return name.encode(errors="backslashreplace")


class MeterTable:
    """A table as its writer has it.

    Args:
        path: the file; made if it is not there.
        most: rows that it has at most; the last is for all that has none.
        histograms: in each row: 1 or 2.
        name, class_name: whose it is.
        base: what was handled before, and is not in the table.

    Attributes:
        rows: by key, the words of those that are used.

    Raises:
        OSError: there is no room, or no descriptor.
    """

    def __init__(
        self, path: str, most: int, histograms: int, name: str, class_name: str, base: int = 0
    ) -> None:
        self._path = path
        self._most = most
        self._row_bytes = 8 * (SUM + histograms * _HISTOGRAM_WORDS)
        size = _ROWS_AT + most * self._row_bytes
        with Descriptors() as opened:
            fd = opened.open(path, os.O_CREAT | os.O_RDWR)
            if os.fstat(fd).st_size != size:
                os.ftruncate(fd, size)
            # The head with the first row: most actors have one method, or two.
            os.posix_fallocate(fd, 0, _ROWS_AT + self._row_bytes)
            self._data = mmap.mmap(fd, size)
        self._bytes = memoryview(self._data)
        self.words = self._bytes[:_TEXTS_AT].cast("Q")
        if self.words[_MAGIC] != _MAGIC_VALUE:
            self._begin(as_bytes(name), as_bytes(class_name), base)
        self.rows: dict[bytes, memoryview] = {}
        for number in range(most):
            row = self._row(number)
            if not self._is_reserved(number) or row[_STATE] != _USED:
                break
            self.rows[_key_in(row)] = row

    def _begin(self, name: bytes, class_name: bytes, base: int) -> None:
        room = _ROWS_AT - _TEXTS_AT
        class_name = class_name[-(room // 2) :]
        name = name[: room - len(class_name)]
        end = _TEXTS_AT + len(name) + len(class_name)
        self._bytes[_TEXTS_AT:end] = name + class_name
        words = self.words
        words[_ROW_BYTES], words[BASE] = self._row_bytes, base
        words[_NAME_BYTES], words[_CLASS_BYTES] = len(name), len(class_name)
        words[_MAGIC] = _MAGIC_VALUE  # last: what is before it counts now

    def _row(self, number: int) -> memoryview:
        at = _ROWS_AT + number * self._row_bytes
        return self._bytes[at : at + self._row_bytes].cast("Q")

    def _is_reserved(self, number: int) -> bool:
        """Whether a row may be looked at: reading a hole of the map would need room, too."""
        return number == 0 or number <= self.words[_RESERVED]

    def number_of(self, row: memoryview) -> int:
        """Return the number of a row that is used."""
        return next(number for number, one in enumerate(self.rows.values()) if one is row)

    def row(self, key: bytes) -> memoryview:
        """Return the row of a key, made if need be; that of `OTHER` when all are taken.

        Raises:
            OSError: there is no room for one more, or no descriptor.
        """
        key = key[-_KEY_BYTES:]
        if (row := self.rows.get(key)) is not None:
            return row
        number = len(self.rows)
        if number >= self._most - 1 and key != OTHER:
            return self.row(OTHER)
        if not self._is_reserved(number):
            self._reserve(number)
        row = self._row(number)
        row.cast("B")[_KEY_AT : _KEY_AT + len(key)] = key
        row[_LENGTH] = len(key)
        row[_STATE] = _USED
        self.rows[key] = row
        return row

    def _reserve(self, number: int) -> None:
        with Descriptors() as opened:
            fd = opened.open(self._path, os.O_RDWR)
            os.posix_fallocate(fd, _ROWS_AT + number * self._row_bytes, self._row_bytes)
        self.words[_RESERVED] = number

    def handled(self) -> int:
        """Return how many messages the first histograms of all rows have, with `BASE`."""
        return self.words[BASE] + sum(sum(row[SUM + 1 : SECOND]) for row in self.rows.values())

    def close(self) -> None:
        """Unmap; the rows must not be used any more."""
        self.words.release()
        for row in self.rows.values():
            row.release()
        self.rows.clear()
        self._bytes.release()
        with contextlib.suppress(BufferError):  # a row is just being used: its user unmaps
            self._data.close()


#: Word of the head: the last row whose space is reserved.
_RESERVED = 5


def _key_in(row: memoryview) -> bytes:
    return bytes(row.cast("B")[_KEY_AT : _KEY_AT + min(row[_LENGTH], _KEY_BYTES)])


class Row(NamedTuple):
    """A row as it was read.

    Attributes:
        key: whose it is.
        errors, items: the counts.
        first, second: the histograms: sum in nanoseconds, then the columns' counts; the second one
            is empty where there is none.
    """

    key: bytes
    errors: int
    items: int
    first: tuple[int, ...]
    second: tuple[int, ...]


class TableFacts(NamedTuple):
    """A table as it was read.

    Attributes:
        name, class_name: whose it is.
        base: what was handled before the table was there.
        rows: those that are used.
    """

    name: str
    class_name: str
    base: int
    rows: tuple[Row, ...]


def read_table(path: str, *, rows: bool = True) -> TableFacts | None:
    """Return what is in the file of a table now; None if there is none yet.

    Args:
        path: the file.
        rows: return these, too.

    While its writer goes on, a row may have a time in a column and not yet in the sum.
    """
    with Descriptors() as opened:
        try:
            fd = opened.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        head = os.pread(fd, _ROWS_AT, 0)
        if len(head) < _ROWS_AT:
            return None
        words = memoryview(head)[:_TEXTS_AT].cast("Q")
        if words[_MAGIC] != _MAGIC_VALUE:
            return None
        found = tuple(_rows_in(fd, words[_ROW_BYTES])) if rows else ()
    middle = _TEXTS_AT + words[_NAME_BYTES]
    name = head[_TEXTS_AT:middle].decode(errors="replace")
    class_name = head[middle : middle + words[_CLASS_BYTES]].decode(errors="replace")
    return TableFacts(name, class_name, words[BASE], found)


def _rows_in(fd: int, row_bytes: int) -> Iterator[Row]:
    at = _ROWS_AT
    while len(data := os.pread(fd, row_bytes, at)) == row_bytes:
        words = memoryview(data).cast("Q")
        if words[_STATE] != _USED:
            return
        yield Row(
            _key_in(words),
            words[ERRORS],
            words[ITEMS],
            tuple(words[SUM : SUM + 1 + COLUMNS]),
            tuple(words[SECOND : SECOND + 1 + COLUMNS]),
        )
        at += row_bytes
