"""The journal of a system: one line for each turn of an actor's life, for processes outside of it.

Layer: wire. Runs in: parent, in the supervisor's thread; outside readers import the words.
Owns: the file `journal` in the runtime directory, open for appending (`close`).
Never: fails its caller, whatever the disk does; grows beyond a bound; is read by the system itself.

Each line is a tuple of plain values as `ascii` writes it, which `ast.literal_eval` reads. Not JSON,
whose module a program would load for that alone; and text, since a person may want to read it where
all else has failed.

    number   from 1; no two lines have the same
    wall     seconds since the epoch        clock    seconds of the monotonic clock
    kind     one of the words below
    actor    whose turn it is; supervisors of trees have ids too, out of the same row
    ...      what belongs to the kind

    ANEW        format: forget what was before, all that lives follows
    MADE        name, class, kind, parent, supervisor, pooled, places of its mailbox (0: unbounded),
                restart type
    TREE        name, strategy, supervisor above (0: a root), restart type, max_restarts, within
    STARTING    incarnation, recycled: a life after the first is coming up
    UP          incarnation, recycled, pid
    CRASHED     incarnation, says, report in short, handler in hand (None: none)
    RESTARTING  incarnation, recycled, wait_s, says: the next life, how long until it is started,
                how the one before ended
    GAVE_UP     says
    STOPPED     kind of reason, says: it is over

A line is one write. One that was cut off, by a full disk, does not load and is stepped over: soon
the whole journal is written anew. So it is when it has grown: into a new file, which then takes the
name. That begins with the last lines of the old one, with their numbers, for those who follow what
happens; then ANEW, and all lines that still hold.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from time import monotonic

__all__ = [
    "ANEW",
    "CRASHED",
    "FORMAT",
    "GAVE_UP",
    "MADE",
    "RESTARTING",
    "STARTING",
    "STOPPED",
    "TREE",
    "UP",
    "Journal",
    "journal_path",
]

#: Of the lines. A reader that knows another one says so.
FORMAT = 1

ANEW, MADE, TREE, STARTING, UP = "anew", "made", "tree", "starting", "up"
CRASHED, RESTARTING, GAVE_UP, STOPPED = "crashed", "restarting", "gave up", "stopped"

#: Bytes from which the journal is written anew, unless what lives needs half of that: some 4 000
#: lines, which a reader that comes then reads in a tenth of a second.
_MOST_BYTES = 1 << 19
#: Bytes of the last lines that a new journal takes over.
_PAST_BYTES = 1 << 16
#: Seconds between tries to write a journal anew behind a write that failed.
_AGAIN_S = 1.0

_NEW = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC

#: The lines that are kept of each actor: what it is, its last crash, and where it is now.
_PLACES = {MADE: 0, TREE: 0, CRASHED: 1, STARTING: 2, UP: 2, RESTARTING: 2}


def journal_path(runtime_dir: str) -> str:
    """Return the path of a system's journal."""
    return os.path.join(runtime_dir, "journal")


class Journal:
    """The journal, as the supervisor writes it.

    Args:
        runtime_dir: the system's.
        after: has an action run in so many seconds, by the thread that writes.
        most: bytes from which it is written anew.
    """

    def __init__(
        self,
        runtime_dir: str,
        after: Callable[[float, Callable[[], None]], None],
        most: int = _MOST_BYTES,
    ) -> None:
        self._path = journal_path(runtime_dir)
        self._after = after
        self._most = self._limit = most
        self._fd = -1
        self._size = 0
        self._number = 0
        self._is_closed = False
        #: By actor: the lines that are kept of it, each at its place, the latest last.
        self._kept: dict[int, dict[int, bytes]] = {}
        self._try_anew()

    def note(self, kind: str, actor: int, *values: object) -> None:
        """Write down a turn of an actor's life; see above for what belongs to each kind."""
        line = self._line(kind, actor, *values)
        place = _PLACES.get(kind)
        if place is not None:
            kept = self._kept.setdefault(actor, {})
            kept.pop(place, None)
            kept[place] = line
        elif kind == STOPPED:
            self._kept.pop(actor, None)
        if self._fd < 0:
            return  # it is written anew in a moment, or closed
        self._size += len(line)
        try:
            is_whole = os.write(self._fd, line) == len(line)
        except OSError:
            is_whole = False
        if not is_whole:
            self._drop()  # with a line missing in it, no further one would help
            self._try_anew()
        elif self._size > self._limit and not self._write_anew():
            self._limit += self._most

    def close(self) -> None:
        """Close the file; it goes with the runtime directory."""
        self._is_closed = True
        self._drop()

    def _drop(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _line(self, kind: str, actor: int, *values: object) -> bytes:
        self._number += 1
        now, clock = round(time.time(), 3), int(monotonic() * 1000) / 1000  # not in the future
        return f"{(self._number, now, clock, kind, actor, *values)!a}\n".encode("ascii")

    def _try_anew(self) -> None:
        """Write the journal anew, now or when there is room."""
        if not self._is_closed and not self._write_anew():
            self._after(_AGAIN_S, self._try_anew)

    def _write_anew(self) -> bool:
        """Write the journal to a new file, and go on in that; return whether it could be done."""
        new = self._path + ".new"
        lines = [self._line(ANEW, 0, FORMAT)]
        lines += [line for kept in self._kept.values() for line in kept.values()]
        data = self._past() + b"".join(lines)
        fd = -1
        try:
            fd = os.open(new, _NEW, 0o600)
            if os.write(fd, data) != len(data):
                raise OSError("no room for the journal")
            os.rename(new, self._path)
        except OSError:
            if fd >= 0:
                os.close(fd)
            with contextlib.suppress(OSError):  # it was not made
                os.unlink(new)
            return False
        self._drop()
        self._fd = fd
        self._size, self._limit = len(data), max(self._most, 2 * len(data))
        return True

    def _past(self) -> bytes:
        """Return the last lines of the journal that is there; none if they cannot be read."""
        with contextlib.suppress(OSError), open(self._path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _PAST_BYTES))
            data = file.read()
            if size > _PAST_BYTES:
                data = data.partition(b"\n")[2]
            return data[: data.rfind(b"\n") + 1]
        return b""
