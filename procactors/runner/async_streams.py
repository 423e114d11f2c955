"""Runs an async generator in an actor's event loop, and sends what it yields to its reader.

Layer: runner. Runs in: actor, main thread, inside a running event loop.
Owns: the generator, from its first item to its end; the writing end of the channel.
Never: blocks the loop; goes on with a generator whose reader is gone: what it awaits is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from procactors.wire.payload_store import PayloadStore
from procactors.wire.streams.channel import Gone, open_for_writing
from procactors.wire.streams.writer import ItemWriter

__all__ = ["stream_async"]


def _idle(*_: int) -> None:
    pass


async def stream_async(
    store: PayloadStore,
    number: int,
    items: Any,
    beat: Callable[[], None] = _idle,
    rest: Callable[[], None] = _idle,
    on_taken: Callable[[int], None] = _idle,
) -> None:
    """Serve a stream to its end. Its reader's leaving is such an end.

    Args:
        store: of this process.
        number: the channel's.
        items: the asynchronous generator.
        beat: called as it gives items, and when its wait for the reader is over.
        rest: called when it begins to wait for the reader.
        on_taken: called with how many items were taken in a turn.

    Raises:
        What the generator raises; EncodeError, StorageFull: an item cannot be sent.
    """
    async with _closing(items):
        try:
            ends = open_for_writing(store.path, number)
        except Gone:  # its reader has closed the stream, or has died, before its turn came
            return
        writer = ItemWriter(store, ends, beat)
        writer.on_taken = on_taken
        try:
            await _Serving(writer, beat, rest).run(items)
        finally:
            writer.close()


class _Serving:
    """One stream, while its items are sent."""

    def __init__(
        self, writer: ItemWriter, beat: Callable[[], None], rest: Callable[[], None]
    ) -> None:
        self._writer = writer
        self._beat = beat
        self._rest = rest
        self._loop = asyncio.get_running_loop()
        self._changed: asyncio.Future[None] | None = None
        self._pulling: asyncio.Task[bool] | None = None

    async def run(self, items: Any) -> None:
        """Send the items, and then the end."""
        writer = self._writer
        credit, data = (fd for fd, _ in writer.awaited())
        self._loop.add_reader(credit, self._look)
        try:
            while True:
                await self._room(data)
                # A task of its own, so that what it awaits is cancelled when the reader leaves.
                self._pulling = asyncio.ensure_future(writer.pump_async(items))
                if await self._pulled(self._pulling):
                    break
            await self._end(data)
        except Gone:
            return
        except Exception as error:
            with contextlib.suppress(Gone):
                await self._end(data, error)
            raise
        finally:
            self._loop.remove_reader(credit)

    async def _pulled(self, pulling: asyncio.Task[bool]) -> bool:
        try:
            return await pulling
        except asyncio.CancelledError:
            # Ours, or that of the task that we are in.
            if self._writer.is_cut and pulling.cancelled():
                raise Gone from None
            pulling.cancel()
            with contextlib.suppress(asyncio.CancelledError, Gone):
                await pulling
            raise
        finally:
            self._pulling = None

    async def _end(self, data: int, error: BaseException | None = None) -> None:
        self._writer.end(error)
        while not self._writer.is_done:
            await self._change(data)

    async def _room(self, data: int) -> None:
        """Wait until the reader has room."""
        while not self._writer.is_ready:
            await self._change(data)

    async def _change(self, data: int) -> None:
        """Wait until there is new credit, or the pipe has room."""
        writer = self._writer
        if writer.is_cut:
            raise Gone
        self._changed = self._loop.create_future()
        watched = not writer.is_done
        if watched:
            self._loop.add_writer(data, self._look)
        self._rest()
        try:
            await self._changed
        finally:
            self._beat()
            self._changed = None
            if watched:
                self._loop.remove_writer(data)
        if writer.is_cut:
            raise Gone

    def _look(self) -> None:
        """Take what has come on the credit pipe; the reader's leaving ends what is awaited."""
        try:
            self._writer.look()
        except Gone:
            credit, _ = (fd for fd, _ in self._writer.awaited())
            self._loop.remove_reader(credit)
            if self._pulling is not None:
                self._pulling.cancel()
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)


@contextlib.asynccontextmanager
async def _closing(items: Any) -> Any:
    try:
        yield
    finally:
        if hasattr(items, "aclose"):
            await items.aclose()
