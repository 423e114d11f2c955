"""The items of a stream on their way from one actor to its reader, in one process.

Layer: local. Runs in: one process: the producer's thread and the reader's.
Owns: the items that were made and not taken.
Never: lets a producer be further ahead than its reader has granted.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from procactors.errors import UnknownMethod
from procactors.wire.pickling.codec import decode
from procactors.wire.pickling.plain import encode_result, load_plain

if TYPE_CHECKING:
    from procactors.local.engine import Engine, Waiter
    from procactors.wire.payload_store import PayloadStore

__all__ = ["Channel", "Channels", "Producer"]


class Channel:
    """One stream's items.

    Attributes:
        answer: what the call of the generator was answered with; None: it has not ended.
        is_closed: the reader wants no more.
    """

    def __init__(self, engine: Engine, store: PayloadStore, room: int) -> None:
        self._engine = engine
        self._store = store
        self._room = room
        self._items: deque[Any] = deque()
        # Held to change all of this.
        self._lock = threading.Lock()
        self._reader: Waiter | None = None
        self._writer: Waiter | None = None
        self.answer: tuple[Any, BaseException | None] | None = None
        self.is_closed = False

    def put(self, item: Any) -> bool:
        """Add an item, when there is room; return False: nobody reads any more.

        Raises:
            EncodeError: it cannot be pickled.
        """
        plain = encode_result(item)
        head, buffers = plain or self._store.encode(item, "item")
        sealed = plain is not None, head, [bytes(one) for one in buffers]
        while True:
            with self._lock:
                if self.is_closed:
                    return False
                if len(self._items) < self._room:
                    self._items.append(sealed)
                    self._wake(self._reader)
                    return True
                self._writer = waiter = self._engine.waiter()
            waiter.is_patient = True
            self._engine.wait(waiter, None, "a stream's reader")

    def take(self, timeout: float | None, name: str) -> tuple[bool, Any] | None:
        """Return (True, the next item); (False, None) at the end; None: none came in time."""
        deadline = None if timeout is None else self._engine.now() + timeout
        while True:
            with self._lock:
                if self._items:
                    sealed = self._items.popleft()
                    self._wake(self._writer)
                    return True, _opened(*sealed)
                if self.answer is not None or self.is_closed:
                    return False, None
                self._reader = waiter = self._engine.waiter()
            if not self._engine.wait(waiter, deadline, f"an item of {name}"):
                return None

    def end(self, answer: Any, error: BaseException | None) -> None:
        """Note that the generator has ended."""
        with self._lock:
            self.answer = answer, error
            self._wake(self._reader)

    def close(self) -> None:
        """Read no more: the producer ends at its next item."""
        with self._lock:
            self.is_closed = True
            self._items.clear()
            self._wake(self._writer)
            self._wake(self._reader)

    @staticmethod
    def _wake(waiter: Waiter | None) -> None:
        if waiter is not None:
            waiter.set()


def _opened(is_plain: bool, head: bytes, buffers: list[bytes]) -> Any:
    return load_plain(head) if is_plain else decode(head, list(map(bytearray, buffers)), "item")


class Channels:
    """The streams of one system that are open."""

    def __init__(self, engine: Engine, store: PayloadStore) -> None:
        self._engine = engine
        self._store = store
        self._numbers = itertools.count(1)
        self._open: dict[int, Channel] = {}

    def new(self, room: int) -> tuple[int, Channel]:
        """Return (the number of a new channel, that)."""
        number = next(self._numbers)
        channel = self._open[number] = Channel(self._engine, self._store, room)
        return number, channel

    def find(self, number: int) -> Channel | None:
        """Return a channel, if it is still open."""
        return self._open.get(number)

    def forget(self, number: int) -> None:
        """Let go of a channel whose reader is through."""
        self._open.pop(number, None)


class Producer:
    """Runs a generator of an actor into a channel; see `runner.streams.Streaming`.

    Args:
        channel: of its reader; None: that is gone.
        handler: the generator, bound.
    """

    def __init__(self, channel: Channel | None, handler: Callable[..., Any]) -> None:
        self._channel = channel
        self._handler = handler

    def run(self, *args: Any, **kwargs: Any) -> None:
        """Serve the stream to its end; its reader's leaving is one.

        Raises:
            What the generator raises; EncodeError: an item cannot be sent.
        """
        items = self._handler(*args, **kwargs)
        if not hasattr(items, "__next__"):
            raise UnknownMethod(
                f"expected items from {self._handler.__qualname__}, found {type(items).__name__}: "
                f"stream is for generators, say ask for a result"
            )
        try:
            self._serve(items)
        finally:
            if hasattr(items, "close"):
                items.close()

    def _serve(self, items: Iterator[Any]) -> None:
        channel = self._channel
        if channel is None or channel.is_closed:
            return
        for item in items:
            if not channel.put(item):
                return
