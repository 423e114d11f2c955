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

    def seal(self, item: Any) -> Any:
        """Return an item as it travels."""

    def offer(self, sealed: Any, make_waiter: Callable[[], Any]) -> Any:
        """Add an item; return whether that was wanted, or what is to be waited for."""


def produce(
    channel: Channel | None, items: Any, rest: Callable[[], None], beat: Callable[[], None]
) -> Any:
    """Serve a stream to its end; where an event loop runs, return what does so.

    Args:
        channel: of its reader; None: that is gone.
        items: the generator.
        rest: as that of `channel.Producer`.
        beat: as that.

    Raises:
        What the generator raises; EncodeError: an item cannot be sent.
    """
    serving = _serve(channel, items, rest, beat)
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


async def _serve(
    channel: Channel | None, items: Any, rest: Callable[[], None], beat: Callable[[], None]
) -> None:
    try:
        if channel is None or _is_left(channel):
            return
        loop = asyncio.get_running_loop()
        # A task of its own, so that what it awaits is cancelled when the reader leaves.
        pulling = loop.create_task(_pull(channel, items, rest, beat))

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


async def _pull(
    channel: Channel, items: Any, rest: Callable[[], None], beat: Callable[[], None]
) -> None:
    async for item in items:
        beat()
        sealed = channel.seal(item)
        while not isinstance(is_taken := channel.offer(sealed, _Turn), bool):
            rest()
            try:
                await is_taken.future
            finally:
                beat()
        if not is_taken:
            return


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
