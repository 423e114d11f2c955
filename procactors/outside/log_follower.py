"""What the actors of a running system have logged lately, and log now, as their files show it.

Layer: outside. Runs in: processes outside of the system.
Owns: nothing: each look closes what it has opened.
Never: needs the parent or an actor to run: they may be stuck; takes anything away.

Each actor keeps its last records for its crash report, whatever becomes of them otherwise
(`runner.log_tail`): in two files, the older of which is replaced when the newer is full, and one of
the life before. A look reads what has come to them since the last one. Of an actor that fills both
between two looks, what was at their beginning is not seen.
"""

from __future__ import annotations

import os

from procactors.light_tuple import NamedTuple
from procactors.outside.roster import Roster
from procactors.runner.log_tail import LOG_FILES, LogEntry, entries

__all__ = ["ActorLine", "LogFollower"]

#: Bytes by which a file is known again, the time of its first record: its number may be that of one
#: that was replaced.
_HEAD_BYTES = 18


class ActorLine(NamedTuple):
    """One record of one actor.

    Attributes:
        actor: the actor's name.
        entry: what it has logged.
    """

    actor: str
    entry: LogEntry


class LogFollower:
    """Reads the records of a system's actors.

    Args:
        path: the system's runtime directory.
        roster: of the same system; refreshed with each look.
        name: of the one actor to follow; None: all.
    """

    def __init__(self, path: str, roster: Roster, name: str | None) -> None:
        self._path = path
        self._roster = roster
        self._name = name
        #: How far each file was read, by its number and its first bytes.
        self._read: dict[tuple[int, bytes], int] = {}
        #: Of actors that have been seen: an actor's files go with it, a look later perhaps.
        self._names: dict[int, str] = {}

    def look(self) -> list[ActorLine]:
        """Return what has been logged since the last look, in the order of its times.

        Raises:
            NoSystem: the system has ended.
        """
        self._roster.refresh()
        for view in self._roster.actors.values():
            if view.kind == "actor" and self._name in (None, view.name):
                self._names[view.id] = view.name
        seen: dict[tuple[int, bytes], int] = {}
        lines = []
        for actor, name in self._names.items():
            for file in LOG_FILES:
                found = self._entries(f"{self._path}/actors/{actor}/{file}", seen)
                lines += [ActorLine(name, entry) for entry in found]
        for actor in self._names.keys() - self._roster.actors.keys():
            del self._names[actor]
        self._read = seen
        return sorted(lines, key=lambda line: line.entry.created)

    def _entries(self, path: str, seen: dict[tuple[int, bytes], int]) -> list[LogEntry]:
        """Return what is new in a file, and note how far it was read."""
        try:
            with open(path, "rb") as file:
                head = file.read(_HEAD_BYTES)
                known = os.fstat(file.fileno()).st_ino, head
                at = self._read.get(known, 0)
                file.seek(at)
                data = file.read()
        except OSError:  # nothing is logged yet, or it was just replaced
            return []
        whole = data.rfind(b"\n") + 1  # its writer may be at the last one
        if at or whole:
            seen[known] = at + whole
        return list(entries(data[:whole]))
