"""Runs a generator in an actor, and sends what it yields to the stream's reader.

Layer: runner. Runs in: actor, main thread.
Owns: the generator, from its call to its end; the writing end of the channel.
Never: asks the generator for an item for which the reader has no room; lets a generator be
collected instead of closing it.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from procactors.errors import UnknownMethod
from procactors.wire.mailbox.black_box import BUSY_SINCE
from procactors.wire.payload_store import PayloadStore
from procactors.wire.streams.channel import Gone, open_for_writing
from procactors.wire.streams.writer import ItemWriter

__all__ = ["Streaming"]

#: Nanoseconds by which a wait for the reader is put off: to wait for it is no hang.
_LATER_NS = 1 << 60


class Streaming:
    """One stream out of this actor.

    Args:
        store: of this process.
        words: the black box's, for the time since when the actor is busy.
        number: the channel's.
        handler: the generator, bound.
    """

    def __init__(
        self, store: PayloadStore, words: memoryview, number: int, handler: Callable[..., Any]
    ) -> None:
        self._store = store
        self._words = words
        self._number = number
        self._handler = handler

    def run(self, *args: Any, **kwargs: Any) -> None:
        """Serve the stream to its end. Its reader's leaving is such an end.

        Raises:
            What the generator raises; EncodeError, StorageFull: an item cannot be sent.
        """
        items = self._handler(*args, **kwargs)
        is_async = hasattr(items, "__anext__")
        if not is_async and not hasattr(items, "__next__"):
            raise UnknownMethod(
                f"expected items from {self._handler.__qualname__}, found {type(items).__name__}: "
                f"stream is for generators, say ask for a result"
            )
        try:
            ends = open_for_writing(self._store.path, self._number)
        except Gone:  # its reader has closed the stream, or has died, before its turn came
            if not is_async:
                _close(items)
            return
        writer = ItemWriter(self._store, ends, self._beat)
        try:
            self._serve_async(writer, items) if is_async else self._serve(writer, items)
        finally:
            writer.close()

    def _serve(self, writer: ItemWriter, items: Any) -> None:
        try:
            with contextlib.closing(items) if hasattr(items, "close") else _nothing():
                while True:
                    self._await_room(writer)
                    if writer.pump(items):
                        break
        except Gone:
            return
        except Exception as error:
            self._end(writer, error)
            raise
        self._end(writer)

    def _serve_async(self, writer: ItemWriter, items: Any) -> None:
        import asyncio

        async def serve() -> None:
            try:
                while True:
                    self._await_room(writer)
                    if await writer.pump_async(items):
                        return
            finally:
                if inspect.isasyncgen(items):
                    await items.aclose()

        try:
            asyncio.run(serve())
        except Gone:
            return
        except Exception as error:
            self._end(writer, error)
            raise
        self._end(writer)

    def _end(self, writer: ItemWriter, error: BaseException | None = None) -> None:
        """Send the end behind the last item: the reader's leaving leaves nothing to be told."""
        with contextlib.suppress(Gone):
            writer.end(error)
            while not writer.is_done:
                self._wait(writer)

    def _await_room(self, writer: ItemWriter) -> None:
        while not writer.is_ready:
            self._wait(writer)

    def _wait(self, writer: ItemWriter) -> None:
        # No poll with a time limit that would say again and again that all is well: one store.
        self._words[BUSY_SINCE] = monotonic_ns() + _LATER_NS
        try:
            writer.wait()
        finally:
            self._beat()

    def _beat(self) -> None:
        """Note that the generator is alive: the time of a hang counts from its last item."""
        self._words[BUSY_SINCE] = monotonic_ns()


@contextlib.contextmanager
def _nothing() -> Any:
    yield


def _close(items: Any) -> None:
    if hasattr(items, "close"):
        items.close()
