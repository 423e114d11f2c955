"""The cancel log of one actor: who wants which call not to be begun, and who was first.

Layer: wire. Runs in: callers (`CancelLog`), actor (`CancelReader`).
Owns: a descriptor on the log each; the file belongs to the mailbox's directory.
Never: a lock between processes: an append is whole, and all appends have one order. Never an
entry that crosses a page: its first half could be read before the second is there.

Made by the first cancellation that an actor ever gets. Who may decide about a call, the caller who
cancels and the actor who is about to begin it, appends what it decides; the first entry counts, and
both read which that is. Who passes a call on, or is told of one that has begun, decides nothing:

    MARK      a caller wants the call not to be begun, and will say what it has found
    DROP      the same of a caller that will not look
    TAKEN     the caller has found it waiting, and says that it never runs
    BEGUN     the caller has found it begun
    SKIPPED   the actor has come to it, and does not begin it
    AGAIN     the actor has come to it in a later life, and begins it again
    PASSED    the caller has found that another actor is to answer it, and looks there
    TOLD      the caller knows that it has begun, elsewhere, and wants this actor to heed that

The actor begins a call without an entry where it has seen no mark; how a caller sees that is in
`procactors.wire.taking_back`. The word `CANCELS` of the black box says how long the log was behind
some caller's mark: it never has one value twice, so that another value than at the last look means
that there is something to read.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from collections.abc import Callable

from procactors.wire.mailbox.black_box import CANCELS
from procactors.wire.storage import Descriptors

__all__ = [
    "AGAIN",
    "BEGUN",
    "DROP",
    "MARK",
    "PASSED",
    "SKIPPED",
    "TAKEN",
    "TOLD",
    "CancelLog",
    "CancelReader",
    "first_said",
]

#: An entry: number of the caller's reply pipe, id of the call there, what is said, nothing. Of a
#: size by which a page can be divided.
_ENTRY = struct.Struct("=QQQQ")
_SIZE = _ENTRY.size

MARK, DROP, TAKEN, BEGUN, SKIPPED, AGAIN, PASSED, TOLD = range(1, 9)
_DECISIONS = (TAKEN, BEGUN, SKIPPED, AGAIN)

#: Bytes of entries that nobody needs any more which are given back at once: 2048 of them.
_PIECE = 1 << 16
#: Bytes of later entries behind which a mark whose caller is gone is no longer of any use: so many
#: calls have been taken since that its own, if it was ever sent, was among them.
_OLD = 1 << 20
#: Decided calls that the actor keeps: those in hand are among them, and a mark that comes late is
#: known by them.
_KEPT = 4096


class CancelLog:
    """One process's access to the log of one actor.

    Args:
        path: the mailbox's directory.

    Raises:
        FileNotFoundError: the actor is over. OSError: no room, or no descriptor.
    """

    def __init__(self, path: str) -> None:
        self._opened = Descriptors()
        self._fd = self._opened.open(f"{path}/cancels", os.O_RDWR | os.O_APPEND | os.O_CREAT)

    def append(self, reply: int, call: int, what: int) -> int:
        """Append an entry; return the offset behind it.

        Raises:
            OSError: there is no room.
        """
        os.write(self._fd, _ENTRY.pack(reply, call, what, 0))
        return os.lseek(self._fd, 0, os.SEEK_CUR)

    def read(self, start: int, stop: int) -> bytes:
        """Return the entries between two offsets."""
        return os.pread(self._fd, stop - start, start)

    def start(self) -> int:
        """Return from which offset on entries may be needed."""
        try:
            return os.lseek(self._fd, 0, os.SEEK_DATA)
        except OSError:  # it is empty
            return 0

    def free(self, start: int, stop: int) -> None:
        """Give back the pages between two offsets, whose entries nobody needs any more."""
        hole = mmap.mmap(self._fd, stop - start, offset=start)
        try:
            hole.madvise(mmap.MADV_REMOVE)
        finally:
            hole.close()

    def close(self) -> None:
        """Close the descriptor."""
        self._fd = -1
        self._opened.close()


def first_said(entries: bytes, reply: int, call: int) -> int:
    """Return what was decided first about a call in these entries; 0: nothing was."""
    for port, number, what, _ in _ENTRY.iter_unpack(entries):
        if number == call and port == reply and what in _DECISIONS:
            return int(what)
    return 0


class CancelReader:
    """The actor's side: which calls it is not to begin. One life of one actor.

    A later life reads anew what is still there, and comes to the same.

    Args:
        path: the mailbox's directory.
        words: of the black box.
        is_gone: whether the reply pipe of a number is gone, and with it its caller.
    """

    def __init__(self, path: str, words: memoryview, is_gone: Callable[[int], bool]) -> None:
        self._log = CancelLog(path)
        self._words = words
        self._is_gone = is_gone
        #: The calls that are marked and not decided; whether a caller has said that they never run.
        self._open: dict[tuple[int, int], bool] = {}
        #: Where the entries of a call begin that are still needed: it is not decided, or its caller
        #: has not said yet what it has found. In the order of the log.
        self._needed: dict[tuple[int, int], int] = {}
        #: The calls whose callers are still to say that.
        self._asked: set[tuple[int, int]] = set()
        #: What was decided about the last ones; True: they were begun.
        self._decided: dict[tuple[int, int], bool] = {}
        #: The last call that was not begun, and where that is said.
        self._skipped: tuple[tuple[int, int], int] | None = None
        self._seen = 0
        try:
            self._at = self._log.start()
        except BaseException:
            self._log.close()
            raise
        self._freed = self._looked_at = self._at
        self.read(anew=True)
        #: The last life was killed right behind that entry, perhaps: then the call comes once more.
        self._left = self._skipped[0] if self._skipped is not None else None

    @property
    def calm(self) -> int:
        """Value of `CANCELS` with which no call has to be looked at; -1: there is none."""
        return -1 if self._open or self._left is not None else self._seen

    def skips(self, reply: int, call: int, is_again: bool, is_held: bool = False) -> bool:
        """Return whether a call that is in hand is not to be begun; from now on it is decided.

        Args:
            reply: number of the caller's reply pipe.
            call: id of the call there.
            is_again: it was in hand in an earlier life, which may have begun it.
            is_held: it is held out of the batch: what an earlier life had in hand there is to come.
        """
        self.read()
        key = (reply, call)
        if not is_again and not is_held:
            self._left = None  # what an earlier life had in hand comes first
        if key not in self._open:
            return is_again and key == self._left
        what = AGAIN if is_again and not self._open[key] else SKIPPED
        try:
            self._log.append(reply, call, what)
        except OSError:
            # No room. It may have been promised that this one never runs; what has begun goes on.
            self._decide(key, is_begun=what == AGAIN)
        self.read(anew=True)
        return not self._decided.get(key, False)

    def is_marked(self, reply: int, call: int) -> bool:
        """Return whether a call that is in hand was cancelled since it began."""
        self.read()
        key = (reply, call)
        return key in self._open or key in self._decided

    def read(self, anew: bool = False) -> None:
        """Read what has come, if anything may have."""
        word = self._words[CANCELS]
        if word == self._seen and not anew:
            return
        while data := self._log.read(self._at, self._at + _PIECE):
            # By the look before the reading: what comes in between is read once more, in vain.
            whole = len(data) - len(data) % _SIZE
            for reply, call, what, _ in _ENTRY.iter_unpack(data[:whole]):
                self._take((reply, call), what)
                self._at += _SIZE
            if whole < _PIECE:
                break
        self._seen = word
        self._free()

    def close(self) -> None:
        """Close the descriptor."""
        self._log.close()

    def _take(self, key: tuple[int, int], what: int) -> None:
        self._follow(key, what)
        if what == MARK:
            self._asked.add(key)
        elif what in (TAKEN, BEGUN, PASSED):
            self._asked.discard(key)
        if key not in self._open and key not in self._asked:
            self._needed.pop(key, None)

    def _follow(self, key: tuple[int, int], what: int) -> None:
        if what == TAKEN and key in self._open:
            self._open[key] = True
        elif what in (MARK, DROP):
            self._needed.setdefault(key, self._at)
            # One that comes late says nothing new.
            if key not in self._decided:
                self._open.setdefault(key, False)
        elif what in (BEGUN, AGAIN):
            if not self._open.get(key, True):
                self._decide(key, is_begun=True)
        elif what == PASSED:
            self._open.pop(key, None)  # it may come back here, and be marked anew
        elif what == TOLD and key not in self._open and key not in self._decided:
            self._decide(key, is_begun=True)
        elif what == SKIPPED and not self._decided.get(key, False):
            self._decide(key, is_begun=False)
            self._skipped = (key, self._at)

    def _decide(self, key: tuple[int, int], is_begun: bool) -> None:
        self._open.pop(key, None)
        self._decided[key] = is_begun
        if len(self._decided) > _KEPT:
            del self._decided[next(iter(self._decided))]

    def _free(self) -> None:
        """Give back the pages of entries that nobody needs any more."""
        while True:
            first = next(iter(self._needed), None)
            needed = self._at if first is None else self._needed[first]
            if first is None or self._at - needed < _OLD or self._at - self._looked_at < _PIECE:
                break
            if not self._is_gone(first[0]):
                self._looked_at = self._at
                break
            del self._needed[first]
            self._open.pop(first, None)
            self._asked.discard(first)
        if self._skipped is not None:
            needed = min(needed, self._skipped[1])
        end = needed // _PIECE * _PIECE
        start = self._freed // _PIECE * _PIECE
        if end <= start:
            return
        self._freed = end
        # What the file system cannot give back stays; 32 bytes for each cancellation.
        with contextlib.suppress(OSError, ValueError):
            self._log.free(start, end)
