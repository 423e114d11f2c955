"""Feeds between actors of this process: the caller's iterable, pulled by a task of the engine's.

Layer: api. Runs in: one process: `enclose` in the caller's thread, the rest in the feed's task.
Owns: the iterable, from the sending on.
Never: pulls an item for which the actor has no room; outlives the message that it went with, if
nobody opens it, or the life that has sent it.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from procactors.api.local_stream import LocalStream
from procactors.errors import StreamBroken
from procactors.local.channel import Channel
from procactors.local.here import here
from procactors.model.backends import unsupported
from procactors.runtime.feed import Feed, Letter, close_items, in_loop
from procactors.stored import stored
from procactors.wire.raised import last_line
from procactors.wire.record import Kind
from procactors.wire.replies.failures import pack_failure, unpack
from procactors.wire.streams.channel import Gone
from procactors.wire.transport import MAIN, transport_of

if TYPE_CHECKING:
    from procactors.local.transport import LocalTransport
    from procactors.runtime.stream import Stream

__all__ = ["LocalLetter"]

#: What an iterator has at its end.
_END = object()


class LocalLetter(Letter):
    """What is being encoded for an actor of this process, and the feeds in it."""

    def __init__(self, ref: Any, transport: LocalTransport) -> None:
        # Nothing of the base class's: there are no pipes.
        self._ref = ref
        self._local = transport
        self._fed: dict[int, tuple[Feed, Channel, int]] = {}

    def enclose(self, feed: Feed) -> tuple[Any, ...]:
        """Return what a feed is pickled as; the same, however often it is."""
        transport = self._local
        engine = transport.engine
        if feed.loop is not None and engine.is_virtual:
            raise unsupported("loops", engine.name)
        if id(feed) not in self._fed:
            channel = transport.channels.new(self._ref._credit())
            self._fed[id(feed)] = feed, channel, channel.send_on()
        _, channel, move = self._fed[id(feed)]
        transport.store.carries(channel, move)
        return _adopt_local_feed, (transport.path, channel.number, move, _name_of(transport))

    def cancel(self) -> None:
        """It cannot be encoded, and is not sent."""
        for _, channel, _ in self._fed.values():
            self._local.channels.forget(channel.number)

    def start(self) -> None:
        """Have the items be there for who opens a channel: its message is to be sent."""
        life = here.life
        life = life if life is not None and life.transport is self._local else None
        who = _name_of(self._local)
        for feed, channel, _ in self._fed.values():
            feed.spend()
            feeder = _Feeder(self._local, channel, feed, self._ref.name, life)
            error = StreamBroken(f"{who} has ended before its feed did: items are missing")
            self._local.channels.fed_by(life, channel, error)
            channel.on_opened = feeder.start
            channel.on_gone = feeder.give_up


def _name_of(transport: LocalTransport) -> str:
    """Return who feeds, for errors."""
    if transport.actor == MAIN:
        return f"the main program (process {os.getpid()})"
    return transport.name_of(transport.actor)


@stored
def _adopt_local_feed(path: str, number: int, move: int, sender: str) -> Stream[Any]:
    transport: Any = transport_of(path, "a feed")
    channel = transport.channels.find(number)
    if channel is None or not channel.open(move):
        raise StreamBroken(
            f"a feed of {sender} came, but it is closed: {sender} has ended, or the message was "
            f"delivered before, and what was fed is not fed again"
        )
    stream: Stream[Any] = LocalStream(transport, channel, f"the feed of {sender}", None)
    channel.on_opened()
    return stream


class _Feeder:
    """Pulls one iterable, as a task.

    Args:
        transport: the system's.
        channel: that the items go to.
        feed: what is pulled.
        name: of the actor that is fed, for the log.
        life: that has sent it; None: the program has.
    """

    is_queued = is_running = False
    bell: object = None

    def __init__(
        self, transport: LocalTransport, channel: Channel, feed: Feed, name: str, life: Any
    ) -> None:
        self._transport = transport
        self._engine = transport.engine
        self._channel = channel
        self._items, self._loop = feed.items, feed.loop
        self._name = name
        self._life = life
        self._pull: Callable[[], Any] | None = None

    def start(self) -> None:
        """Begin: the actor has opened the channel."""
        self._channel.on_room = functools.partial(self._engine.wake, self)
        self._channel.on_gone = _nothing
        self._engine.start(self, "feed")

    def give_up(self) -> None:
        """The message is over, and nobody has opened the channel."""
        items, self._items = self._items, None
        self._transport.channels.fed(self._life, self._channel.number)
        close = functools.partial(close_items, items, self._loop, self._name)
        self._engine.later(close)

    def run(self) -> float | None:
        """Pull items while there is room; see `Task.run`."""
        channel = self._channel
        try:
            if self._pull is None:
                self._pull = self._puller()
            while room := channel.has_room():
                item = self._pull()
                if item is _END:
                    self._end(None)
                    return None
                channel.put(item)
                if self._engine.others:
                    return 0.0
            if room is not None:
                return math.inf
        except Gone:
            pass
        except BaseException as error:  # noqa: BLE001 - the user's; it goes to the actor
            self._end(error)
            return None
        close_items(self._items, self._loop, self._name)
        self._let_go()
        return None

    def _puller(self) -> Callable[[], Any]:
        """Return what returns the next item, or `_END`."""
        loop = self._loop
        if loop is None:
            iterator: Iterator[Any] = iter(self._items)
            return lambda: next(iterator, _END)
        items = aiter(self._items)

        async def take() -> Any:
            return await anext(items, _END)

        return lambda: in_loop(loop, take, lambda: self._channel.is_closed)

    def _end(self, error: BaseException | None) -> None:
        """Have the items end, with a copy of what the iterable has raised."""
        if error is not None:
            if not isinstance(error, Exception):
                error = StreamBroken(f"the feed ended by {last_line(error)}")
            error = unpack(Kind.FAILURE, pack_failure(error, self._transport.store))
        self._channel.end(None, error)
        self._let_go()

    def _let_go(self) -> None:
        self._items = self._pull = None
        self._channel.on_room = _nothing
        self._transport.channels.fed(self._life, self._channel.number)


def _nothing() -> None:
    """Nobody is to be told."""
