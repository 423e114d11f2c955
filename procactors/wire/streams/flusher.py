"""Sends what a stream holds back when the next item does not come.

Layer: wire. Runs in: the producer's process, in a thread of its own while a stream holds items.
Owns: the thread, which ends when it has had nothing to do for a while.
Never: waits for a writer, or for a pipe.
"""

from __future__ import annotations

import threading
from typing import Protocol

from procactors.wire.copies import in_copies

__all__ = ["flusher"]

#: Seconds for which an item is held at most, once the next one does not come: twice this.
_LOOK_S = 0.001
#: Looks in vain behind which the thread sleeps until something is held again.
_LOOKS = 50
#: Seconds of such sleep behind which it ends.
_LINGER_S = 0.3


class Holding(Protocol):
    """What the flusher looks after."""

    flushes: int

    @property
    def is_holding(self) -> bool:
        """Whether something is held."""

    def flush_late(self) -> None:
        """Send it."""


class _Flusher:
    """The thread, and the writers that are at work."""

    def __init__(self) -> None:
        self._writers: dict[Holding, int] = {}
        #: Nobody looks: who holds something wakes it.
        self.is_idle = True
        self._is_running = False
        # Guards the start and the end of the thread.
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._pause = threading.Event()  # never set

    def enter(self, writer: Holding) -> None:
        """Look after a writer from now on."""
        self._writers[writer] = -1

    def leave(self, writer: Holding) -> None:
        """Look after it no more."""
        self._writers.pop(writer, None)

    def wake(self) -> None:
        """See that somebody looks."""
        with self._lock:
            self.is_idle = False
            self._woken.set()
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="procactors-flusher", daemon=True).start()

    def _run(self) -> None:
        while True:
            vain = 0
            while vain < _LOOKS:
                self._pause.wait(_LOOK_S)
                vain = 0 if self._look() else vain + 1
            self._woken.clear()
            # In this order: who holds something behind the look finds it idle.
            self.is_idle = True
            if self._look() or self._woken.wait(_LINGER_S):
                self.is_idle = False
                continue
            with self._lock:
                if not self._woken.is_set():
                    self._is_running = False
                    return

    def _look(self) -> bool:
        """Send what is held as it was at the last look; return whether anything is held."""
        found = False
        for writer, seen in list(self._writers.items()):
            if not writer.is_holding:
                continue
            found = True
            if writer.flushes == seen:
                writer.flush_late()
            elif writer in self._writers:
                self._writers[writer] = writer.flushes
        return found

    def forget(self) -> None:
        """Begin anew in a forked copy, which has no thread."""
        self.__init__()  # type: ignore[misc]


flusher = _Flusher()
in_copies(flusher.forget)
