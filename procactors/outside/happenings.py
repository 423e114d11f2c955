"""What happens in a running system: its journal, and what it tells a guest that listens.

Layer: outside. Runs in: processes outside of the system.
Owns: the journal's reader, a guest, the pipe on which events come (`close`).
Never: needs the parent for what is in the journal; tells one thing twice.
"""

from __future__ import annotations

import ast
import contextlib
import os
import select
import time
from collections.abc import Iterator
from time import monotonic
from typing import Any, NamedTuple

from procactors.errors import ProcActorsError
from procactors.model import commands as c
from procactors.outside.guest import Guest, NoAnswer, OtherVersion
from procactors.outside.journal import JournalReader, Turn
from procactors.supervision.guest_events import DROPPED, pipe_of
from procactors.wire import journal as j

__all__ = ["KINDS", "Happening", "Happenings"]

#: Told by the parent, to those that listen.
_LISTENED = ("DeadLettered", "MailboxOverflow", "SlowHandler", "Progress")
#: All kinds: the first are read from the journal.
KINDS = ("Started", "Crashed", "Restarting", "GaveUp", "Stopped", *_LISTENED, "Dropped")

#: Seconds between two looks at the journal.
_LOOK_S = 0.1
_READ_BYTES = 1 << 16


class Happening(NamedTuple):
    """One thing that has happened.

    Attributes:
        wall: when, in seconds since the epoch.
        kind: as the classes of `procactors` events are called; ``Dropped``: so many are missing.
        actor: name of the actor, the supervisor or the pool.
        text: it, in a sentence.
        fields: its particulars, as plain values.
    """

    wall: float
    kind: str
    actor: str
    text: str
    fields: dict[str, Any]


class Happenings:
    """Follows what happens in one system.

    Args:
        path: its runtime directory.

    Raises:
        NoSystem: it has ended, or keeps no journal.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._journal = JournalReader(path)
        self._last = 0
        self._names: dict[int, str] = {}
        self._quiet: set[int] = set()
        self._guest: Guest | None = None
        self._fd = -1
        self._pipe = ""
        self._rest = b""

    def past(self) -> list[Happening]:
        """Return what the journal still has, oldest first; behind the first call, what is new.

        Raises:
            NoSystem: the system has ended.
        """
        found = []
        for turn in self._journal.read():
            if turn.kind in (j.MADE, j.TREE):
                self._names[turn.actor] = turn.values[0]
                if turn.kind == j.TREE or turn.values[2] == "inbox":
                    self._quiet.add(turn.actor)
            if turn.number > self._last:
                self._last = turn.number
                if (one := self._told(turn)) is not None:
                    found.append(one)
        return found

    def listen(self) -> Iterator[str]:
        """Have the parent tell what is not in the journal; yield what keeps it from that."""
        try:
            self._guest = Guest(self._path)
            self._pipe = pipe_of(self._path, self._guest.process)
            os.mkfifo(self._pipe, 0o600)
            # Both ways: so it does not end while the parent has it not open.
            self._fd = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._guest.ask(c.Listen(self._guest.process, _LISTENED))
        except (NoAnswer, OtherVersion, ProcActorsError) as error:
            yield f"only the journal is shown: {error}"
            self._leave()

    def next(self) -> list[Happening]:
        """Return what has happened since the last call; waits a tenth of a second for it.

        Raises:
            NoSystem: the system has ended.
        """
        poll = select.poll()
        if self._fd >= 0:
            poll.register(self._fd, select.POLLIN)
        told: list[Happening] = []
        if poll.poll(_LOOK_S * 1000) and self._fd >= 0:
            told = list(self._heard())
        return sorted([*self.past(), *told], key=lambda one: one.wall)

    def close(self) -> None:
        """Close all that is open."""
        self._journal.close()
        self._leave()

    def _leave(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        if self._pipe:
            with contextlib.suppress(OSError):
                os.unlink(self._pipe)
        guest, self._guest = self._guest, None
        if guest is not None:
            guest.close()

    def _heard(self) -> Iterator[Happening]:
        """Yield what has come through the pipe."""
        with contextlib.suppress(BlockingIOError):
            data = self._rest + os.read(self._fd, _READ_BYTES)
            *lines, self._rest = data.split(b"\n")
            ahead = time.time() - monotonic()
            for line in lines:
                kind, *values = ast.literal_eval(line.decode("ascii"))
                if kind == DROPPED:
                    text = f"{values[0]} events are missing: this terminal did not take them"
                    yield Happening(time.time(), "Dropped", "", text, {"count": values[0]})
                else:
                    actor, at, text, fields = values
                    yield Happening(round(at + ahead, 3), kind, actor, text, fields)

    def _told(self, turn: Turn) -> Happening | None:
        """Return what a turn of the journal is to those who follow events; None: nothing."""
        name = self._names.get(turn.actor, f"actor {turn.actor}")
        values = turn.values
        fields: dict[str, Any] = {}
        if turn.kind == j.GAVE_UP:
            kind, text, fields = "GaveUp", f"is given up: {values[0]}", {"reason": values[0]}
        elif turn.actor in self._quiet:
            return None
        elif turn.kind == j.UP:
            kind, text = "Started", f"started (incarnation {values[0]}, pid {values[2]})"
            fields = {"incarnation": values[0], "pid": values[2]}
        elif turn.kind == j.CRASHED:
            kind, text = "Crashed", f"{values[1]} (incarnation {values[0]})"
            fields = {"incarnation": values[0], "reason": values[1], "report": values[2]}
            fields["handler"] = values[3]
            if values[3]:
                text += f" in handler {values[3]}"
        elif turn.kind == j.RESTARTING:
            kind = "Restarting"
            text = f"is started again (incarnation {values[0]}) in {values[2]:.2f} s"
            fields = {"incarnation": values[0], "wait_s": values[2], "reason": values[3]}
        elif turn.kind == j.STOPPED:
            kind, text = "Stopped", f"has ended for good: it {values[1]}"
            fields = {"reason": values[1]}
        else:
            return None
        return Happening(turn.wall, kind, name, f"{name} {text}", fields)
