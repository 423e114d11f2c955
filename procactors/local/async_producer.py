"""Runs an asynchronous generator of an actor of this process into a channel.

Layer: local. Runs in: one process, in an event loop.
Owns: the generator, from its first item to its end.
Never: blocks the loop; goes on with a generator whose reader is gone: what it awaits is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Protocol

from procactors.local.events import LocalEvents
from procactors.local.here import here

__all__ = ["produce"]


class Channel(Protocol):
    """One stream's items; see `channel.Channel`."""

    is_closed: bool
    on_closed: Callable[[], None] | None

    def room(self, make_waiter: Callable[[], Any]) -> Any:
        """Return whether an item is wanted now, or what is to be waited for."""

    def put(self, item: Any) -> None:
        """Add an item, for which there is room."""


class Producer(Protocol):
    """Who runs the generator; see `channel.Producer`."""

    channel: Any
    on_taken: Callable[[int], None]

    def rest(self) -> None:
        """Note that the reader is waited for."""

    def beat(self) -> None:
        """Note that the generator is at its next item."""


def produce(producer: Producer, items: Any) -> Any:
    """Serve a stream to its end; where an event loop runs, return what does so.

    Raises:
        What the generator raises; EncodeError: an item cannot be sent.
    """
    serving = _serve(producer, items)
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # an actor without one: it has it for this stream
        life = here.life
        events = LocalEvents(life.transport.engine, life)
        try:
            events.finish(serving)
        except BaseException:
            events.abandon()
            raise
        events.wind_up()
        return None
    return serving


async def _serve(producer: Producer, items: Any) -> None:
    channel = producer.channel
    try:
        if channel is None or _is_left(channel):
            return
        loop = asyncio.get_running_loop()
        # A task of its own, so that what it awaits is cancelled when the reader leaves.
        pulling = loop.create_task(_pull(producer, channel, items))

        def leave() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(pulling.cancel)

        channel.on_closed = leave
        if _is_left(channel):  # just before
            pulling.cancel()
        try:
            await pulling
        except asyncio.CancelledError:
            # Ours, or that of the task that we are in.
            if _is_left(channel) and pulling.cancelled():
                return
            pulling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pulling
            raise
        finally:
            channel.on_closed = None
    finally:
        if hasattr(items, "aclose"):
            await items.aclose()


def _is_left(channel: Channel) -> bool:
    return channel.is_closed


async def _pull(producer: Producer, channel: Channel, items: Any) -> None:
    while await _is_wanted(producer, channel):
        try:
            item = await anext(items)
        except StopAsyncIteration:
            return
        producer.on_taken(1)
        channel.put(item)


async def _is_wanted(producer: Producer, channel: Channel) -> bool:
    """Wait until the reader wants an item; return False: it never will."""
    while not isinstance(has_room := channel.room(_Turn), bool):
        producer.rest()
        try:
            await has_room.future
        finally:
            producer.beat()
    producer.beat()
    return has_room


class _Turn:
    """The wait for room; see `engine.Waiter`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.future = self._loop.create_future()

    def set(self) -> None:
        """Say that there may be room. From any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        if not self.future.done():
            self.future.set_result(None)
