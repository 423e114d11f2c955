"""The items of a stream on their way to its reader, in one process.

Layer: local. Runs in: one process: the producer's thread and the readers'.
Owns: the items that were made and not taken.
Never: lets a producer be further ahead than its reader has granted; runs a user's code.

    producer (a life, or a feed) ── put ──► items ── take ──► reader (a life, or the program)
    the life that reads is over: closed        the life that feeds is over: broken
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from procactors.errors import StreamBroken, UnknownMethod
from procactors.local.here import Killed, here
from procactors.wire.pickling.codec import decode
from procactors.wire.pickling.plain import encode_result, load_plain

if TYPE_CHECKING:
    from procactors.local.engine import Engine
    from procactors.wire.payload_store import PayloadStore

__all__ = ["LATER_NS", "Channel", "Channels", "Producer", "sealed_item"]

#: Nanoseconds by which a wait for the reader is put off: to wait for it is no hang.
LATER_NS = 1 << 60


def sealed_item(store: Any, item: Any) -> tuple[bool, bytes, list[bytes]]:
    """Return (whether it is plain, its bytes, its buffers) of an item, as it lies in a channel.

    Raises:
        EncodeError: it cannot be pickled.
    """
    plain = encode_result(item)
    head, buffers = plain or store.encode(item, "item")
    return plain is not None, bytes(head), [bytes(one) for one in buffers]


class Channel:
    """One stream's items.

    Attributes:
        number: names it in its system.
        answer: what the call of the generator was answered with; None: it has not ended.
        is_closed: the reader wants no more.
        is_read: somebody reads: not one that was sent on, and has not come.
        on_closed: called when it says so.
        on_room: called when there is room again, or nobody who wants an item.
        on_opened: called when the actor that is fed has opened it.
        forget: has its system let go of it.
        on_gone: called when the message that it went with is over, and nobody has opened it.
    """

    def __init__(self, engine: Engine, store: PayloadStore, room: int, number: int) -> None:
        self._engine = engine
        self._store = store
        self._room = room
        self.number = number
        self._items: deque[Any] = deque()
        # Held to change all of this.
        self._lock = threading.Lock()
        self._readers: list[Any] = []
        self._writer: Any = None
        self.answer: tuple[Any, BaseException | None] | None = None
        self._is_end_told = False
        self.is_closed = False
        self.is_read = True
        self._move = 0
        self.on_closed: Callable[[], None] | None = None
        self.on_room: Callable[[], None] = _nothing
        self.on_opened: Callable[[], None] = _nothing
        self.on_gone: Callable[[], None] = _nothing
        self.forget: Callable[[], None] = _nothing

    # -- the producer's side ------------------------------------------------------------------

    def has_room(self) -> bool | None:
        """Whether an item may be put now; None: nobody reads any more."""
        with self._lock:
            return None if self._is_left else len(self._items) < self._room

    @property
    def _is_left(self) -> bool:
        return self.is_closed or self.answer is not None

    def room(self, make_waiter: Callable[[], Any]) -> Any:
        """Return True: an item may be put now, or False: nobody reads any more.

        Where there is no room, return what was made by `make_waiter` and is told of it.
        """
        with self._lock:
            if self._is_left:
                return False
            if len(self._items) < self._room:
                return True
            self._writer = waiter = make_waiter()
            return waiter

    def await_room(self) -> bool:
        """Wait until an item may be put; return False: nobody reads any more."""
        while not isinstance(has_room := self.room(self._engine.waiter), bool):
            has_room.is_patient = True
            self._engine.wait(has_room, None, "a stream's reader")
        return has_room

    def put(self, item: Any) -> None:
        """Add an item, for which there is room; nothing happens if nobody reads any more.

        Raises:
            EncodeError: it cannot be pickled.
        """
        sealed = sealed_item(self._store, item)
        with self._lock:
            if not self._is_left:
                self._items.append(sealed)
                self._wake_readers()

    def end(self, answer: Any, error: BaseException | None) -> None:
        """Note that the items have ended; only the first end counts."""
        with self._lock:
            if self.answer is None:
                self.answer = answer, error
            self._wake_readers()
            self._wake(self._writer)
        self.on_room()

    # -- the reader's side --------------------------------------------------------------------

    def take(self, timeout: float | None, name: str) -> tuple[bool, Any] | None:
        """Return (True, the next item); (False, None) at the end; None: none came in time."""
        deadline = None if timeout is None else self._engine.now() + timeout
        while not isinstance(found := self.look(self._engine.waiter), tuple):
            if not self._engine.wait(found, deadline, f"an item of {name}"):
                return None
        return found

    def look(self, make_waiter: Callable[[], Any]) -> Any:
        """Return (True, the next item), or (False, None) at the end.

        Where none has come, return what was made by `make_waiter` and is told of the next one, as
        all are that wait: one of them gets it, and the others look again.
        """
        with self._lock:
            if self._items:
                sealed = self._items.popleft()
                self._wake(self._writer)
            elif self._is_left:
                return False, None
            else:
                self._readers.append(waiter := make_waiter())
                return waiter
        self.on_room()
        return True, _opened(*sealed)

    def take_end(self) -> tuple[Any, BaseException | None]:
        """Return what the items have ended with; to the first that asks."""
        with self._lock:
            was_told, self._is_end_told = self._is_end_told, True
            return (None, None) if was_told or self.answer is None else self.answer

    def close(self) -> None:
        """Read no more: the producer ends at its next item."""
        with self._lock:
            self.is_closed = True
            self._items.clear()
            self._wake(self._writer)
            self._wake_readers()
            on_closed = self.on_closed
        self.on_room()
        if on_closed is not None:
            on_closed()

    # -- changing hands -----------------------------------------------------------------------

    def send_on(self) -> int:
        """Have it be read by whoever receives it; return the number of this move.

        Raises:
            StreamBroken: it is over.
        """
        with self._lock:
            if self.is_closed or self._is_end_told:
                raise StreamBroken("it is over")
            self.is_read = False
            self._move += 1
            return self._move

    def open(self, move: int) -> bool:
        """Read it from now on; return False: it is closed, or another reads it."""
        with self._lock:
            if self.is_closed or self.is_read or self._move != move:
                return False
            self.is_read = True
            return True

    def is_under_way(self, move: int) -> bool:
        """Whether it was sent on with that number, and nobody has opened it."""
        return not self.is_read and self._move == move

    def dropped(self, move: int) -> None:
        """Note that the message of that move is over: who has not opened it never will."""
        with self._lock:
            if not self.is_under_way(move):
                return
            self.is_read = True
        self.close()
        self.forget()
        self.on_gone()

    def _wake_readers(self) -> None:
        readers, self._readers = self._readers, []
        for waiter in readers:
            waiter.set()

    @staticmethod
    def _wake(waiter: Any) -> None:
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
        # Guards the lives' streams: of each, by its number, what is to be done at its end.
        self._lock = threading.Lock()
        self._of: dict[Any, dict[int, Callable[[], None]]] = {}

    def new(self, room: int) -> Channel:
        """Return a new channel."""
        number = next(self._numbers)
        channel = self._open[number] = Channel(self._engine, self._store, room, number)
        channel.forget = functools.partial(self.forget, number)
        return channel

    def find(self, number: int) -> Channel | None:
        """Return a channel, if it is still open."""
        return self._open.get(number)

    def forget(self, number: int) -> None:
        """Let go of a channel whose reader is through."""
        self._open.pop(number, None)

    def read_by(self, life: Any, channel: Channel) -> None:
        """Note that a life reads a channel; None: the program does."""
        self._note(life, channel.number, channel.close)

    def fed_by(self, life: Any, channel: Channel, error: BaseException) -> None:
        """Note that a life feeds a channel, and what that ends with if the life does first."""
        # Its reader may be the same life.
        self._note(life, -channel.number, lambda: channel.end(None, error))

    def _note(self, life: Any, number: int, at_end: Callable[[], None]) -> None:
        if life is None:
            return
        with self._lock:
            if not life.is_dead:
                self._of.setdefault(life, {})[number] = at_end
                return
        at_end()

    def left(self, life: Any, number: int) -> None:
        """Note that a life reads a channel no more."""
        with self._lock:
            self._of.get(life, {}).pop(number, None)

    def fed(self, life: Any, number: int) -> None:
        """Note that a life feeds a channel no more."""
        self.left(life, -number)

    def over(self, life: Any) -> None:
        """A life is dead: nobody reads what it has read, nor feeds what it has fed."""
        with self._lock:
            mine = self._of.pop(life, None)
        for at_end in list((mine or {}).values()):
            at_end()

    def close(self) -> None:
        """The system is over: nobody reads any more."""
        for channel in list(self._open.values()):
            channel.close()
            channel.on_gone()
        self._open.clear()


class Producer:
    """Runs a generator of an actor into a channel; see `runner.streams.Streaming`.

    Args:
        channel: of its reader; None: that is gone.
        handler: the generator, bound.
        busy_since: notes since when (nanoseconds) it is at its next item.
        now_ns: the clock for that.
    """

    def __init__(
        self,
        channel: Channel | None,
        handler: Callable[..., Any],
        busy_since: Callable[[int], None],
        now_ns: Callable[[], int],
    ) -> None:
        self.channel = channel
        self._handler = handler
        self._busy_since = busy_since
        self._now_ns = now_ns
        #: Called with how many items were taken of the generator.
        self.on_taken: Callable[[int], None] = lambda _count: None

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Serve the stream to its end, or return what serves it; its reader's leaving is one.

        Raises:
            What the generator raises; EncodeError: an item cannot be sent.
        """
        items = self._handler(*args, **kwargs)
        if hasattr(items, "__anext__"):
            from procactors.local.async_producer import produce  # `asyncio` is large

            return produce(self, items)
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

    def rest(self) -> None:
        """Note that the reader is waited for: that is no hang, however long it takes."""
        self._busy_since(self._now_ns() + LATER_NS)

    def beat(self) -> None:
        """Note that the generator is at its next item: the time of a hang counts from here."""
        self._busy_since(self._now_ns())

    def _serve(self, items: Iterator[Any]) -> None:
        channel = self.channel
        if channel is None:
            return
        while self._is_wanted(channel):
            try:
                item = next(items)
            except StopIteration:
                return
            self.on_taken(1)
            channel.put(item)

    def _is_wanted(self, channel: Channel) -> bool:
        """Wait until the reader wants an item; return False: it never will."""
        life = here.life
        if life is not None and life.is_dead:
            raise Killed
        room = channel.has_room()
        if not room and room is not None:
            self.rest()
            room = channel.await_room()
        self.beat()
        return bool(room)


def _nothing() -> None:
    """Nobody is to be told."""
