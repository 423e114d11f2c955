"""Many items: what a pool's `map` and `starmap` are called with.

Layer: pool. Runs in: the pool's process.
Owns: nothing: what a map has is its job's.
Never: begins a map whose arguments make no sense.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, TypeVar, overload

from procactors.model.handlers import check_function
from procactors.model.words import showing
from procactors.observe.events import Events
from procactors.pool.dispatch import Dispatcher
from procactors.pool.inputs import input_of
from procactors.pool.job_map import JobMap, Judge, Source
from procactors.pool.map import MapJob, MapResults
from procactors.pool.map_options import MAP_WORDS, MapOptions, checked_options
from procactors.pool.map_state import MapState
from procactors.pool.mistakes import check_inputs, no_attribute
from procactors.pool.progress import MapProgress
from procactors.pool.sizing import Paces
from procactors.pool.targets import target_of
from procactors.runner.method_table import MethodTable, table_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from procactors.pool.map_options import MapWords

__all__ = ["Mapper", "map_shown"]

A = TypeVar("A")
T = TypeVar("T")
R = TypeVar("R")


def map_shown() -> Iterator[inspect.Parameter]:
    """Yield the words of a map, as its signature shows them."""
    for name, default in MAP_WORDS.items():
        yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)


_with_words = showing(map_shown)


class Mapper(Generic[A]):
    """The part of a pool that has many items done.

    Args:
        dispatcher: the pool's.
        table: the methods of its workers' class.
        timeout: seconds that an item may take, if a map does not say; None: any time.
        events: of the system; None in an actor, which has none.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        table: MethodTable,
        timeout: float | None,
        events: Events | None,
    ) -> None:
        self._events = events
        self._dispatcher = dispatcher
        self._transport = dispatcher.transport
        self._table = table
        self._timeout = timeout
        self._seen = Paces()

    if not TYPE_CHECKING:  # a checker would take it for leave to use any name

        def __getattr__(self, name: str) -> NoReturn:
            """Say what a pool has instead."""
            table = self.__dict__.get("_table") or table_of(object)  # of one just being made
            raise AttributeError(no_attribute(name, table), name=name, obj=self)

    def _check_open(self) -> None:
        """Raise ActorStopped if the pool takes no more work."""
        raise NotImplementedError

    @overload
    def map(
        self,
        method: Callable[[A, T], Coroutine[Any, Any, R]],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["raise", "skip"] = "raise",
        **words: Unpack[MapWords],
    ) -> MapResults[R]: ...
    @overload
    def map(
        self,
        method: Callable[[A, T], R],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["raise", "skip"] = "raise",
        **words: Unpack[MapWords],
    ) -> MapResults[R]: ...
    @overload
    def map(
        self,
        method: Callable[[A, T], Coroutine[Any, Any, R]],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["collect"],
        **words: Unpack[MapWords],
    ) -> MapResults[R | BaseException]: ...
    @overload
    def map(
        self,
        method: Callable[[A, T], R],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["collect"],
        **words: Unpack[MapWords],
    ) -> MapResults[R | BaseException]: ...
    @overload
    def map(
        self,
        function: Callable[[T], R],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["raise", "skip"] = "raise",
        **words: Unpack[MapWords],
    ) -> MapResults[R]: ...
    @overload
    def map(
        self,
        function: Callable[[T], R],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["collect"],
        **words: Unpack[MapWords],
    ) -> MapResults[R | BaseException]: ...
    @_with_words
    def map(  # noqa: D417 - the words are named in `MapWords`
        self, what: Any, /, items: Iterable[Any], *more: Any, **words: Any
    ) -> MapResults[Any]:
        """Call a method or a function once for each item; return an iterator of the results.

        Lazy: items are taken from the input as workers need them, and results come as they are
        done, so that an endless input is no trouble. What is in the making when the iteration
        stops goes on to its end, and no further. A worker that ends costs the item that it had in
        hand; those before it are done, those behind it are done by another.

        Args:
            what: a method of the workers' class, or any function, of one argument.
            items: the arguments, one a call.
            ordered: results in the order of the items; False: as they come.
            in_flight: items at most that have been taken from the input and whose result has not
                been given yet; None: what keeps the workers busy, and some more where a slow item
                holds up the order.
            chunk: items that are pickled together. ``"auto"`` measures what they cost, and sends
                about 10 ms of work at a time. Small chunks may share a message.
            on_error: what an item does that failed. ``"raise"``: its exception is raised, and what
                has not been begun is given up. ``"collect"``: its exception stands in its place.
                ``"skip"``: it is left out, with a line in the log, unless it was the item or
                its result that did not travel: that is raised.
            retries: how often an item is tried again that has ended its worker, was killed at its
                timeout, or raised one of `retry_on`.
            retry_on: exceptions worth trying again; none by default: the item did run.
            timeout: seconds that one item may take. Then its worker is killed, and the item fails
                as `ItemTimeout`, with the worker's stacks.
            progress: show how far it is on stderr: a bar on a terminal, lines in a file, nothing
                in a pipe.

        Raises:
            InvalidSpec: an argument that makes no sense. EncodeError: the function cannot be
                pickled. (An item that cannot is an item that fails.)
        """
        self._check_open()
        check_inputs(what, self._table, items, more, "map")
        return MapResults(self._job(what, items, False, words))

    @overload
    def starmap(
        self,
        method: Callable[..., Coroutine[Any, Any, R]],
        /,
        items: Iterable[tuple[Any, ...]],
        *,
        on_error: Literal["raise", "skip"] = "raise",
        **words: Unpack[MapWords],
    ) -> MapResults[R]: ...
    @overload
    def starmap(
        self,
        method: Callable[..., R],
        /,
        items: Iterable[tuple[Any, ...]],
        *,
        on_error: Literal["raise", "skip"] = "raise",
        **words: Unpack[MapWords],
    ) -> MapResults[R]: ...
    @overload
    def starmap(
        self,
        method: Callable[..., Coroutine[Any, Any, R]],
        /,
        items: Iterable[tuple[Any, ...]],
        *,
        on_error: Literal["collect"],
        **words: Unpack[MapWords],
    ) -> MapResults[R | BaseException]: ...
    @overload
    def starmap(
        self,
        method: Callable[..., R],
        /,
        items: Iterable[tuple[Any, ...]],
        *,
        on_error: Literal["collect"],
        **words: Unpack[MapWords],
    ) -> MapResults[R | BaseException]: ...
    @_with_words
    def starmap(
        self, what: Any, /, items: Iterable[Any], *more: Any, **words: Any
    ) -> MapResults[Any]:
        """Do what `map` does, where each item is a tuple of arguments."""
        self._check_open()
        check_inputs(what, self._table, items, more, "starmap")
        return MapResults(self._job(what, items, True, words))

    def _job(self, what: Any, items: Iterable[Any], spread: bool, words: dict[str, Any]) -> MapJob:
        """Return a map that is on its way."""
        self._check_open()
        options = checked_options(spread, self._timeout, words)
        # First: the user's code, which may raise; the target may have a segment to be freed.
        taken, hint = input_of(items), operator.length_hint(items, -1)
        state = self._state(what, options)
        progress = MapProgress(
            self._dispatcher.name,
            state.target.shown,
            hint if hint >= 0 else None,
            self._events,
            options.progress,
        )
        job = MapJob(self._dispatcher, state, taken, hint, progress)
        try:
            job.feed()  # the first items are on their way before a result is asked for
        except BaseException:
            job.close()
            raise
        return job

    def _job_map(self, what: Any, source: Source, judge: Judge, **words: Any) -> JobMap:
        """Map for a job that looks after failures, waiting and the end itself.

        Args:
            what: a method of the workers' class, or any function, of one argument.
            source: of the items.
            judge: of failures.
            words: ordered, in_flight, chunk, timeout of `map`.
        """
        self._check_open()
        check_function(what, may_be_async=self._table.has)
        options = checked_options(False, self._timeout, words)
        return JobMap(self._dispatcher, self._state(what, options), source, judge)

    def _state(self, what: Any, options: MapOptions) -> MapState:
        target = target_of(what, self._table, self._transport.store, self._dispatcher.mailbox)
        events = self._transport.make_queue()
        return MapState(target, options, self._seen.begin(target.named), events)
