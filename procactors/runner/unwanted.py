"""Which messages of an actor were cancelled.

Layer: runner. Runs in: actor, main thread; `is_cancelled` in any thread.
Owns: the reader of the actor's cancel log, from the first cancellation on (`close`).
Never: calls one unwanted that has begun, in whichever life.
"""

from __future__ import annotations

import os
import threading

from procactors.wire.mailbox.black_box import CANCELS
from procactors.wire.mailbox.cancels import CancelReader
from procactors.wire.replies.port import pipe_path

__all__ = ["Unwanted"]


class Unwanted:
    """What one life of an actor does not begin, since its caller does not want it.

    Args:
        runtime_dir: the system's.
        path: the mailbox's directory.
        words: of its black box.
    """

    def __init__(self, runtime_dir: str, path: str, words: memoryview) -> None:
        self._runtime_dir = runtime_dir
        self._path = path
        self._words = words
        self._cancels: CancelReader | None = None
        # Guards the log's reader: a handler's threads ask whether it is cancelled.
        self._lock = threading.RLock()

    @property
    def calm(self) -> int:
        """Value of the word `CANCELS` with which no message has to be looked at; -1: none is."""
        with self._lock:
            return self._cancels.calm if self._cancels is not None else 0

    def skips(self, reply: int, call: int, is_again: bool, *, is_held: bool = False) -> bool:
        """Return whether the message that is about to begin is not to.

        Args:
            reply: number of the caller's reply pipe.
            call: id of the call there.
            is_again: an earlier life has had it in hand: what has begun goes on.
            is_held: it is held out of the batch.
        """
        with self._lock:
            cancels = self._opened()
            return cancels is not None and cancels.skips(reply, call, is_again, is_held)

    def is_cancelled(self, reply: int, call: int) -> bool:
        """Return whether a message that is in hand was cancelled."""
        with self._lock:
            cancels = self._opened()
            return cancels is not None and cancels.is_marked(reply, call)

    def close(self) -> None:
        """Close the log."""
        with self._lock:
            cancels, self._cancels = self._cancels, None
            if cancels is not None:
                cancels.close()

    def _opened(self) -> CancelReader | None:
        if self._cancels is None and self._words[CANCELS]:
            self._cancels = CancelReader(self._path, self._words, self._is_gone)
        return self._cancels

    def _is_gone(self, reply: int) -> bool:
        return not os.path.exists(pipe_path(self._runtime_dir, reply))
