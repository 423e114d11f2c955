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


def _idle() -> None:
    pass


class Channel:
    """One stream's items.

    Attributes:
        answer: what the call of the generator was answered with; None: it has not ended.
        is_closed: the reader wants no more.
        on_closed: called when it says so.
    """

    def __init__(self, engine: Engine, store: PayloadStore, room: int) -> None:
        self._engine = engine
        self._store = store
        self._room = room
        self._items: deque[Any] = deque()
        # Held to change all of this.
        self._lock = threading.Lock()
        self._readers: list[Waiter] = []
        self._writers: list[Waiter] = []
        self.answer: tuple[Any, BaseException | None] | None = None
        self.is_closed = False
        self.on_closed: Callable[[], None] | None = None

    def seal(self, item: Any) -> Any:
        """Return an item as it travels. Raises EncodeError: it cannot be pickled."""
        plain = encode_result(item)
        head, buffers = plain or self._store.encode(item, "item")
        return plain is not None, head, [bytes(one) for one in buffers]

    def offer(self, sealed: Any, make_waiter: Callable[[], Any]) -> Any:
        """Add an item; return True, or False: nobody reads any more.

        Where there is no room, return what was made by `make_waiter` and is told of it.
        """
        with self._lock:
            if self.is_closed:
                return False
            if len(self._items) < self._room:
                self._items.append(sealed)
                self._wake(self._readers)
                return True
            waiter = make_waiter()
            self._writers.append(waiter)
            return waiter

    def put(
        self, item: Any, rest: Callable[[], None] = _idle, beat: Callable[[], None] = _idle
    ) -> bool:
        """Add an item, when there is room; return False: nobody reads any more.

        Args:
            item: it.
            rest: called when it begins to wait for room.
            beat: called when that wait is over.

        Raises:
            EncodeError: it cannot be pickled.
        """
        sealed = self.seal(item)
        while not isinstance(is_taken := self.offer(sealed, self._engine.waiter), bool):
            is_taken.is_patient = True
            rest()
            try:
                self._engine.wait(is_taken, None, "a stream's reader")
            finally:
                beat()
        return is_taken

    def take(self, timeout: float | None, name: str) -> tuple[bool, Any] | None:
        """Return (True, the next item); (False, None) at the end; None: none came in time."""
        deadline = None if timeout is None else self._engine.now() + timeout
        while not isinstance(found := self.look(self._engine.waiter), tuple):
            if not self._engine.wait(found, deadline, f"an item of {name}"):
                return None
        return found

    def look(self, make_waiter: Callable[[], Any]) -> Any:
        """Return (True, the next item), or (False, None) at the end.

        Where none has come, return what was made by `make_waiter` and is told of it.
        """
        with self._lock:
            if self._items:
                sealed = self._items.popleft()
                self._wake(self._writers)
            elif self.answer is not None or self.is_closed:
                return False, None
            else:
                waiter = make_waiter()
                self._readers.append(waiter)
                return waiter
        return True, _opened(*sealed)

    def end(self, answer: Any, error: BaseException | None) -> None:
        """Note that the generator has ended."""
        with self._lock:
            self.answer = answer, error
            self._wake(self._readers)

    def close(self) -> None:
        """Read no more: the producer ends at its next item."""
        with self._lock:
            self.is_closed = True
            self._items.clear()
            self._wake(self._writers)
            self._wake(self._readers)
            on_closed = self.on_closed
        if on_closed is not None:
            on_closed()

    @staticmethod
    def _wake(waiters: list[Waiter]) -> None:
        for waiter in waiters:  # each of them looks again
            waiter.set()
        waiters.clear()


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
        rest: notes that the reader is waited for, which is no hang, however long it takes.
        beat: notes that the generator is alive: the time of a hang counts from its last item.
    """

    def __init__(
        self,
        channel: Channel | None,
        handler: Callable[..., Any],
        rest: Callable[[], None],
        beat: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._handler = handler
        self._rest = rest
        self._beat = beat

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Serve the stream to its end, or return what serves it; its reader's leaving is one.

        Raises:
            What the generator raises; EncodeError: an item cannot be sent.
        """
        items = self._handler(*args, **kwargs)
        if hasattr(items, "__anext__"):
            from procactors.local.async_producer import produce  # `asyncio` is large

            return produce(self._channel, items, self._rest, self._beat)
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
        return None

    def _serve(self, items: Iterator[Any]) -> None:
        channel = self._channel
        if channel is None or channel.is_closed:
            return
        for item in items:
            self._beat()
            if not channel.put(item, self._rest, self._beat):
                return
