"""The items of streams whose two ends are in different processes of a cluster.

Layer: cluster. Runs in: the reader's process and the producer's.
Owns: the items that have come and were not taken (the reader's end).
Never: lets a producer be further ahead than its reader has granted.

A channel's number says whose it is and how many items may be under way, so that a producer can
begin without asking. Items, and what is granted anew, are relayed by the program.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procactors.cluster.store import SPACE
from procactors.local.channel import Channel, Channels, sealed_item
from procactors.model.backends import unsupported

if TYPE_CHECKING:
    from procactors.local.engine import Engine
    from procactors.wire.payload_store import PayloadStore

__all__ = ["ClusterChannels", "Relay", "room_of"]

#: Sends something to the process of a start: (start, what, arguments).
Relay = Callable[..., object]

#: Bits of a channel's number below how many items may be under way, and for that.
_COUNT, _ROOM = 26, 14
_MOST = (1 << _ROOM) - 1


def room_of(number: int) -> int:
    """Return how many items may be under way in a channel of that number."""
    return (number >> _COUNT) & _MOST


class _ReaderEnd(Channel):
    """A channel in its reader's process."""

    def __init__(
        self, engine: Engine, store: PayloadStore, room: int, number: int, relay: Relay
    ) -> None:
        super().__init__(engine, store, room, number)
        self._relay = relay
        self._producer: int | None = None
        self._taken = 0

    def arrive(self, sealed: Any, producer: int) -> None:
        """Take an item that has come from a producer's process."""
        with self._lock:
            self._producer = producer
            if not self._is_left:
                self._items.append(sealed)
                self._wake_readers()
                return
        self._relay(producer, "grant", self.number, -1)

    def look(self, make_waiter: Callable[[], Any]) -> Any:
        """Return (True, the next item), or (False, None) at the end; see `Channel.look`."""
        found = super().look(make_waiter)
        if type(found) is tuple and found[0] and self._producer is not None:
            self._taken += 1
            if self._taken * 2 >= self._room:
                granted, self._taken = self._taken, 0
                self._relay(self._producer, "grant", self.number, granted)
        return found

    def send_on(self) -> int:
        """Refuse to be read by another. Raises UnsupportedOnBackend."""
        raise unsupported("feeds", "ray")

    def close(self) -> None:
        """Read no more: the producer ends at its next item."""
        super().close()
        if self._producer is not None:
            self._relay(self._producer, "grant", self.number, -1)


class _ProducerEnd(Channel):
    """A channel in its producer's process."""

    def __init__(
        self, engine: Engine, store: PayloadStore, number: int, start: int, relay: Relay
    ) -> None:
        super().__init__(engine, store, 0, number)
        self._start = start
        self._relay = relay
        self._granted = room_of(number)

    def has_room(self) -> bool | None:
        """Whether an item may be sent now; None: nobody reads any more."""
        with self._lock:
            return None if self._is_left else self._granted > 0

    def room(self, make_waiter: Callable[[], Any]) -> Any:
        """Return True: an item may be sent now, or False: nobody reads any more.

        Where there is no room, return what was made by `make_waiter` and is told of it.
        """
        with self._lock:
            if self._is_left:
                return False
            if self._granted:
                return True
            self._writer = waiter = make_waiter()
            return waiter

    def put(self, item: Any) -> None:
        """Send an item, for which there is room.

        Raises:
            EncodeError: it cannot be pickled.
        """
        sealed = sealed_item(self._store, item)
        with self._lock:
            self._granted -= 1
        self._relay(self.number >> SPACE, "item", self.number, sealed, self._start)

    def grant(self, count: int) -> None:
        """Let so many more items be sent; -1: nobody reads any more."""
        if count < 0:
            self.close()
            return
        with self._lock:
            self._granted += count
            self._wake(self._writer)


class ClusterChannels(Channels):
    """The streams of one process that are open.

    Args:
        engine: runs it.
        store: of the process.
        start: number of its start.
        relay: sends something to another process.
    """

    def __init__(self, engine: Engine, store: PayloadStore, start: int, relay: Relay) -> None:
        super().__init__(engine, store)
        self._start = start
        self._relay = relay
        self._numbers = itertools.count(1)
        self._producing: dict[int, _ProducerEnd] = {}

    def new(self, room: int) -> Channel:
        """Return a new channel."""
        room = min(room, _MOST)
        count = next(self._numbers) & ((1 << _COUNT) - 1)
        number = self._start << SPACE | room << _COUNT | count
        channel = _ReaderEnd(self._engine, self._store, room, number, self._relay)
        self._open[number] = channel
        return channel

    def find(self, number: int) -> Any:
        """Return the producer's end of a channel; None: its reader is here, and has gone."""
        if number >> SPACE == self._start:
            return self._open.get(number)
        end = _ProducerEnd(self._engine, self._store, number, self._start, self._relay)
        self._producing[number] = end
        return end

    def item(self, number: int, sealed: Any, producer: int) -> None:
        """Take an item that has come."""
        channel = self._open.get(number)
        if channel is None:
            self._relay(producer, "grant", number, -1)
        else:
            channel.arrive(sealed, producer)  # type: ignore[attr-defined]  # all are such

    def grant(self, number: int, count: int) -> None:
        """Take what the reader of a stream says."""
        end = self._producing.get(number)
        if end is not None:
            end.grant(count)

    def ended(self, number: int) -> None:
        """Forget a producer's end."""
        self._producing.pop(number, None)
