"""One subscription to dead letters: a queue, a thread, a user's callback.

Layer: supervision. Runs in: parent; the callback in a thread of its own.
Owns: that thread (`finish`, `cancel`).
Never: holds up whoever offers a letter; lets an exception of the callback end the thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from procactors.supervision.deadletters import DeadLetter

__all__ = ["Subscription"]

_log = logging.getLogger("procactors")

#: Letters that may wait for one callback: as many as the list keeps.
_WAITING = 10_000


class Subscription:
    """Calls `callback` with each letter that is offered, in order.

    Attributes:
        missed: letters that were not shown since too many waited.
    """

    def __init__(self, callback: Callable[[DeadLetter], object]) -> None:
        self._callback = callback
        self._waiting: SimpleQueue[DeadLetter | None] = SimpleQueue()
        self._cancelled = False
        self._is_behind = False
        self.missed = 0
        self._thread = threading.Thread(
            target=self._run, name="procactors-dead-letters", daemon=True
        )
        self._thread.start()

    def offer(self, letter: DeadLetter) -> None:
        """Put a letter behind those that wait, or count it. One thread at a time."""
        if self._waiting.qsize() < _WAITING:
            self._is_behind = False
            self._waiting.put(letter)
            return
        self.missed += 1
        if not self._is_behind:  # once for each time that it falls behind
            self._is_behind = True
            _log.error(
                "%r is too slow: %d dead letters wait for it, the next ones are not shown to it",
                self._callback,
                _WAITING,
            )

    def finish(self) -> None:
        """Let the thread end behind what waits."""
        self._waiting.put(None)

    def cancel(self) -> None:
        """Let the thread end after the letter at hand."""
        self._cancelled = True
        self._waiting.put(None)

    def join(self, timeout: float) -> None:
        """Wait for the thread's end, up to `timeout` seconds; from the thread itself not at all."""
        if self._thread is threading.current_thread():
            return
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._cancelled = True
            _log.error(
                "%r did not return in time: about %d dead letters are not shown to it",
                self._callback,
                self._waiting.qsize() - 1,
            )

    def _run(self) -> None:
        while (letter := self._waiting.get()) is not None and not self._cancelled:
            try:
                self._callback(letter)
            except Exception:  # noqa: BLE001 - the user's code may raise anything; it is logged
                _log.exception("%r raised over a dead letter", self._callback)
