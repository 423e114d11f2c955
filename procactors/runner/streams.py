"""Runs a generator in an actor, and sends what it yields to the stream's reader.

Layer: runner. Runs in: actor, main thread.
Owns: the generator, from its call to its end; the writing end of the channel.
Never: asks the generator for an item for which the reader has no room; lets a generator be
collected instead of closing it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from time import monotonic_ns
from typing import Any

from procactors.errors import UnknownMethod
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
        busy_since: notes since when (monotonic nanoseconds) the generator is at its next item.
        number: the channel's.
        handler: the generator, bound.
        runs_loop: an event loop runs here, which awaits what `run` returns.
    """

    def __init__(
        self,
        store: PayloadStore,
        busy_since: Callable[[int], None],
        number: int,
        handler: Callable[..., Any],
        runs_loop: bool,
    ) -> None:
        self._store = store
        self._busy_since = busy_since
        self._number = number
        self._handler = handler
        self._runs_loop = runs_loop
        #: Called with how many items were taken of the generator.
        self.on_taken: Callable[[int], None] = lambda _count: None

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Serve the stream to its end, or return what serves it. Its reader's leaving is an end.

        Raises:
            What the generator raises; EncodeError, StorageFull: an item cannot be sent.
        """
        items = self._handler(*args, **kwargs)
        if hasattr(items, "__anext__"):
            return self._serve_async(items)
        if hasattr(items, "__next__"):
            with _closing(items):
                self._open_and_serve(items)
        else:
            raise UnknownMethod(
                f"expected items from {self._handler.__qualname__}, found {type(items).__name__}: "
                f"stream is for generators, say ask for a result"
            )
        return None

    def _serve_async(self, items: Any) -> Any:
        import asyncio  # only where it is used

        from procactors.runner.async_streams import stream_async

        serving = stream_async(
            self._store, self._number, items, self._beat, self._rest, self.on_taken
        )
        return serving if self._runs_loop else asyncio.run(serving)

    def _open_and_serve(self, items: Iterator[Any]) -> None:
        try:
            ends = open_for_writing(self._store.path, self._number)
        except Gone:  # its reader has closed the stream, or has died, before its turn came
            return
        writer = ItemWriter(self._store, ends, self._beat)
        writer.on_taken = self.on_taken
        try:
            self._serve(writer, items)
        finally:
            writer.close()

    def _serve(self, writer: ItemWriter, items: Iterator[Any]) -> None:
        try:
            while True:
                while not writer.is_ready:
                    self._wait(writer)
                if writer.pump(items):
                    break
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

    def _wait(self, writer: ItemWriter) -> None:
        self._rest()
        try:
            writer.wait()
        finally:
            self._beat()

    def _rest(self) -> None:
        """Note that the reader is waited for: that is no hang, however long it takes."""
        # One store, in place of one every now and then to say that all is well.
        self._busy_since(monotonic_ns() + _LATER_NS)

    def _beat(self) -> None:
        """Note that the generator is alive: the time of a hang counts from its last item."""
        self._busy_since(monotonic_ns())


@contextlib.contextmanager
def _closing(items: Any) -> Iterator[None]:
    try:
        yield
    finally:
        if hasattr(items, "close"):
            items.close()
