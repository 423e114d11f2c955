"""An executor's map: read by whoever iterates, and done to its end if nobody ever does.

Layer: api. Runs in: the pool's process: the thread that iterates; else a thread of the executor's.
Owns: the map's job, until its results are read or given up.
Never: takes more of the input than is needed while somebody may still read; loses items that
nobody reads: a program may map for what its function does, and drop the results.
"""

from __future__ import annotations

import contextlib
import operator
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from procactors.pool.results import MapResults
from procactors.wire.sheet import Sealed

if TYPE_CHECKING:
    from procactors.pool.engine import Engine
    from procactors.pool.map import MapJob

__all__ = ["ExecutorMap", "Run", "Tuples"]

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


class Run:
    """One map of an executor's.

    Args:
        engine: the executor's.
        job: the map.
        is_bounded: nothing is read ahead of whoever iterates but what the bound allows.
    """

    def __init__(self, engine: Engine, job: MapJob, *, is_bounded: bool) -> None:
        self._engine = engine
        self._job = job
        self._results: MapResults[Any] | None = MapResults(job)
        self._replay: Results | None = None
        # Guards who reads: whoever iterates, or `finish`.
        self._lock = threading.Lock()
        self._is_dropped = False
        self._is_bounded = is_bounded
        if not is_bounded:
            engine.keep(self)

    def begin(self) -> Results:
        """Return the iterator of its results; from the first time on, the rest is its reader's."""
        with self._lock:  # held by `finish` while it reads: then all is there
            if self._replay is None:
                assert self._results is not None
                self._replay, self._results = self._results, None
                self._engine.forget(self)
            return self._replay

    def finish(self) -> None:
        """Have all items done, unless somebody has begun to read; keep what came of them."""
        with self._lock:
            results, self._results = self._results, None
            if results is None:
                return
            job = self._job
            # What nobody can ask for is told in the log; else it is raised where it belongs.
            on_error = "log" if self._is_dropped else "mark"
            job.rules = job.rules._replace(on_error=on_error, deadline=None)
            outcomes: list[Any] = []
            end: BaseException | None = None
            try:
                outcomes.extend(outcome for outcome in results if not self._is_dropped)
            except BaseException as error:
                end = error  # the input's, or the end of the pool: whoever reads comes to it
                if not isinstance(error, Exception):
                    raise
            finally:
                self._replay = _replayed(outcomes, end)
                self._engine.forget(self)

    def dropped(self) -> None:
        """Nobody can read it any more. May be called by the garbage collector."""
        self._is_dropped = True
        if self._results is None:
            return
        if self._is_bounded:
            self._results = None  # collected, it gives up the rest
        else:
            self._engine.read_aside(self)

    def give_up(self, error: Exception) -> None:
        """Have no more items done, unless somebody has begun to read; he is told by this error."""
        with self._lock:
            results, self._results = self._results, None
            if results is not None:
                results.close()
                self._replay = _replayed([], error)
                self._engine.forget(self)

    def close(self) -> None:
        """Give up what has not been begun."""
        self.begin().close()


class ExecutorMap(Iterator[R]):
    """What an executor's map returns: iterate it, once; `close` gives the rest up."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __iter__(self) -> Iterator[R]:  # noqa: PYI034 - for speed: a step less for each item
        return iter(self._run.begin())

    def __next__(self) -> R:
        result: R = next(self._run.begin())
        return result

    def close(self) -> None:
        """Give up what has not been begun. What is in hand ends, and its result is dropped."""
        self._run.close()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # it was never made
            self._run.dropped()


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
            del end  # no circle with the traceback, which has this frame
