"""One map: takes items from its input as workers need them, and gives results as they come.

Layer: pool. Runs in: the pool's process, in the thread that iterates; `run_out` in one beside it.
Owns: the input, as far as it was taken.
Never: takes more of the input than is needed; loses what came before an error of the input's;
blocks the pool when its results are not taken; runs a line of Python for each item that needs none.

    input ─► chunk ─► dispatcher ─► outcomes ─► events ─► in order, or as they come
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import logging
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from queue import Empty
from types import TracebackType
from typing import Any, TypeVar

from procactors.errors import (
    ActorStopped,
    DecodeError,
    DeliveryError,
    EncodeError,
    ResultEncodeError,
    StorageFull,
)
from procactors.pool.batch import QUARANTINE, Load
from procactors.pool.dispatch import Dispatcher
from procactors.pool.inputs import Ended, Input
from procactors.pool.map_state import BELL, Chunk, MapState, News, Single
from procactors.pool.progress import MapProgress
from procactors.pool.sizing import TARGET_S
from procactors.wire.raised import add_note, one_line
from procactors.wire.result_table import FAILURE, VALUE, Sealed

__all__ = ["MapJob", "MapResults"]

R = TypeVar("R")

_log = logging.getLogger("procactors")

#: Chunks that wait or are on their way, for each worker: one in hand, and one behind it.
_AHEAD = 2
#: Bytes of items that go together, if one does not have more: what a worker copies out of a
#: segment instead of mapping it.
_CHUNK_BYTES = 1024 * 1024
#: Items of a piece of a range up to which it travels as a list: a pickled range names its class,
#: which is looked for on both sides, and costs what some hundred small numbers do.
_SHORT_RANGE = 64
_pop = list.pop

#: Of an item, or of its result; no function has raised it.
_NO_TRAVEL = (EncodeError, ResultEncodeError, DecodeError, StorageFull)

#: Chunks whose results wait for a slow one before them, for each worker, if `in_flight` says
#: nothing: the others need not stand idle for it.
_WINDOW = 64


class MapResults(Iterator[R]):
    """What a map gives, item for item: iterate it, once; `close` gives the rest up.

    Nothing more is taken from the map's input than its workers need. Left to the garbage
    collector it is closed.
    """

    def __init__(self, job: MapJob) -> None:
        self._job = job
        self._blocks = job.blocks()
        self._values: Iterator[R] = itertools.chain.from_iterable(self._blocks)

    def __iter__(self) -> Iterator[R]:  # noqa: PYI034 - for speed: 6 ns an item instead of 49
        return self._values

    def __next__(self) -> R:
        return next(self._values)

    def close(self) -> None:
        """Give up what has not been begun. What is in hand ends, and its result is dropped.

        Another thread that waits for a result of this map goes on behind its loop.
        """
        self._job.close()
        # By its reader alone: a thread that comes to read while this one ends the generator would
        # be refused. It finds the map closed.
        if self._job.reader == threading.get_ident():
            with contextlib.suppress(ValueError):  # another has begun to read: that one ends it
                self._blocks.close()

    def __enter__(self) -> MapResults[R]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class MapJob:
    """One map over one input.

    Args:
        dispatcher: the pool's.
        state: the map's, just made.
        items: the input.
        left: how many they are; negative if that is not known.
        progress: shows how far it is.

    Attributes:
        failed: items that have failed.
        reader: the thread that has asked for a block last; 0 before the first.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        state: MapState,
        items: Input,
        left: int,
        progress: MapProgress,
    ) -> None:
        self.dispatcher = dispatcher
        self.state = state
        self.failed = 0
        self.reader = 0
        self._progress = progress
        self._block: list[Any] = []  # what was yielded last
        self._input = items
        self._left = left
        self._input_error: Exception | None = None
        self._exhausted = False
        # Guards the input and the end of the line: `run_out` feeds in a thread beside the reader's.
        # Reentrant: the input, or a signal handler in the middle of it, may end the executor.
        self._feeding = threading.RLock()
        self._is_feeding = False
        self._is_torn = False  # an exception of neither map nor pool has lost some of the input
        self._is_run_out = False
        self._taken = 0  # items of the input
        self._given = 0  # of them, those whose outcome was yielded or skipped
        self._waiting: deque[Chunk] = deque()  # in order: those that were not yielded whole
        self._item_bytes = 1.0  # of the newest load

    # -- the input ------------------------------------------------------------------------------

    def feed(self) -> None:
        """Take as much of the input as workers need, encode it, and hand it over.

        No more once results have come: an input that takes its time does not hold them up.
        """
        self.dispatcher.transport.check_copy()  # where results would be waited for in vain
        if self._exhausted or self.state.closed:
            return
        with self._feeding:
            if self._is_feeding:
                return  # on top of itself: the one below goes on
            self._is_feeding = True
            try:
                self._feed()
            except BaseException:
                self._is_torn = True
                raise
            finally:
                self._is_feeding = False

    def _feed(self) -> None:
        state = self.state
        while not self._exhausted and not state.closed:
            workers = max(1, len(self.dispatcher.slots))
            together = state.together()
            count = min(together, _AHEAD * workers * together - state.open)
            if count <= 0:
                return
            size = self._size(workers, together)
            if size <= 0:
                return
            if state.options.in_flight is not None:
                count = 1
            try:
                self.dispatcher.check_open()
            except DeliveryError as error:
                self._end_input(error)
                return
            items = self._take(size * count)
            if not items:
                return
            chunks = [
                Chunk(state, self._taken + at, items[at : at + size])
                for at in range(0, len(items), size)
            ]
            self._taken += len(items)
            self._waiting.extend(chunks)
            try:
                self._send(chunks)
            except DeliveryError as error:
                for _ in chunks:
                    self._waiting.pop()
                self._end_input(error)
            if not state.events.empty() and not self._is_run_out:
                return

    def _end_input(self, error: Exception) -> None:
        """Take no more of the input: raised behind the results of what was taken."""
        self._input_error, self._exhausted = error, True

    def run_out(self) -> None:
        """Have all of a map in order done, and keep what comes of it: perhaps nobody reads on.

        Blocks until that is so, or the map is closed or cancelled. Runs beside the thread that
        iterates, if that still does. On top of the map's own input it does nothing.
        """
        with self._feeding:
            if self._is_feeding:
                return
        state = self.state
        ends = self.dispatcher.transport.make_queue()
        state.aside = ends  # before the first look: what ends behind that rings there
        self._is_run_out = True
        try:
            while True:
                self.catch_up()
                self.feed()
                state.events.put(BELL)  # for the reader, whose news these may have been
                with self._feeding, self.dispatcher.lock:
                    if state.closed or (self._exhausted and not state.open):
                        return
                ends.get()
        except BaseException:
            if self._is_torn:
                self.close()
            raise
        finally:
            state.aside = None

    def cancel_input(self, error: Exception) -> None:
        """Take no more of the input; the error is raised behind what was taken. From any thread."""
        self._input = Ended(error)

    def _size(self, workers: int, together: int) -> int:
        """Return how many items the next chunk may have; 0: none.

        `together` chunks at a time are taken and sent.
        """
        options, pace = self.state.options, self.state.pace
        if pace.cost_s is None and self.state.open >= workers and options.chunk is None:
            return 0  # first see what one costs
        left = self._left - self._taken if self._left >= 0 else None
        if left is not None and left <= 0:
            left = None  # the hint was wrong, or the end is near
        size = options.chunk
        if size is None:
            size = pace.size(left, workers, self.state.open)
            size = min(size, max(1, int(_CHUNK_BYTES / self._item_bytes)))
        if self._is_run_out:
            return size
        if options.in_flight is None:
            window = (2 * _AHEAD if self._is_behind() else _WINDOW) * workers * together
            return 0 if len(self._waiting) >= window else size
        out = self._taken - self._given
        return min(size, max(1, options.in_flight // (2 * workers)), options.in_flight - out)

    def _is_behind(self) -> bool:
        """Whether results are there that were not taken yet: then there is no hurry."""
        if self.state.options.ordered:
            return bool(self._waiting) and not self._waiting[0].left
        return not self.state.events.empty()

    def _take(self, size: int) -> Sequence[Any]:
        items, self._exhausted, error = self._input.take(
            size, TARGET_S, self.dispatcher.transport.now
        )
        if error is not None:
            self._end_input(error)
        return items

    def _send(self, chunks: list[Chunk]) -> None:
        self.dispatcher.check()
        with self.dispatcher.lock:
            self.state.open += len(chunks)
        spans = []
        try:
            for chunk in chunks:
                count = len(chunk.items)
                try:
                    load = self._load(chunk.items)
                except (EncodeError, StorageFull):
                    # Of one, or of them all: each by itself, so that none suffers for another.
                    self._send_singly(chunk, 0, count)
                else:
                    spans.append(chunk.span(load, 0, count))
            self.dispatcher.push(spans)
        except BaseException:
            # Not sent: the user's own code wants the program to end. Noted first: a reader beside
            # this thread would take what is given up for done.
            self._is_torn = True
            with self.dispatcher.lock:
                for chunk in chunks:
                    chunk.give_up()
            raise

    def _send_singly(self, chunk: Chunk, start: int, count: int) -> None:
        """Send items one by one; what cannot be encoded has ended with that."""
        for at in range(start, start + count):
            try:
                load = self._load(chunk.items[at : at + 1])
            except (EncodeError, StorageFull) as error:
                with self.dispatcher.lock:
                    chunk.fail(at, error)
                continue
            span = chunk.span(load, 0, 1)
            span.owner = Single(chunk, at)
            self.dispatcher.push([span])

    def _load(self, items: Sequence[Any]) -> Load:
        dispatcher = self.dispatcher
        store = dispatcher.transport.store
        if type(items) is range and len(items) <= _SHORT_RANGE:
            items = list(items)
        encoded = store.encode(items, "items")
        self._item_bytes = max(1.0, encoded.size / len(items))
        return Load(store, encoded, dispatcher.mailbox, len(items))

    # -- the results ----------------------------------------------------------------------------

    def blocks(self) -> Generator[Iterable[Any], None, None]:
        """Yield what came of the items, some at a time. Closing it gives up what was not begun.

        It is begun: closed, or left to the garbage collector, it tidies up even if it was never
        asked for anything.
        """
        generator = self._blocks()
        next(generator)
        return generator

    def _blocks(self) -> Generator[Iterable[Any], None, None]:
        try:
            yield ()
            yield from self._all_blocks()
            if self._is_torn:
                raise ActorStopped(
                    f"the rest of {self.state.target.shown} is not done: an exception, as a "
                    f"Ctrl-C, broke off the shutdown that had taken it over"
                )
        except GeneratorExit:
            self._leave()
            raise
        except BaseException:
            self.close()
            raise
        else:
            self.close()
        finally:
            self._waiting.clear()  # here alone: `close` may come from a thread beside this one

    def _all_blocks(self) -> Iterator[Iterable[Any]]:
        while True:
            self.reader = threading.get_ident()
            if self.state.closed:
                return
            self.feed()
            if self.state.options.ordered:
                yield from self._first_in_order()
            if not self._waiting:
                with self._feeding:  # the line is empty for a moment while `run_out` takes more
                    if self._exhausted and not self._waiting:
                        break
                continue
            chunk, at, count = self._next_event()
            if count < 0:
                self._send_singly(chunk, at, -count)
            elif not self.state.options.ordered:
                yield from self._some(chunk, at, at + count)
                if chunk.outcomes and chunk.given == len(chunk.outcomes):
                    self._waiting.remove(chunk)
            self._progress.advance(self._given, self.failed)
        if self._input_error is not None:
            raise self._input_error

    def _leave(self) -> None:
        """Give up a map that was left alone. Touches a queue only.

        The garbage collector may do so on top of any frame: the dispatcher's own, or one that has a
        lock for which the thread waits that has the dispatcher's.
        """
        if not self.state.closed and not self.dispatcher.transport.is_copy:
            self.dispatcher.transport.run_callback(self.close)

    def _next_event(self) -> News:
        if self.state.closed:
            return BELL  # closing has put one, but that may have been read by now
        deadline = self.state.options.deadline
        if deadline is None:
            return self.state.events.get()
        try:
            return self.state.events.get(
                timeout=max(0.0, deadline - self.dispatcher.transport.now())
            )
        except Empty:
            # Until 3.11 a class of its own, and callers of an executor expect that one.
            raise concurrent.futures.TimeoutError(
                f"the results of {self.state.target.shown} did not all come in time"
            ) from None

    def _first_in_order(self) -> Iterator[Iterable[Any]]:
        """Yield the outcomes at the head of the line, as far as they are there."""
        while self._waiting:
            self.catch_up()
            if self.state.closed:
                return
            chunk = self._waiting[0]
            ready = chunk.ready_until(chunk.given)
            if self._is_torn:
                return
            yield from self._some(chunk, chunk.given, ready)
            if chunk.given < len(chunk.outcomes):
                return
            self._waiting.popleft()
            self._progress.advance(self._given, self.failed)
            self.feed()

    def catch_up(self) -> bool:
        """Take all news of a map in order, which only say: look; return whether a `BELL` came.

        Left alone they would pile up, and keep all that they tell of, where results are taken more
        slowly than they come.
        """
        rung, events = False, self.state.events
        while not events.empty():
            try:
                chunk, at, count = events.get_nowait()
            except Empty:  # another thread was first
                break
            rung = rung or not count
            if count < 0:
                self._send_singly(chunk, at, -count)
        return rung

    def _some(self, chunk: Chunk, start: int, stop: int) -> Iterator[Iterable[Any]]:
        """Yield some outcomes of a chunk: at once if they are plain, else run by run."""
        if not chunk.is_plain:
            yield from self._runs(chunk, start, stop)
        elif start < stop:
            chunk.given += stop - start
            self._given += stop - start
            self._block = chunk.outcomes[start:stop]
            yield self._block

    def _runs(self, chunk: Chunk, start: int, stop: int) -> Iterator[Iterable[Any]]:
        """Yield some outcomes of a chunk: results that only have to be unpickled as one run each.

        Each block costs more than its unpickling: so a run of results is one block.
        """
        while start < stop:
            given = chunk.given
            yield self._run(chunk, start, stop)
            start += chunk.given - given
            if start == stop or self.state.closed:
                return
            given = chunk.given
            for holder in self._opened(chunk, start, start + 1):
                # Taken out when it is handed out: nothing of ours holds a result beyond that.
                yield map(_pop, (holder,))
            if chunk.given == given and self.state.options.ordered:
                return  # it is tried again, and will stand here
            start += 1

    def _run(self, chunk: Chunk, start: int, stop: int) -> Iterator[Any]:
        """Yield results, unpickled as they are asked for, up to the first that needs more."""
        outcomes = chunk.outcomes
        holder: list[Any] = []
        for at in range(start, stop):
            outcome = outcomes[at]
            if type(outcome) is not Sealed:
                holder.append(outcome)
            elif outcome.tag == VALUE:
                is_good, value = outcome.open()
                if not is_good:
                    outcomes[at] = Sealed(FAILURE, value)
                    return
                holder.append(value)
                del value
            else:
                return
            outcomes[at] = outcome = None
            chunk.given += 1
            self._given += 1
            yield holder.pop()  # nothing of ours holds a result beyond that

    def _opened(self, chunk: Chunk, start: int, stop: int) -> Iterator[list[Any]]:
        """Yield some outcomes of a chunk, unpickled, or what `on_error` makes of them.

        Each in a list, out of which it is taken: kept in a variable here it would outlive its use.
        """
        outcomes = chunk.outcomes
        for at in range(start, stop):
            value = outcomes[at]
            is_good = True
            if type(value) is Sealed:
                is_good, value = value.open()
                if not is_good and self._tries_again(chunk, at, value):
                    if self.state.options.ordered:
                        return  # it will stand here
                    continue
            outcomes[at] = None
            chunk.given += 1
            self._given += 1
            holder = [value]
            del value
            if is_good or self._fails(chunk.base + at, holder):
                yield holder

    def _tries_again(self, chunk: Chunk, at: int, error: BaseException) -> bool:
        """Send an item once more whose exception is one to try again; return whether it was."""
        options = self.state.options
        if not issubclass(type(error), options.retry_on):  # `isinstance` would ask the exception
            return False
        number = chunk.base + at
        tries = self.state.tries.get(number, 0) + 1
        deaths = chunk.deaths(at)  # each was a try, too
        if tries + deaths > options.retries or deaths >= QUARANTINE:
            return False
        self.state.tries[number] = tries
        self._send_again(chunk, at)
        return True

    def _send_again(self, chunk: Chunk, at: int) -> None:
        """Have an item run once more that has ended."""
        with self.dispatcher.lock:
            chunk.reopen(at)
        self._send_singly(chunk, at, 1)

    def _fails(self, number: int, holder: list[Any]) -> bool:
        """Deal with an item that failed; return whether what `holder` has then is to be yielded."""
        self.failed += 1
        error = holder.pop()
        what = f"item {number} of {self.state.target.shown}"
        add_note(error, f"in {what}")
        on_error = self.state.options.on_error
        # What does not travel is no failure of the function's: left out, results would vanish.
        if on_error == "raise" or (on_error == "skip" and issubclass(type(error), _NO_TRAVEL)):
            try:
                raise error
            finally:
                del error  # no circle with the traceback, which has this frame
        if on_error in ("skip", "log"):
            _log.warning("%s failed and is skipped: %s", what, one_line(error))
            return False
        holder.append(Sealed(FAILURE, error) if on_error == "mark" else error)
        return True

    def close(self) -> None:
        """Give up what has not been begun; what is in hand ends, and is dropped."""
        if self.state.closed or self.dispatcher.transport.is_copy:
            return  # the copy's end is not the map's
        with self.dispatcher.lock:
            self.state.close()
            self._block.clear()  # a reader in the middle of it comes to its end
        self.dispatcher.withdraw(self.state)
        self._progress.close(self._given, self.failed)
        self.state.events.put(BELL)  # for a thread that waits here
