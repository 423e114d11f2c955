"""The journal of a running system, followed from outside.

Layer: outside. Runs in: processes outside of the system.
Owns: the file's descriptor (`close`).
Never: waits; yields a turn twice: a journal that was written anew begins with old lines.
"""

from __future__ import annotations

import ast
import os
from typing import Any, NamedTuple

from procactors.outside.systems import NoSystem
from procactors.wire.journal import ANEW, FORMAT, journal_path

__all__ = ["JournalReader", "Turn"]

#: Bytes of one read.
_READ_BYTES = 1 << 20


class Turn(NamedTuple):
    """One line; see `wire.journal` for the kinds and their values."""

    number: int
    wall: float
    clock: float
    kind: str
    actor: int
    values: tuple[Any, ...]


class JournalReader:
    """Reads what is new in a journal.

    Args:
        runtime_dir: the system's.
    """

    def __init__(self, runtime_dir: str) -> None:
        self._path = journal_path(runtime_dir)
        self._fd = -1
        self._at = 0
        self._rest = b""

    def read(self) -> list[Turn]:
        """Return the turns since the last call, in order; the first call returns all there are.

        Behind an ANEW stand the lines that still hold, whether they were read before or not: so who
        follows the state forgets it there, and who follows the events looks at their numbers.

        Raises:
            NoSystem: the system has ended, or keeps no journal, or one of another format.
        """
        turns = []
        if self._fd >= 0:
            turns += self._rest_of_it()
            if not self._is_replaced():
                return turns
            turns += self._rest_of_it()  # what came between the read and the look
            self.close()
        try:
            self._open()
        except NoSystem:
            if turns:  # its last words; the next call says that it has ended
                return turns
            raise
        return turns + self._rest_of_it()

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, -1
        self._at, self._rest = 0, b""
        if fd >= 0:
            os.close(fd)

    def _open(self) -> None:
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoSystem(
                f"the system has ended, or keeps no journal: {self._path} is not there"
            ) from None

    def _is_replaced(self) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return True
        ours = os.fstat(self._fd)
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _rest_of_it(self) -> list[Turn]:
        """Return the whole lines that have not been read yet."""
        turns = []
        while data := os.pread(self._fd, _READ_BYTES, self._at):
            self._at += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            turns += [turn for line in lines if (turn := _parsed(line)) is not None]
        return turns


def _parsed(line: bytes) -> Turn | None:
    """Return what a line says; None: it was cut off by a full disk."""
    try:
        number, wall, clock, kind, actor, *values = ast.literal_eval(line.decode("ascii"))
    except (ValueError, SyntaxError, TypeError):
        return None
    if kind == ANEW and values[0] != FORMAT:
        raise NoSystem(f"the journal has format {values[0]}, this procactors reads {FORMAT}")
    return Turn(number, wall, clock, kind, actor, tuple(values))
