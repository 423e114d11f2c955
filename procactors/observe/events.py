"""The hub of a system's events: it passes what is published to all that listen.

Layer: observe. Runs in: parent; callbacks in threads of their own.
Owns: the subscriptions and streams, until they are closed or the system ends (`close`).
Never: holds up the thread that publishes; costs anything while there is no listener.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Any, TypeVar, overload

from procactors.errors import ActorStopped, InvalidSpec
from procactors.model.checks import plain_function, whole
from procactors.model.events import Event
from procactors.observe.subscription import Feed, Subscription

__all__ = ["BOUND", "EventStream", "Events"]


E = TypeVar("E", bound=Event)

#: Events that may wait for a listener that names no bound: as many as dead letters are kept.
BOUND = 10_000

_Kinds = tuple[type[Event], ...]


class EventStream(Iterator[Event]):
    """The events from the stream's making on, until it is closed or the system ends.

    One that is left is closed when it is collected.
    """

    def __init__(self, feed: Feed[Event], on_close: Callable[[Feed[Event]], None]) -> None:
        self._feed = feed
        self._on_close = on_close
        self._ended = False

    @property
    def dropped(self) -> int:
        """How many were dropped since more than the bound waited: the oldest each time."""
        return self._feed.dropped

    def __next__(self) -> Event:
        event = None if self._ended else self._feed.take()
        if event is None:
            self._ended = True
            self._feed.end()  # for another thread that waits here
            raise StopIteration
        return event

    def close(self) -> None:
        """End the stream; a thread that waits in it goes on behind its loop."""
        self._on_close(self._feed)
        self._feed.end()

    def __del__(self) -> None:
        self._on_close(self._feed)


class Events:
    """The events of a system: `subscribe` to them, or iterate over them from now on."""

    def __init__(self) -> None:
        # Guards the listeners, and lets one thread at a time offer. Reentrant: a collection in
        # this very thread may close a stream, and a signal handler may stop the system.
        self._lock = threading.RLock()
        # Never changed in place: a thread that publishes may be walking over it.
        self._listeners: tuple[tuple[_Kinds, Feed[Event]], ...] = ()
        self._subscriptions: list[Subscription[Any]] = []
        self._closed = False
        self._on_change: Callable[[], None] = lambda: None

    @overload
    def subscribe(
        self,
        callback: Callable[[Event], object],
        kinds: None = None,
        *,
        bound: int = BOUND,
    ) -> Subscription[Event]: ...

    @overload
    def subscribe(
        self, callback: Callable[[E], object], kinds: Iterable[type[E]], *, bound: int = BOUND
    ) -> Subscription[E]: ...

    def subscribe(
        self,
        callback: Callable[[Any], object],
        kinds: Iterable[type[Event]] | None = None,
        *,
        bound: int = BOUND,
    ) -> Subscription[Any]:
        """Have `callback` called with each event from now on; close what is returned to end that.

        Each subscription has a thread of its own, in which its events come in order. An exception
        in the callback is logged, and the next event comes. A slow callback does not hold up the
        system: of more than `bound` events that wait for it the oldest are dropped, counted
        (`dropped`) and logged. When the system stops, it gets what is left within the stop's
        deadline.

        Args:
            callback: called with one event; its own thread must not wait for the system's end.
            kinds: classes of the events that it gets, as in ``(Progress,)``; None: all.
            bound: most events that wait for it.

        Raises:
            ActorStopped: the system was stopped. InvalidSpec: a callback that is no plain
                function, a kind that is no class of events, or a bound below 1.
        """
        callback, wanted = plain_function("callback", callback), _checked(kinds)
        bound = whole("bound (events)", bound, 1)
        with self._lock:
            if self._closed:
                raise ActorStopped("the system was stopped: there will be no event")
            subscription: Subscription[Any] = Subscription(
                callback, "event", latest=True, on_close=self._leave, bound=bound
            )
            self._subscriptions.append(subscription)
            self._add(wanted, subscription.feed)
        return subscription

    def stream(
        self, kinds: Iterable[type[Event]] | None = None, *, bound: int = BOUND
    ) -> EventStream:
        """Return a stream of the events from now on; empty when the system has ended.

        Args:
            kinds: classes of the events that it gets; None: all.
            bound: most events that wait in it; of more, the oldest are dropped and counted
                (`dropped`).

        Raises:
            InvalidSpec: a kind that is no class of events, or a bound below 1.
        """
        bound = whole("bound (events)", bound, 1)
        feed: Feed[Event] = Feed("a loop over the events", "events", latest=True, bound=bound)
        self.feed(feed, kinds)
        return EventStream(feed, self.leave)

    def __iter__(self) -> EventStream:
        """Return a stream of all events from now on; empty when the system has ended."""
        return self.stream()

    # -- the runtime's side -------------------------------------------------------------------

    def feed(self, feed: Feed[Event], kinds: Iterable[type[Event]] | None = None) -> None:
        """Have a feed get the events from now on, until `leave`; it ends with the system."""
        wanted = _checked(kinds)
        with self._lock:
            if self._closed:
                feed.end()
            else:
                self._add(wanted, feed)

    def leave(self, feed: Feed[Event]) -> None:
        """Have a feed get no more events."""
        with self._lock:
            left = tuple(one for one in self._listeners if one[1] is not feed)
            if len(left) < len(self._listeners):
                self._listeners = left
                self._on_change()

    def publish(self, event: Event) -> None:
        """Offer an event to all listeners. Never blocks; from any thread of the parent."""
        if not self._listeners:
            return
        with self._lock:
            for kinds, feed in self._listeners:
                if isinstance(event, kinds):
                    feed.offer(event)

    @property
    def is_listened(self) -> bool:
        """Whether there is any listener."""
        return bool(self._listeners)

    def wants(self, kind: type[Event]) -> bool:
        """Return whether there is a listener to events of that class: else none need be made."""
        return any(issubclass(kind, kinds) for kinds, _ in self._listeners)

    def on_change(self, action: Callable[[], None]) -> None:
        """Run `action` now, and whenever a listener comes or goes."""
        with self._lock:
            self._on_change = action
            action()

    def close(self, timeout: float) -> None:
        """Deliver what is left, within `timeout` seconds; end streams and threads."""
        deadline = monotonic() + timeout
        with self._lock:
            self._closed = True
            for _, feed in self._listeners:
                feed.end()
            self._listeners = ()
            subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            subscription.join(max(0.0, deadline - monotonic()))

    def _add(self, kinds: _Kinds, feed: Feed[Event]) -> None:
        self._listeners = (*self._listeners, (kinds, feed))
        self._on_change()

    def _leave(self, subscription: Subscription[Any]) -> None:
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
            self.leave(subscription.feed)


def _checked(kinds: Iterable[type[Event]] | None) -> _Kinds:
    """Return the kinds as `isinstance` takes them."""
    if kinds is None:
        return (Event,)
    if isinstance(kinds, type) or not isinstance(kinds, Iterable):
        raise InvalidSpec(f"kinds is a tuple of classes, as in (Progress,), not {kinds!r}")
    wanted = tuple(kinds)
    for kind in wanted:
        if not isinstance(kind, type) or not issubclass(kind, Event):
            raise InvalidSpec(f"kinds names classes of events, not {kind!r}")
    if not wanted:
        raise InvalidSpec("kinds names at least one class, or is None for all events")
    return wanted
