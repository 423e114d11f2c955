"""Feeds: an argument that is an iterator in the actor, pulled from the caller's iterable.

Layer: runtime. Runs in: the caller's process, a thread for each feed; `_adopt_feed` in the actor.
Owns: the iterable, from the sending on; the writing end of its channel, until it ends.
Never: pulls an item for which the actor has no room; outlives the message that it went with: if
nobody opens the channel, a probe behind the message tells when nobody will.
"""

from __future__ import annotations

import functools
import logging
import os
import select
import threading
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from concurrent.futures import CancelledError, TimeoutError as FuturesTimeout
from typing import TYPE_CHECKING, Any, TypeVar, overload

from procactors.errors import StorageFull, StreamBroken
from procactors.late import late
from procactors.runtime.probe import LOOK_S, PROBE_S, Probe
from procactors.runtime.stream import Stream
from procactors.runtime.stream_end import Fed
from procactors.stored import stored
from procactors.wire.pickling.codec import Encoded, NeedsReceiver, encode_to, receivers
from procactors.wire.raised import last_line
from procactors.wire.streams.channel import (
    Ends,
    Gone,
    close_from_afar,
    make_for_writing,
    new_number,
    open_for_reading,
    remove_channel,
)
from procactors.wire.streams.reader import ItemReader
from procactors.wire.streams.writer import ItemWriter
from procactors.wire.transport import MAIN, Transport, transport_of

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = late("asyncio")  # most feeds are pulled by a thread

__all__ = ["Feed", "Letter", "close_items", "encode_for", "feed", "in_loop"]

T = TypeVar("T")

_log = logging.getLogger("procactors")

#: Seconds of a wait for an event loop's next item, behind which it is seen who is still there.
_SLICE_S = 0.05


@overload
def feed(items: Iterable[T]) -> Stream[T]: ...
@overload
def feed(items: AsyncIterable[T]) -> Stream[T]: ...
def feed(items: Any) -> Any:
    """Return what is an iterator of these items in the actor that it is sent to.

    Send it as an argument, anywhere in it, of a tell, ask, submit or stream: ``ref.ask(Worker.load,
    feed(rows))``. Nothing is pulled before the actor has the message; then items are pulled as it
    takes them, at most ``buffer`` ahead (`ActorRef.options`), in a thread of this process, or, if
    they are asynchronous, in the running loop. In the actor it is a `Stream`, which may outlive the
    handler. It is sent once.

    What the iterable raises is raised in the actor's iterator as itself. When the actor wants no
    more, or dies, or the message is not handled, a generator is closed. When this process dies, the
    actor's iterator raises `StreamBroken`.

    Raises:
        TypeError: `items` cannot be iterated over, or is asynchronous and no event loop runs here.
    """
    return Feed(items)


class Feed:
    """What `feed` returns, until it is sent."""

    def __init__(self, items: Any) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        if hasattr(items, "__aiter__"):
            try:
                self.loop = asyncio.get_running_loop()
            except RuntimeError:
                raise TypeError(
                    f"a feed of asynchronous items is pulled by an event loop, and none runs in "
                    f"this thread; found {type(items).__name__}, expected an iterable"
                ) from None
        elif not hasattr(items, "__iter__"):
            raise TypeError(f"a feed is of an iterable, not of {items!r}")
        self.items = items
        self._is_sent = False

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("a feed is an iterator in the actor that it is sent to, not here")

    def __repr__(self) -> str:
        return f"<feed of {type(self.items).__name__}{', sent' if self._is_sent else ''}>"

    def __reduce__(self) -> tuple[Any, ...]:
        letter = receivers.receiver
        if not isinstance(letter, Letter):
            raise NeedsReceiver(
                "a feed goes to an actor, as an argument of tell, ask, submit or stream: it cannot "
                "be pickled, nor be an argument of spawn, a result, or a part of tell_many"
            )
        if self._is_sent:
            raise StreamBroken("a feed is sent once, and this one was: make another for each actor")
        return letter.enclose(self)

    def spend(self) -> None:
        """Note that it is sent."""
        self._is_sent = True


class Letter:
    """What is being encoded for an actor in this thread, and the feeds in it."""

    def __init__(self, ref: Any, transport: Transport) -> None:
        self.path = transport.path
        self.buffer = ref._credit()
        self.sender = _name_of(transport)
        self._ref = ref
        self._transport = transport
        self._feeds: dict[int, tuple[Feed, int]] = {}
        self._handovers: list[Any] = []

    def enclose(self, feed: Feed) -> tuple[Any, ...]:
        """Return what a feed is pickled as; the same, however often it is."""
        number = self._feeds.setdefault(id(feed), (feed, new_number(self._transport.store)))[1]
        return _adopt_feed, (self.path, number, self.buffer, self.sender)

    def cancel(self) -> None:
        """It cannot be encoded, and is not sent: nothing was opened for it."""

    def hand_over(self, handover: Any) -> None:
        """Take note of a stream that is handed over with it."""
        self._handovers.append(handover)

    def start(self) -> None:
        """Open the channels: what they are in was encoded, and is to be sent."""
        for handover in self._handovers:
            handover.watch(self._ref)
        for feed, number in self._feeds.values():
            ends = make_for_writing(self._transport.store, number)
            feed.spend()
            _Feeder(self._transport, self._ref, ends, feed).start()


def encode_for(ref: Any, transport: Transport, value: Any, what: str) -> Encoded:
    """Encode a value in which there may be feeds, which begin to wait for their reader."""
    letter = (transport.make_letter or Letter)(ref, transport)
    try:
        encoded = encode_to(letter, transport.encode, value, what)
    except BaseException:
        letter.cancel()
        raise
    letter.start()
    return encoded


@stored
def _adopt_feed(path: str, number: int, buffer: int, sender: str) -> Stream[Any]:
    transport = transport_of(path, "a feed")
    try:
        ends = open_for_reading(path, number)
    except Gone:
        raise StreamBroken(
            f"a feed of {sender} came, but it is closed: {sender} has ended, or the message was "
            f"delivered before, and what was fed is not fed again"
        ) from None
    reader = ItemReader(ends, buffer, is_fed=True)
    stream: Stream[Any] = Stream(transport, reader, Fed(sender), MAIN, f"the feed of {sender}")
    # The first credit says that it has a reader, who has opened it.
    reader.grant(buffer)
    return stream


def _name_of(transport: Transport) -> str:
    if transport.actor == MAIN:
        return f"the main program (process {os.getpid()})"
    return f"actor {transport.actor} (process {os.getpid()})"


class _Feeder:
    """Pulls one iterable, in a thread of its own.

    Args:
        transport: of this process.
        ref: of the actor that is fed.
        ends: of the channel, open for its credit.
        feed: what is pulled.
    """

    def __init__(self, transport: Transport, ref: Any, ends: Ends, feed: Feed) -> None:
        self._transport = transport
        self._ref = ref
        self._ends = ends
        self._path, self._number = ends.path, ends.number
        self._items, self._loop = feed.items, feed.loop
        self._probe = Probe(transport, ref)

    def start(self) -> None:
        """Begin to wait for the reader."""
        self._transport.on_close(self._end)
        threading.Thread(target=self._run, name="procactors-feed", daemon=True).start()

    def _end(self) -> None:
        """Let the thread end: this process's part in the system is over."""
        close_from_afar(self._path, self._number)

    def _run(self) -> None:
        writer = ItemWriter(self._transport.store, self._ends)
        try:
            if self._is_opened():
                self._open()
                self._pull(writer)
            else:
                self._close_items()
        except Gone:
            pass
        except BaseException:  # noqa: BLE001 - a thread of ours: there is nobody to raise it to
            _log.exception("a feed for %s met an error", self._ref.name)
        finally:
            writer.close()
            remove_channel(self._path, self._number)
            self._transport.off_close(self._end)
            self._items = None

    def _is_opened(self) -> bool:
        """Wait until the actor has opened the channel; return False: it never will."""
        poll = select.poll()
        poll.register(self._ends.credit, select.POLLIN)
        wait_s = PROBE_S
        while not poll.poll(wait_s * 1000):
            if self._probe.is_passed:
                # The message came before the probe: what it opened, we would have found.
                return bool(poll.poll(0))
            wait_s = LOOK_S
            self._probe.send()
        return True

    def _open(self) -> None:
        """Open the channel for the items, however long it takes until there is a descriptor."""
        poll = select.poll()
        poll.register(self._ends.credit, 0)  # its end alone
        while True:
            try:
                return self._ends.open_for_hello()
            except StorageFull:
                if poll.poll(_SLICE_S * 1000):
                    raise Gone from None

    # -- pulling ------------------------------------------------------------------------------

    def _pull(self, writer: ItemWriter) -> None:
        try:
            pump = self._pump_of(writer)
            while True:
                while not writer.is_ready:
                    writer.wait()
                if pump():
                    break
        except Gone:
            self._close_items()
            raise
        except BaseException as error:  # noqa: BLE001 - the user's; it goes to the actor
            self._finish(writer, error)
        else:
            self._finish(writer)

    def _pump_of(self, writer: ItemWriter) -> Callable[[], bool]:
        """Return what takes items as long as there is room, and says whether there are no more."""
        loop = self._loop
        if loop is None:
            return functools.partial(writer.pump, iter(self._items))
        make = functools.partial(writer.pump_async, aiter(self._items))
        return functools.partial(in_loop, loop, make, self._is_left)

    def _is_left(self) -> bool:
        """Whether the reader has left, or the system is over."""
        poll = select.poll()
        poll.register(self._ends.credit, 0)  # its end alone
        return bool(poll.poll(0))

    def _finish(self, writer: ItemWriter, error: BaseException | None = None) -> None:
        if error is not None and not isinstance(error, Exception):
            error = StreamBroken(f"the feed ended by {last_line(error)}")
        writer.end(error)
        while not writer.is_done:
            writer.wait()

    def _close_items(self) -> None:
        close_items(self._items, self._loop, self._ref.name)


def in_loop(
    loop: asyncio.AbstractEventLoop, make: Callable[[], Any], is_left: Callable[[], bool]
) -> Any:
    """Run a coroutine in the loop of a feed's items, from a thread; wait for its end.

    Args:
        loop: the items'.
        make: makes the coroutine.
        is_left: says whether nobody wants its result any more.

    Raises:
        Gone: nobody does. StreamBroken: the loop is over. Whatever the coroutine raises.
    """
    coroutine = make()
    try:
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    except RuntimeError:
        coroutine.close()
        raise StreamBroken("the event loop that fed this has ended") from None
    while True:
        try:
            return future.result(_SLICE_S)
        except CancelledError:
            raise StreamBroken("the event loop that fed this has ended, or gave up") from None
        except FuturesTimeout:
            if future.done():
                raise  # the user's own
        if loop.is_closed() or not loop.is_running():
            raise StreamBroken("the event loop that fed this has ended")
        if is_left():
            future.cancel()
            raise Gone


def close_items(items: Any, loop: asyncio.AbstractEventLoop | None, name: str) -> None:
    """Close a generator of the user's, whose items nobody wants any more; `name`: who was fed."""
    try:
        if loop is None:
            if hasattr(items, "close") and hasattr(items, "__next__"):
                items.close()
        elif hasattr(items, "aclose") and not loop.is_closed():
            in_loop(loop, items.aclose, lambda: False)
    except Exception as error:  # noqa: BLE001 - the user's: nobody is left to be told
        text = "what was fed to %s raised when it was closed: %s"
        _log.error(text, name, last_line(error))
