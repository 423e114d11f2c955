"""The journal: each finished item on a line of its own, written by the worker that finished it.

Layer: batch. Runs in: parent (`Journal`), worker (`Appender`). For workers of a cluster that do not
see the file, the parent writes.
Owns: the file and a lock on it, as long as its process lives (`close`).
Never: trusts a line that is not whole; writes over one; starts beside another run.

A worker appends the line before it answers, by one write to a file that is open for appending, so
lines of several workers do not mix. A process that is killed in its write leaves a piece of a line.
Each line therefore has a newline in front as well: the piece ends where the next line begins, and
is no JSON.

All that write hold the file's lock shared. A run begins by taking it exclusively, so that no
worker of a run that was killed, which lives for some milliseconds more, can finish an item that
the new run has not seen in the journal.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import threading
from time import monotonic
from typing import Any

from procactors.batch.encoding import as_json
from procactors.errors import InvalidSpec, ProcActorsError

__all__ = ["Appender", "Journal", "JournalError", "Keys", "Place", "place_of"]

#: Names a file of a machine: the machine's start, and the file's device and number there.
Place = tuple[str, int, int]

#: Names the form of the file, and its version.
_FORM = "procactors map, 1"
#: Seconds for which the workers of a killed run may take to be gone. They are killed by the kernel
#: within some milliseconds; the rest is for giving back gigabytes of memory.
_STRAGGLERS_S, _LOOK_S = 2.0, 0.01
#: A position in the file as one number, which takes a third of the memory of a pair.
_LENGTH_BITS = 40
_LENGTH = (1 << _LENGTH_BITS) - 1

_RECORD = b'{"key": "'
_RESULT = b', "result": '


class JournalError(ProcActorsError):
    """The journal cannot be written: items would be finished and forgotten."""


class Keys:
    """Names items by what they are: the same in an input that was reordered, or has grown.

    Equal items are counted: the second one is another than the first. To know which it is, it
    keeps 16 bytes of each item (about 100 with what Python adds).
    """

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._more: dict[bytes, int] = {}

    def key(self, item: Any) -> str:
        """Return an item's key."""
        if isinstance(item, str):
            text = b"s" + item.encode("utf-8", "surrogateescape")
        else:
            text = b"j" + json.dumps(item, sort_keys=True).encode()
        digest = hashlib.blake2b(text, digest_size=16).digest()
        if digest not in self._seen:
            self._seen.add(digest)
            return digest.hex()
        self._more[digest] = number = self._more.get(digest, 1) + 1
        return f"{digest.hex()}-{number}"


class Appender:
    """A worker's end of the journal.

    Raises:
        JournalError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            # Granted at once: the parent holds it in the same way.
            fcntl.flock(self._fd, fcntl.LOCK_SH)
        except OSError as error:
            raise JournalError(f"the journal {path} cannot be opened: {error.strerror}") from error

    def append(self, key: str, index: int, seconds: float, result: bytes) -> None:
        """Write one finished item down.

        Raises:
            JournalError: it could not be written whole.
        """
        _append(self._fd, key, index, seconds, result)

    def close(self) -> None:
        """Close the file, and with it its lock."""
        os.close(self._fd)


class Journal:
    """The run's end of the journal: what is done, and the results of that.

    Args:
        path: made if it is not there.
        target: what is called, as the user names it.
        spread: whether items are spread over its parameters.

    Attributes:
        path: the absolute path.

    Raises:
        InvalidSpec: it is no journal, another target's, or in use.
    """

    def __init__(self, path: str, target: str, spread: bool) -> None:
        self.path = os.path.abspath(path)
        self._name = path
        self._positions: dict[str, int] = {}
        self._read_to = 0
        self._header = {"journal": _FORM, "target": target, "spread": spread}
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidSpec(f"the journal {path} cannot be opened: {error.strerror}") from None
        try:
            self._take()
            self._open()
            # Workers may lock it shared from now on. Another run that came in between has it.
            if not self._locks(fcntl.LOCK_SH):
                raise self._in_use()
        except BaseException:
            os.close(self._fd)
            raise

    def __len__(self) -> int:
        """How many finished items are known, without those that were found."""
        return len(self._positions)

    def find(self, key: str) -> int | None:
        """Return the position of a finished item, and forget it: each is asked for once."""
        return self._positions.pop(key, None)

    def result(self, position: int) -> bytes:
        """Return the JSON of the result at a position."""
        length = position & _LENGTH
        record = os.pread(self._fd, length, position >> _LENGTH_BITS)
        return record[record.index(_RESULT) + len(_RESULT) : -1]

    def refresh(self) -> None:
        """Read what workers have written since the last time."""
        with open(self._fd, "rb", closefd=False) as stream:
            stream.seek(self._read_to)
            for line in stream:
                record = _parsed(line)
                if record is None and not line.endswith(b"\n"):
                    return  # a line on its way, or the piece of one that will never be more
                if record is not None and line.startswith(_RECORD):
                    length = len(line) - line.endswith(b"\n")
                    self._positions[record["key"]] = self._read_to << _LENGTH_BITS | length
                self._read_to += len(line)

    def append(self, key: str, index: int, seconds: float, result: bytes) -> None:
        """Write one finished item down, where the workers cannot.

        Raises:
            JournalError: it could not be written whole.
        """
        _append(self._fd, key, index, seconds, result)

    def sync(self) -> None:
        """Have the whole journal on the disk.

        Raises:
            JournalError: the disk has failed, or is full.
        """
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise JournalError(f"the journal cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Sync the file, and close it, and with it its lock."""
        with contextlib.suppress(JournalError):  # where it mattered it was raised before
            self.sync()
        os.close(self._fd)

    def __enter__(self) -> Journal:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self) -> None:
        """Lock the journal for this run alone; waits for what is left of a run that was killed."""
        deadline = monotonic() + _STRAGGLERS_S
        pause = threading.Event()
        while not self._locks(fcntl.LOCK_EX):
            if monotonic() >= deadline:
                raise self._in_use()
            pause.wait(_LOOK_S)

    def _locks(self, kind: int) -> bool:
        try:
            fcntl.flock(self._fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _in_use(self) -> InvalidSpec:
        return InvalidSpec(f"the journal {self._name} is in use by another run")

    def _open(self) -> None:
        """Read the whole journal, or begin a new one."""
        with open(self._fd, "rb", closefd=False) as stream:
            first = stream.readline()
        header = _parsed(first)
        if header is not None:
            self._check(header)
            self._read_to = len(first)
            self.refresh()
            return
        text = as_json(self._header).encode()
        is_all = len(first) == os.fstat(self._fd).st_size
        if not (is_all and text.startswith(first)):  # empty, or killed while it was begun
            raise InvalidSpec(f"{self._name} is no journal of procactors map")
        try:
            os.ftruncate(self._fd, 0)
            os.write(self._fd, text + b"\n")
            os.fsync(self._fd)
            _sync_folder(os.path.dirname(self.path))
        except OSError as error:
            raise InvalidSpec(f"the journal {self._name}: {error.strerror}") from None
        self._read_to = os.fstat(self._fd).st_size

    def _check(self, header: dict[str, Any]) -> None:
        if "journal" not in header:
            raise InvalidSpec(f"{self._name} is no journal of procactors map")
        for name, mine in self._header.items():
            if header.get(name) != mine:
                raise InvalidSpec(
                    f"the journal {self._name} is of another job: its {name} is "
                    f"{header.get(name)!r}, not {mine!r}"
                )


def place_of(path: str) -> Place | None:
    """Name the file at a path, for other processes to see whether they see the same; None: none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as start:
            found = os.stat(path)
            return start.read().strip(), found.st_dev, found.st_ino
    except OSError:
        return None


def _append(fd: int, key: str, index: int, seconds: float, result: bytes) -> None:
    head = f'\n{{"key": "{key}", "index": {index}, "seconds": {seconds:.6f}'.encode()
    record = b"".join((head, _RESULT, result, b"}\n"))
    try:
        written = os.write(fd, record)
    except OSError as error:
        raise JournalError(f"the journal cannot be written: {error.strerror}") from error
    if written < len(record):
        raise JournalError("the journal cannot be written: the disk is full")


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return a line's object; None if it is no whole one."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _sync_folder(path: str) -> None:
    """Have the file's name on the disk as well."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
