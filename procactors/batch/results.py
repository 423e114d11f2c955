"""Where results and errors go: lines that are visible as they come.

Layer: batch. Runs in: parent.
Owns: the descriptor of the real standard output (`apart`); a file is its opener's.
Never: waits for a reader that has stopped reading, once the job is to end.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
from collections.abc import Callable, Iterator

from procactors.batch.encoding import as_json, in_bytes, item_json
from procactors.batch.items import Entry

__all__ = ["Abandoned", "ErrorLog", "Output", "apart"]

#: Bytes that are gathered before they are written in the middle of things.
_GATHERED = 64 * 1024
#: A pipe that is ready takes as many bytes as this without blocking.
_PIECE = select.PIPE_BUF
#: Milliseconds between two looks whether the job is to end, while a pipe is full.
_LOOK_MS = 100
#: Failed items that are named on stderr, if there is no file for them.
_NAMED = 20


class Abandoned(Exception):
    """The time for the end is over, or a second signal has ended the patience."""


@contextlib.contextmanager
def apart() -> Iterator[int]:
    """Yield a descriptor of the standard output that no other code has; -1 if it is closed.

    What functions print, in whichever process, goes to stderr inside the block: it would stand in
    the middle of the results.
    """
    sys.stdout.flush()
    try:
        real = os.dup(1)
    except OSError:
        yield -1
        return
    try:
        os.dup2(2, 1)
    except OSError:  # no stderr either
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
    try:
        yield real
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os.dup2(real, 1)
        os.close(real)


class Output:
    """The lines of results.

    Args:
        fd: where to.
        bare: results alone, without index and item.
        is_over: whether the time for the end is over.
    """

    def __init__(self, fd: int, bare: bool, is_over: Callable[[], bool]) -> None:
        self._fd = fd
        self._bare = bare
        self._is_over = is_over
        self._lines: list[bytes] = []
        self._size = 0
        self._may_block = not stat.S_ISREG(os.fstat(fd).st_mode)

    def put(self, index: int, item: object, result: bytes) -> None:
        """Add a line.

        Raises:
            What `flush` raises.
        """
        if self._bare:
            line = result + b"\n"
        else:
            head = f'{{"index": {index}, "item": {item_json(item)}, "result": '
            line = b"%b%b}\n" % (in_bytes(head), result)
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _GATHERED:
            self.flush()

    def flush(self) -> None:
        """Write all lines that were added.

        Raises:
            OSError: BrokenPipeError, if the reader has gone. Abandoned: it reads nothing.
        """
        if not self._lines:
            return
        rest = memoryview(b"".join(self._lines))
        self._lines.clear()
        self._size = 0
        while rest:
            if self._may_block:
                self._await_room()
            rest = rest[os.write(self._fd, rest[:_PIECE] if self._may_block else rest) :]

    def _await_room(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        while not poll.poll(_LOOK_MS):
            if self._is_over():
                raise Abandoned


class ErrorLog:
    """The items that failed: lines of a file, or the first of them on stderr.

    Args:
        fd: of the file; None: the first items are named by `say`.
        say: writes a line on stderr.
    """

    def __init__(self, fd: int | None, say: Callable[[str], None]) -> None:
        self._fd = fd
        self._say = say
        self._count = 0

    def put(self, entry: Entry, error: dict[str, str], tries: int, report: object) -> None:
        """Add a failed item.

        Args:
            entry: which one.
            error: type, message, traceback.
            tries: how often it was begun; 0: it could not be read.
            report: the crash report as plain values; None if no worker ended.
        """
        self._count += 1
        if self._fd is None:
            if self._count <= _NAMED:
                first = error["message"].partition("\n")[0]
                self._say(f"item {entry.number}{_origin(entry)} failed: {error['type']}: {first}")
            return
        origin = {"file": entry.file or None, "line": entry.line or None}
        rest = in_bytes(
            f'{{"index": {entry.number}, "item": {item_json(entry.item)}, '
            f"{as_json({**origin, 'error': error, 'tries': tries, 'report': report})[1:]}\n"
        )
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def close(self) -> None:
        """Say how many were not named."""
        if self._fd is None and self._count > _NAMED:
            more = self._count - _NAMED
            self._say(f"{more} more failed; --errors FILE keeps all of them, with tracebacks")


def _origin(entry: Entry) -> str:
    if not entry.file:
        return f" ({entry.item})"
    file = "<stdin>" if entry.file == "-" else entry.file
    return f" ({file}:{entry.line})" if entry.line else f" ({file})"
