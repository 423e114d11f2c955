"""How far a job is, shown to people: what a view is, and the view of plain lines.

Layer: observe. Runs in: parent, in whichever thread counts.
Owns: nothing; the stream is the caller's.
Never: has a thread; breaks the job: a stream that fails turns the view off.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

from procactors.observe.progress_words import Words, share

__all__ = ["PlainLines", "ProgressView", "StateView", "writable"]

#: Plain lines: one for each tenth of the work, so that a log stays readable.
PLAIN_LINES = 10
#: Seconds between two of them while the size of the work is not known.
PLAIN_S = 5.0
#: Stands for a state that is to be shown, whatever it is.
_NOTHING = (-1, 0, "")


class ProgressView:
    """Shows nothing; the base of those that do. Context manager. No method raises.

    Attributes:
        shows: whether what it is given to `say` is seen.
    """

    shows = False

    def advance(self, done: int, failed: int = 0, note: str = "") -> None:
        """Say how far it is; shown if it is time to show it again. Cheap.

        Args:
            done: items that are done, failed ones included.
            failed: items of these that failed.
            note: a word on what is happening.
        """

    def total(self, n: int | None) -> None:
        """Say how many items there are; None if that is not known."""

    def say(self, text: str) -> None:
        """Write a line of its own, above a bar."""

    def close(self) -> None:
        """Show the last state, if it is not shown yet; nothing is shown any more. Idempotent."""

    def __enter__(self) -> ProgressView:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class StateView(ProgressView):
    """A view that shows the job's state in words; a stream that fails turns it off."""

    shows = True

    def __init__(self, words: Words, total: int | None) -> None:
        self._words = words
        self._clock = words.clock
        self._total = total
        self._now: tuple[int, int, str] = (0, 0, "")
        self._shown = self._now
        self._is_open = True
        # Guards what is written: counts and lines may come from several threads. Reentrant, for
        # a signal handler may close the view.
        self._lock = threading.RLock()

    def show(self) -> None:
        """Show the state now."""
        with self._lock:
            self._shown = done, failed, note = self._now
            self._try(self._draw, self._words.state(done, self._total, failed, note))

    def total(self, n: int | None) -> None:
        """Say how many items there are."""
        self._total = n
        self._shown = _NOTHING

    def say(self, text: str) -> None:
        """Write a line of its own."""
        with self._lock:
            self._try(self._write, text)

    def close(self) -> None:
        """Show what is not shown yet, and end."""
        with self._lock:
            if self._is_open and self._shown != self._now:
                self.show()
            self._try(self._leave)
            self._is_open = False

    def _try(self, action: Callable[..., None], *args: Any) -> None:
        if not self._is_open:
            return
        try:
            action(*args)
        except Exception:  # noqa: BLE001 - so wide: rich may raise anything; it is only a display
            self._is_open = False

    def _draw(self, state: str) -> None:
        raise NotImplementedError

    def _write(self, text: str) -> None:
        raise NotImplementedError

    def _leave(self) -> None:
        """Leave the stream so that others can write."""


class PlainLines(StateView):
    """Plain lines: one for each tenth of the work; each 5 s while its size is not known."""

    def __init__(self, stream: TextIO, words: Words, total: int | None) -> None:
        super().__init__(words, total)
        self._stream = stream
        self._due = self._clock() + PLAIN_S
        self._tenths = 0
        self._next = self._next_line()

    def advance(self, done: int, failed: int = 0, note: str = "") -> None:
        """Say how far it is."""
        self._now = done, failed, note
        if done < self._next:
            return
        if self._total is None:
            now = self._clock()
            if now < self._due:
                return
            self._due = now + PLAIN_S
        else:
            self._tenths = share(done, self._total, PLAIN_LINES)
            self._next = self._next_line()
        self.show()

    def total(self, n: int | None) -> None:
        """Say how many items there are."""
        super().total(n)
        self._next = self._next_line()

    def _next_line(self) -> float:
        """Return how many items must be done before the next line may be due."""
        if self._total is None:
            return 0
        tenth = self._tenths + 1
        if not self._total or tenth > PLAIN_LINES:
            return math.inf
        return -(-tenth * self._total // PLAIN_LINES)  # rounded up: the tenth must be full

    def _draw(self, state: str) -> None:
        self._write(state)

    def _write(self, text: str) -> None:
        self._stream.write(writable(text, self._stream) + "\n")
        self._stream.flush()


def writable(text: str, stream: TextIO) -> str:
    """Return a text with what the stream cannot write escaped."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
