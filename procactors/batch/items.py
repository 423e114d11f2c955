"""Items of a batch job: read from files one by one, each with the place where it stood.

Layer: batch. Runs in: parent, in whichever thread reads (see `intake`).
Owns: the file that is being read, closed behind its last item.
Never: reads further than it is asked for; ends for one bad item.
"""

from __future__ import annotations

import csv
import glob
import io
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from procactors.errors import InvalidSpec

__all__ = ["FORMATS", "Entry", "Inputs"]

#: What the input can be, as a user says it.
FORMATS = ("auto", "lines", "jsonl", "csv", "nul", "glob")

_BY_SUFFIX = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
_STDIN = "-"
#: Bytes up to which the input is read once more, to know how many items there are.
_COUNTED_BYTES = 1 << 30
_PIECE_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"


class Entry(NamedTuple):
    """One item of the input.

    Attributes:
        number: its place in the whole input, from 0.
        item: what the function gets; the text as it stood if that cannot be read.
        file: where it stood; ``-`` is the standard input, empty for a path that a pattern found.
        line: on which line there, from 1: the last one of a CSV row; 0 if there are no lines.
        error: why it cannot be read; empty if it can.
    """

    number: int
    item: Any
    file: str
    line: int
    error: str = ""


#: Line, item, why it cannot be read.
_Found = tuple[int, Any, str]


class Inputs:
    """All that is to be read, in order.

    Args:
        names: files, ``-`` being the standard input, which is also meant if there are none; for
            ``glob`` patterns.
        form: one of `FORMATS`; ``auto`` goes by each file's suffix, and is lines otherwise.

    Attributes:
        files: the names of files that are read, without the standard input.

    Raises:
        InvalidSpec: a file that is not there, or no file; a pattern that fits nothing.
    """

    def __init__(self, names: Sequence[str], form: str) -> None:
        self._form = form
        self._paths: list[str] | None = None
        if form == "glob":
            self._paths = [path for pattern in names for path in _matches(pattern)]
            if not names:
                raise InvalidSpec("--input glob needs at least one pattern")
        self._names = list(names or [_STDIN])
        self.files = [name for name in self._names if name != _STDIN and form != "glob"]
        for name in self.files:
            if not os.path.exists(name):
                raise InvalidSpec(f"{name}: no such file")
            if os.path.isdir(name):
                raise InvalidSpec(f"{name} is a directory; --input glob takes '{name}/*'")
            if not os.access(name, os.R_OK):
                raise InvalidSpec(f"{name} cannot be read: permission denied")
        if self._names.count(_STDIN) > 1:
            raise InvalidSpec("the standard input can be read once only")

    @property
    def may_block(self) -> bool:
        """Whether reading may have to wait, as at a pipe or a terminal."""
        return self._paths is None and not all(map(_is_regular, self._names))

    def count(self) -> int | None:
        """Return about how many items there are; None if finding out costs too much."""
        if self._paths is not None:
            return len(self._paths)
        if self.may_block or _STDIN in self._names:
            return None
        if sum(map(os.path.getsize, self._names)) > _COUNTED_BYTES:
            return None
        return sum(map(self._count, self._names))

    def entries(self) -> Iterator[Entry]:
        """Yield all items, numbered through."""
        if self._paths is not None:
            for index, path in enumerate(self._paths):
                yield Entry(index, path, "", 0)
            return
        index = 0
        for name in self._names:
            for line, item, error in self._read(name):
                yield Entry(index, item, name, line, error)
                index += 1

    def _read(self, name: str) -> Iterator[_Found]:
        reader = _READERS[self._form_of(name)]
        try:
            with open(0 if name == _STDIN else name, "rb", closefd=name != _STDIN) as stream:
                yield from reader(stream)
        except OSError as error:  # it was there a moment ago; the other files still are
            yield 0, name, f"the file cannot be read: {error.strerror}"

    def _form_of(self, name: str) -> str:
        if self._form != "auto":
            return self._form
        return _BY_SUFFIX.get(os.path.splitext(name)[1].lower(), "lines")

    def _count(self, name: str) -> int:
        form = self._form_of(name)
        mark, count, last = (b"\0" if form == "nul" else b"\n"), 0, b""
        with open(name, "rb") as stream:
            while piece := stream.read(_PIECE_BYTES):
                count += piece.count(mark)
                last = piece[-1:]
        count += last not in (b"", mark)
        return count - (form == "csv" and count > 0)


def _is_regular(name: str) -> bool:
    try:
        return stat.S_ISREG(os.fstat(0).st_mode if name == _STDIN else os.stat(name).st_mode)
    except OSError:
        return False


def _matches(pattern: str) -> list[str]:
    found = sorted(glob.glob(os.path.expanduser(pattern), recursive=True))
    if not found:
        raise InvalidSpec(f"the pattern {pattern!r} fits no path")
    return found


def _raw_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield lines that are not blank, with their numbers, without their ends."""
    for number, raw in enumerate(stream, 1):
        line = raw[:-1] if raw.endswith(b"\n") else raw
        line = line[:-1] if line.endswith(b"\r") else line
        if number == 1:
            line = line.removeprefix(_BOM)
        if line and not line.isspace():
            yield number, line


def _lines(stream: BinaryIO) -> Iterator[_Found]:
    for number, line in _raw_lines(stream):
        yield number, line.decode("utf-8", "surrogateescape"), ""


def _no_json(name: str) -> Any:
    raise ValueError(f"{name} is none of its values")


_DECODER = json.JSONDecoder(parse_constant=_no_json)  # NaN and Infinity, which Python takes


def _json_lines(stream: BinaryIO) -> Iterator[_Found]:
    for number, line in _raw_lines(stream):
        try:
            yield number, _DECODER.decode(line.decode()), ""
        except (ValueError, RecursionError) as error:
            yield number, line.decode("utf-8", "replace"), f"no JSON: {error}"


def _nul_separated(stream: BinaryIO) -> Iterator[_Found]:
    rest = b""
    while piece := stream.read1(_PIECE_BYTES):  # type: ignore[attr-defined]  # what is there now
        *whole, rest = (rest + piece).split(b"\0")
        yield from ((0, os.fsdecode(path), "") for path in whole if path)
    if rest:
        yield 0, os.fsdecode(rest), ""


def _csv_rows(stream: BinaryIO) -> Iterator[_Found]:
    """Yield rows as objects by the names in the first row."""
    text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
    # As large as a field can get: a text column easily passes the stock limit of 128 KiB.
    csv.field_size_limit(sys.maxsize)
    try:
        yield from _objects(csv.reader(text))
    finally:
        text.detach()  # its opener closes the stream


def _objects(reader: Any) -> Iterator[_Found]:
    names: list[str] = []
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, None, f"no CSV: {error}"
            continue
        if not row:
            continue
        if not names:
            names = row
            if len(set(names)) < len(names):
                yield reader.line_num, row, "the header names a column twice; no row is read"
                return
        elif len(row) != len(names):
            yield reader.line_num, row, f"expected {len(names)} fields, found {len(row)}"
        else:
            yield reader.line_num, dict(zip(names, row, strict=True)), ""


_READERS: dict[str, Callable[[BinaryIO], Iterator[_Found]]] = {
    "lines": _lines,
    "jsonl": _json_lines,
    "csv": _csv_rows,
    "nul": _nul_separated,
}
