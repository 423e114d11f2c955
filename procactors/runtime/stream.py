"""The stream that a user reads: items as they come, from a generator in an actor or from a feed.

Layer: runtime. Runs in: the reader's process, in any thread or event loop.
Owns: the reading end of its channel (`close`), until it is sent on to another process.
Never: blocks an event loop; drops an item that has come before the end, whatever the end is.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from procactors.errors import ActorStopped, AskTimeout, DecodeError, ProcActorsError, StreamBroken
from procactors.late import late
from procactors.runtime.stream_end import Cause

# Loaded here, though few streams are sent on: there may be no descriptor left when one comes.
from procactors.runtime.stream_move import adopt, move
from procactors.stored import stored
from procactors.wire.copies import in_copies
from procactors.wire.raised import by_signal, one_line
from procactors.wire.record import Kind, frame
from procactors.wire.streams.channel import send_aside
from procactors.wire.streams.reader import Chunk, ItemReader
from procactors.wire.transport import Transport

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

    from procactors.runtime import aside
else:
    # Modules of actors name this class, and most read it in a thread: these two are 50 ms and 2 MB.
    asyncio = late("asyncio")
    aside = late("procactors.runtime.aside")

__all__ = ["WAKE", "Stream"]

T_co = TypeVar("T_co", covariant=True)

#: Seconds of one wait: behind each it is seen whether the end has come on another way.
_SLICE_S = 1.0
_NOTHING: Iterator[Any] = iter(())
#: Wakes a reader that waits at the pipe.
WAKE = frame(Kind.NUDGE, 0, b"")


class Stream(Generic[T_co]):
    """Items of a generator in an actor, or, in an actor, of what a caller feeds.

    An iterator and an asynchronous iterator, and a context manager of both kinds. Many threads may
    share it, each item goes to one of them. Who wants no more calls `close` or leaves its block;
    what is collected as garbage is closed, as is the stream of a ``for`` loop that is left. The
    producer's generator is closed then, at once where it waits, else at its next ``yield``.

    When the items end, so does the iteration. What the producer raised is raised as itself behind
    the items that came before it; its death is `ActorDied` (of a feed's: `StreamBroken`).

    It may be sent to another process of the system, as an argument or a result, which reads on from
    the next item. Here it is spent then.
    """

    def __init__(
        self,
        transport: Transport,
        reader: ItemReader,
        cause: Cause,
        actor: int,
        name: str,
        timeout: float | None = None,
    ) -> None:
        self._transport = transport
        self._reader = reader
        #: Why the items end where no end was sent.
        self._cause = cause
        self._actor = actor
        self._name = name
        self._timeout = timeout
        #: What is left of the items that have come, and what these are made of.
        self._left: Iterator[Any] = _NOTHING
        self._raw: Iterator[Any] = _NOTHING
        self._make: Callable[[Any], Any] | None = None
        self._is_over = False
        #: Where it was sent on: who holds it until the receiver has it, and as what it travels.
        self._moved: tuple[Any, Any] | None = None
        #: What ends it from outside.
        self._fate: BaseException | None = None
        # Held by the thread that reads the channel. Reentrant: a signal handler may close this.
        self._turn = threading.RLock()
        #: What wakes the tasks that wait for the pipe, all of one loop; and that loop, and the
        #: descriptor that it watches for them.
        self._tasks: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._polled = -1
        #: The ``async for`` loops over it.
        self._loops: weakref.WeakSet[_Loop[T_co]] = weakref.WeakSet()
        self._on_close = _closing(self)
        transport.on_close(self._on_close)
        _all.add(self)
        in_copies(_empty_in_copy)

    # -- iterating ----------------------------------------------------------------------------

    def __iter__(self) -> Iterator[T_co]:
        # A generator, so that the items of a chunk go to the loop without a call for each.
        while True:
            left = self._left
            try:
                yield from left
            except Exception as error:  # noqa: BLE001 - whatever an item's own code raises
                self._unloaded(error)
            if not self._refill(left):
                return

    def __next__(self) -> T_co:
        """Return the next item; blocks until it comes.

        Raises:
            StopIteration: there are no more. AskTimeout: it has not come in the seconds that the
                ref's ``timeout`` says; it may still come. DecodeError: it could not be unpickled;
                the next one is intact. Whatever the producer raised.
        """
        while True:
            left = self._left
            try:
                for item in left:
                    return item  # type: ignore[no-any-return]
            except Exception as error:  # noqa: BLE001 - whatever an item's own code raises
                self._unloaded(error)
            if not self._refill(left):
                raise StopIteration

    def __aiter__(self) -> AsyncIterator[T_co]:
        return _Loop(self)

    def __anext__(self) -> Coroutine[Any, Any, T_co]:
        """Return the next item, as `__next__` does, without blocking the loop.

        Cancelled while it waits, it takes none, and the stream stays open. An ``async for`` that is
        cancelled while it waits is left, and closes the stream.
        """
        return self._next(None)

    async def _next(self, by: _Loop[T_co] | None) -> T_co:
        until = None
        while True:
            left = self._left
            try:
                for item in left:
                    return item  # type: ignore[no-any-return]
            except Exception as error:  # noqa: BLE001 - whatever an item's own code raises
                self._unloaded(error)
            # If it is over, a thread has it for the moment of its close.
            if not self._turn.acquire(blocking=self._is_over):
                raise RuntimeError("a thread waits for this stream's items, so no task can")
            try:
                state = self._advance() if self._left is left else True
            finally:
                self._turn.release()
            if state is None:
                raise StopAsyncIteration
            if until is None and not state and self._timeout is not None:
                until = monotonic() + self._timeout
            try:
                # A stream that never rests lets other tasks run.
                await (asyncio.sleep(0) if state else self._come(until))
            except (asyncio.CancelledError, GeneratorExit):
                if by is not None:
                    self._leave(by)
                raise

    def _leave(self, loop: _Loop[T_co]) -> None:
        """Close the stream with the last loop over it.

        As garbage it would be closed late, or never: the traceback of the cancellation keeps the
        loop's frames, often in a circle (anyio's task groups do).
        """
        self._loops.discard(loop)
        if not self._loops:
            self.close()

    # -- the end ------------------------------------------------------------------------------

    def close(self) -> None:
        """Take no more items; the producer's generator is closed. Does not wait for that.

        Closing twice, or what has ended, is no error. Items that have come and were not taken are
        dropped.
        """
        if self._moved is not None:
            self._moved[0].cancel()
            return
        was_over, self._is_over = self._is_over, True
        if not was_over:
            self._cause.leave(is_closed=True)
        if not self._turn.acquire(blocking=False):
            # A thread waits in there: it finds this over, and goes.
            send_aside(self._transport.path, self._reader.ends.number, WAKE)
            self._turn.acquire()
        try:
            self._left = self._raw = _NOTHING
            self._drop()
        finally:
            self._turn.release()

    async def aclose(self) -> None:
        """Do what `close` does, which does not block."""
        self.close()

    def __enter__(self) -> Stream[T_co]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Stream[T_co]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # What was made in part, or in a copy of its process, has nothing to close.
        with contextlib.suppress(AttributeError):
            if not self._is_over and self._moved is None and not self._transport.is_copy:
                self.close()

    def __repr__(self) -> str:
        state = "sent on" if self._moved else "over" if self._is_over else "open"
        return f"<Stream of {self._name}, {state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _adopt_stream, (move(self), self._timeout)

    # -- inside -------------------------------------------------------------------------------

    def _refill(self, before: Iterator[Any]) -> bool:
        """Wait for more items than those of `before`; return False: there are none."""
        until = None
        if self._timeout is not None:
            until = monotonic() + self._timeout
        self._transport.check_copy()
        with self._turn:
            while True:
                if self._left is not before:
                    return True  # by another thread, or by `next` inside a loop
                state = self._advance()
                if state is None:
                    return False
                if state:
                    return True
                self._wait(self._left_s(until))

    def _advance(self) -> bool | None:
        """Take what has come; return False: nothing has, None: nothing will. Under the turn.

        Raises:
            What the producer ended with.
        """
        if self._moved is not None:
            raise StreamBroken(f"this stream of {self._name} was sent on: the receiver reads it")
        if self._is_over or self._fate is not None:
            self._drop()
            self._raise_fate()
            return None
        reader, cause = self._reader, self._cause
        # Looked at first: what has come before the end is in the pipe then.
        is_known = cause.is_known or (reader.is_ended and cause.is_final)
        try:
            chunk = reader.take()
            if chunk is not None:
                self._take(chunk)
                return True
        except BaseException:
            # By a signal's handler, somewhere between the pipe and here: to go on would be to leave
            # items out.
            self._fate = StreamBroken(
                f"the reading of the stream of {self._name} was interrupted while items came, by a "
                f"signal's handler that raised: items may be missing, so it was closed"
            )
            raise
        if reader.is_over:
            self._finish(reader.error)
            return None
        if is_known:
            self._finish(cause.error())
            return None
        # An end seen just now: nothing will wake who waits, but something may have come before it.
        return reader.is_ended and cause.is_final

    def _take(self, chunk: Chunk) -> None:
        self._make = chunk.make
        self._raw = iter(chunk.values)
        self._left = self._raw if chunk.make is None else map(chunk.make, self._raw)

    def _finish(self, error: BaseException | None) -> None:
        """Note the end, and raise it if it is an error."""
        # First: whatever a signal's handler raises behind it, the error is raised then.
        self._fate = error
        self._is_over = True
        self._cause.leave(is_closed=False)
        self._drop()
        self._raise_fate()

    def _raise_fate(self) -> None:
        """Raise what ended it, once."""
        fate = self._fate
        if fate is not None:
            self._is_over = True
            try:
                raise fate
            finally:
                self._fate = None
                del fate  # no circle with the traceback, which has this frame

    def _drop(self) -> None:
        """Let go of the channel; if tasks wait at it, the last of them does. Under the turn."""
        if self._fate is not None:
            self._cause.leave(is_closed=True)
        self._transport.off_close(self._on_close)
        # First: a task that comes or goes meanwhile sees that it is over.
        self._is_over = True
        if self._tasks and self._loop is not None:
            # Their loop watches the descriptor: it must not be another's before it is told.
            with contextlib.suppress(RuntimeError):  # the loop is closed, and watches nothing
                self._loop.call_soon_threadsafe(self._wake_tasks)
                return
        self._reader.close()

    def _wait(self, seconds: float) -> None:
        """Block until something may have come. Under the turn."""
        if not self._reader.is_ended:
            self._reader.wait(seconds)
        else:
            woken = threading.Event()
            with self._cause.waking(woken.set):
                if not self._cause.is_known:
                    woken.wait(seconds)
        if self._cause.may_block:
            self._cause.look(is_ended=self._reader.is_ended)

    def _left_s(self, until: float | None) -> float:
        """Return the seconds of the next wait.

        Raises:
            AskTimeout: there is no time left.
        """
        if until is None:
            return _SLICE_S
        left = until - monotonic()
        if left <= 0:
            raise AskTimeout(
                f"no item from {self._name} within {self._timeout} s; the stream is still open"
            )
        return min(left, _SLICE_S)

    async def _come(self, until: float | None) -> None:
        """Wait until something may have come, in an event loop."""
        seconds = self._left_s(until)
        loop = asyncio.get_running_loop()
        come = loop.create_future()

        def wake() -> None:
            if not come.done():
                come.set_result(None)

        def wake_from_afar() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(wake)

        with self._cause.waking(wake_from_afar), self._watched(loop, wake):
            if not self._cause.is_known:
                await asyncio.wait([come], timeout=seconds)
        if self._cause.may_block:
            await aside.aside(self._cause.look, self._reader.is_ended)

    @contextlib.contextmanager
    def _watched(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> Iterator[None]:
        """Have a task woken when there is something in the pipe, or the stream is over."""
        self._loop = loop
        # First: who ends the stream from now on leaves the descriptor open for us.
        self._tasks.append(wake)
        try:
            fd = self._reader.ends.data
            if self._is_over:
                wake()
            # The end of a pipe can always be read.
            elif self._polled < 0 <= fd and not self._reader.is_ended:
                loop.add_reader(fd, self._wake_tasks)
                self._polled = fd
            yield
        finally:
            if len(self._tasks) == 1 and self._polled >= 0:
                loop.remove_reader(self._polled)
                self._polled = -1
            self._tasks.remove(wake)
            if self._is_over and not self._tasks:
                with self._turn:  # nobody waits with it, since it is over
                    self._reader.close()

    def _wake_tasks(self) -> None:
        for wake in list(self._tasks):
            wake()

    def _unloaded(self, error: Exception) -> NoReturn:
        """Raise what is to be said of an error in an item's own code."""
        if isinstance(error, ProcActorsError) or self._make is None or by_signal(error):
            raise error
        text = f"an item of {self._name} could not be unpickled: {one_line(error)}"
        raise DecodeError(text) from error


class _Loop(AsyncIterator[T_co]):
    """One ``async for`` over a stream: what is cancelled in it is left."""

    __slots__ = ("__weakref__", "_stream")

    def __init__(self, stream: Stream[T_co]) -> None:
        self._stream = stream
        stream._loops.add(self)

    def __anext__(self) -> Coroutine[Any, Any, T_co]:
        return self._stream._next(self)


_all: weakref.WeakSet[Stream[Any]] = weakref.WeakSet()


def _empty_in_copy() -> None:
    """Drop what had come before the fork: it is handed out once, by the stream's own process."""
    for stream in list(_all):
        # The iterator itself: a loop in the copy has it in hand.
        for _ in stream._raw:
            pass


@stored
def _adopt_stream(parts: tuple[Any, ...], timeout: float | None) -> Stream[Any]:
    _, _, actor, name, *_ = parts
    transport, reader, cause = adopt(*parts)
    return Stream(transport, reader, cause, actor, name, timeout)


def _closing(stream: Stream[Any]) -> Callable[[], None]:
    """Return what closes a stream with its system, without keeping it."""
    reference = weakref.ref(stream)

    def close() -> None:
        found = reference()
        if found is not None and not found._is_over:
            found._fate = ActorStopped("the system was stopped before this stream was at its end")
            found.close()

    return close
