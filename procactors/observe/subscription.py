"""A subscription: what waits for one reader, and the thread that calls its callback.

Layer: observe. Runs in: parent; the callback in a thread of its own.
Owns: that thread (`finish`, `cancel`, `close`).
Never: holds up the thread that offers; lets an exception of the callback end the thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Generic, TypeVar

__all__ = ["Feed", "Subscription"]

_log = logging.getLogger("procactors")

#: Things that may wait for one reader: as many as the dead letters' list keeps.
_WAITING = 10_000

T = TypeVar("T")


class Feed(Generic[T]):
    """What waits for one reader, up to a bound; beyond it something is dropped, and counted.

    Args:
        reader: what it is for, in the log.
        things: what they are called, in the log.
        latest: beyond the bound, drop the oldest that waits; else what comes.
        bound: most things that wait; None: 10 000.

    Attributes:
        dropped: how many were dropped.
    """

    def __init__(
        self, reader: object, things: str, *, latest: bool, bound: int | None = None
    ) -> None:
        self._reader = reader
        self._things = things
        self._latest = latest
        self._limit = _WAITING if bound is None else bound
        self._waiting: SimpleQueue[T | None] = SimpleQueue()
        self._is_behind = False
        self.dropped = 0

    def __len__(self) -> int:
        return self._waiting.qsize()

    def offer(self, thing: T) -> None:
        """Put a thing behind those that wait; if there is no room, drop one. One thread at a time.

        Never blocks.
        """
        waiting = self._waiting.qsize()
        if waiting >= self._limit:
            self._fall_behind()
            if not self._latest:
                self.dropped += 1
                return
            try:
                self._waiting.get_nowait()
            except Empty:  # the reader has just taken them all
                pass
            else:
                self.dropped += 1
        elif waiting <= self._limit // 2:
            # Not as soon as there is room: a reader that is always late would fill the log.
            self._is_behind = False
        self._waiting.put(thing)

    def end(self) -> None:
        """Say that nothing comes any more; what waits can still be taken."""
        self._waiting.put(None)

    def take(self) -> T | None:
        """Wait for the next thing and return it; None is the end."""
        return self._waiting.get()

    def take_now(self) -> T | None:
        """Return the next thing; None is the end.

        Raises:
            queue.Empty: nothing waits, and more may come.
        """
        return self._waiting.get_nowait()

    def _fall_behind(self) -> None:
        if not self._is_behind:  # once for each time that it falls behind
            self._is_behind = True
            _log.error(
                "%r is too slow: %d %s wait for it, and the %s are not shown to it",
                self._reader,
                self._limit,
                self._things,
                "oldest ones" if self._latest else "next ones",
            )


class Subscription(Generic[T]):
    """Calls `callback` with each thing that is offered, in order, in a thread of its own.

    As a context manager it ends with the block.

    Args:
        callback: the user's.
        thing: what one of them is called, in the log and in the thread's name.
        latest: of too many that wait, drop the oldest; else what comes.
        bound: most things that wait; None: 10 000.
        on_close: takes it off its owner's list.
    """

    def __init__(
        self,
        callback: Callable[[T], object],
        thing: str,
        *,
        latest: bool,
        on_close: Callable[[Subscription[T]], None],
        bound: int | None = None,
    ) -> None:
        self._callback = callback
        self._thing = thing
        self._on_close = on_close
        self._cancelled = False
        self.feed: Feed[T] = Feed(callback, f"{thing}s", latest=latest, bound=bound)
        name = f"procactors-{thing.replace(' ', '-')}s"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many were not shown to the callback since too many waited for it."""
        return self.feed.dropped

    def close(self) -> None:
        """End the subscription: the callback ends what it has in hand, and is called no more.

        Does not wait for it. What waits is not shown.
        """
        self._on_close(self)
        self.cancel()

    def finish(self) -> None:
        """Let the thread end behind what waits."""
        self.feed.end()

    def cancel(self) -> None:
        """Let the thread end after what it has in hand."""
        self._cancelled = True
        self.feed.end()

    def join(self, timeout: float) -> None:
        """Wait for the thread's end, up to `timeout` seconds; from the thread itself not at all."""
        if self._thread is threading.current_thread():
            return
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._cancelled = True
            _log.error(
                "%r did not return in time: about %d %ss are not shown to it",
                self._callback,
                len(self.feed) - 1,
                self._thing,
            )

    def _run(self) -> None:
        while (thing := self.feed.take()) is not None and not self._cancelled:
            try:
                self._callback(thing)
            except Exception:  # noqa: BLE001 - the user's code may raise anything; it is logged
                _log.exception("%r raised over one %s", self._callback, self._thing)

    def __enter__(self) -> Subscription[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Any:
        self.close()
