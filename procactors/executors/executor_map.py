"""An executor's map: read by its caller, and done to its end if its caller never reads it.

Layer: executors. Runs in: the pool's process: the thread that iterates; else a thread of the
executor's.
Owns: the map's job, until its results are read or given up.
Never: takes more of the input than is needed while its results may still be read, but at the
executor's end; loses items whose results are not read: a program may map for what its function
does, and drop the results.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar
from weakref import WeakSet

from procactors.pool.map import MapJob, MapResults
from procactors.wire.result_table import Sealed

__all__ = ["ExecutorMap", "MapReading", "OpenMaps", "Tuples", "start_thread"]

R = TypeVar("R")
#: Of a map, or of what was kept of one.
Results: TypeAlias = "MapResults[Any] | Generator[Any, None, None]"


class Tuples:
    """The argument tuples of several inputs, as `zip` makes them; knows about how many."""

    def __init__(self, inputs: Sequence[Iterable[Any]]) -> None:
        self._inputs = inputs

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return zip(*self._inputs)  # noqa: B905 - the shortest ends it, as in the standard library

    def __length_hint__(self) -> int:
        hints = [hint for one in self._inputs if (hint := operator.length_hint(one, -1)) >= 0]
        return min(hints) if hints else NotImplemented


class OpenMaps:
    """The maps of one executor that are to be done: not read yet, or in part."""

    def __init__(self) -> None:
        self._readings: set[MapReading] = set()
        #: Those that are read; one that its reader has left is closed, and goes by itself.
        self._begun: WeakSet[MapJob] = WeakSet()
        # Guards both, and the end: no map is taken on behind it.
        self._lock = threading.Lock()
        self._closed = ""

    def add(self, reading: MapReading) -> None:
        """Take on a map that has to be done even if its results are never read.

        Raises:
            RuntimeError: none is taken any more; the map was given up.
        """
        with self._lock:
            if not self._closed:
                self._readings.add(reading)
                return
        error = RuntimeError(self._closed)
        reading.give_up(error)
        raise error

    def discard(self, reading: MapReading) -> None:
        """Let a map go: it has been done, or given up."""
        self._readings.discard(reading)

    def begin(self, reading: MapReading, job: MapJob) -> None:
        """Note that a map is read now, by its caller alone as long as the executor is open."""
        with self._lock:
            self._begun.add(job)
        self._readings.discard(reading)

    def close(self, why: str) -> None:
        """Take on no more maps; `why` is the error of a caller that brings one."""
        with self._lock:
            self._closed = self._closed or why

    def finish(self) -> None:
        """Have all of these maps done; blocks until they are."""
        for reading in list(self._readings):
            reading.finish()
        # Behind those: one of them may have been begun before it was finished.
        for job in self._being_read():
            job.run_out()

    def give_up(self, error: Exception) -> None:
        """Have no more items of these maps done; the error is raised to a reader."""
        for reading in list(self._readings):
            reading.give_up(error)
        for job in self._being_read():
            job.cancel_input(error)

    def _being_read(self) -> list[MapJob]:
        with self._lock:
            return [job for job in self._begun if not job.state.closed]

    def __contains__(self, reading: MapReading) -> bool:
        return reading in self._readings


class MapReading:
    """The reading of one map of an executor's: by its caller, or aside if its caller drops it.

    Args:
        maps: the executor's.
        job: the map.
        is_bounded: nothing is taken ahead of the caller but what the bound allows.

    Raises:
        RuntimeError: the executor takes no more work.
    """

    def __init__(self, maps: OpenMaps, job: MapJob, *, is_bounded: bool) -> None:
        self._maps = maps
        self._job = job
        self._results: MapResults[Any] | None = MapResults(job)
        self._replay: Results | None = None
        # Guards which thread reads: the caller's, or the one of `finish`.
        self._lock = threading.Lock()
        self._is_dropped = False
        self._is_bounded = is_bounded
        if not is_bounded:
            maps.add(self)

    def begin(self) -> Results:
        """Return the iterator of its results; from the first time on, only the caller reads it."""
        with self._lock:  # held by `finish` while it reads: then all is there
            if self._replay is None:
                assert self._results is not None
                self._replay, self._results = self._results, None
                if not self._is_bounded:
                    self._maps.begin(self, self._job)
            return self._replay

    def finish(self) -> None:
        """Have all items done, unless the caller has begun to read; keep what came of them."""
        with self._lock:
            results, self._results = self._results, None
            if results is None:
                return
            state = self._job.state
            # A failure that cannot be asked for any more is logged; else it is raised in its place.
            on_error = "log" if self._is_dropped else "mark"
            state.options = state.options._replace(on_error=on_error, deadline=None)
            outcomes: list[Any] = []
            end: BaseException | None = None
            try:
                outcomes.extend(outcome for outcome in results if not self._is_dropped)
            except BaseException as error:
                end = error  # the input's, or the end of the pool: raised behind the results
                if not isinstance(error, Exception):
                    raise
            finally:
                self._replay = _replayed(outcomes, end)
                self._maps.discard(self)

    def dropped(self) -> None:
        """Have the map done whose results cannot be asked for any more.

        Called where the last reference goes, perhaps by the garbage collector in the middle of
        anything: here only a queue is touched, the thread is started from another.
        """
        self._is_dropped = True
        if self._results is None:
            return
        if self._is_bounded:
            self._results = None  # collected, it gives up the rest
        elif self in self._maps:
            start = functools.partial(start_thread, self.finish, "procactors-map", daemon=True)
            self._job.dispatcher.transport.run_callback(start)

    def give_up(self, error: Exception) -> None:
        """Have no more items done, unless the caller has begun to read; it gets the error."""
        with self._lock:
            results, self._results = self._results, None
            if results is not None:
                results.close()
                self._replay = _replayed([], error)
                self._maps.discard(self)

    def close(self) -> None:
        """Give up the items that have not been begun."""
        self.begin().close()


class ExecutorMap(Iterator[R]):
    """What an executor's map returns: iterate it, once; `close` gives the rest up."""

    def __init__(self, reading: MapReading) -> None:
        self._reading = reading

    def __iter__(self) -> Iterator[R]:  # noqa: PYI034 - for speed: a step less for each item
        return iter(self._reading.begin())

    def __next__(self) -> R:
        result: R = next(self._reading.begin())
        return result

    def close(self) -> None:
        """Give up what has not been begun. What is in hand ends, and its result is dropped."""
        self._reading.close()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # it was never made
            self._reading.dropped()


def _replayed(outcomes: list[Any], end: BaseException | None) -> Generator[Any, None, None]:
    """Yield what has been kept, up to the first failure; `end` is what came behind it."""
    outcomes.reverse()
    while outcomes:
        if type(outcomes[-1]) is Sealed:
            del outcomes[:-1]
            raise outcomes.pop().open()[1]
        yield outcomes.pop()  # nothing is kept that has been given
    if end is not None:
        try:
            raise end
        finally:
            del end  # no cycle with the traceback, which has this frame


def start_thread(target: Callable[[], None], name: str, *, daemon: bool) -> None:
    """Start a thread, unless the interpreter is shutting down and refuses it."""
    thread = threading.Thread(target=target, name=name, daemon=daemon)
    with contextlib.suppress(RuntimeError):
        thread.start()
