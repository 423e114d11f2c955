"""Many items: what a pool's `map` and `starmap` are called with.

Layer: api. Runs in: the pool's process.
Owns: nothing: a map's own is its job's.
Never: begins a map whose arguments make no sense.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, TypeVar, overload

from procactors.checks import flag
from procactors.handlers import check_function
from procactors.observe.events import Events
from procactors.pool.dispatch import Dispatcher
from procactors.pool.functions import target_of
from procactors.pool.map import MapJob
from procactors.pool.mistakes import check_inputs, no_attribute
from procactors.pool.numbered import Judge, NumberedJob, Source
from procactors.pool.progress import MapProgress
from procactors.pool.results import MapResults
from procactors.pool.rules import checked_rules
from procactors.pool.sizing import Paces
from procactors.process.methods import MethodTable, table_of

__all__ = ["Mapper"]

A = TypeVar("A")
T = TypeVar("T")
R = TypeVar("R")


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
        self._station = dispatcher.station
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
        method: Callable[[A, T], R],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["raise", "skip"] = "raise",
        ordered: bool = True,
        in_flight: int | None = None,
        chunk: int | Literal["auto"] = "auto",
        retries: int = 0,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        timeout: float | None = None,
        progress: bool = False,
    ) -> MapResults[R]: ...
    @overload
    def map(
        self,
        method: Callable[[A, T], R],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["collect"],
        ordered: bool = True,
        in_flight: int | None = None,
        chunk: int | Literal["auto"] = "auto",
        retries: int = 0,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        timeout: float | None = None,
        progress: bool = False,
    ) -> MapResults[R | BaseException]: ...
    @overload
    def map(
        self,
        function: Callable[[T], R],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["raise", "skip"] = "raise",
        ordered: bool = True,
        in_flight: int | None = None,
        chunk: int | Literal["auto"] = "auto",
        retries: int = 0,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        timeout: float | None = None,
        progress: bool = False,
    ) -> MapResults[R]: ...
    @overload
    def map(
        self,
        function: Callable[[T], R],
        /,
        items: Iterable[T],
        *,
        on_error: Literal["collect"],
        ordered: bool = True,
        in_flight: int | None = None,
        chunk: int | Literal["auto"] = "auto",
        retries: int = 0,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        timeout: float | None = None,
        progress: bool = False,
    ) -> MapResults[R | BaseException]: ...
    def map(  # noqa: D417 - the overloads above name what `rules` are
        self, what: Any, /, items: Iterable[Any], *more: Any, **rules: Any
    ) -> MapResults[Any]:
        """Call a method or a function once for each item; return an iterator of the results.

        Lazy: items are taken from the input as workers need them, and results come as they are
        done, so that an endless input is no trouble. What is in the making when nobody iterates
        goes on to its end, and no further. A worker that ends costs the item that it had in hand;
        those before it are done, those behind it are done by another.

        Args:
            what: a method of the workers' class, or any function, of one argument.
            items: the arguments, one a call.
            ordered: results in the order of the items; False: as they come.
            in_flight: items at most that have been taken from the input and whose result has not
                been given yet; None: what keeps the workers busy, and some more where a slow item
                holds up the order.
            chunk: items that travel together. ``"auto"`` measures what they cost, and sends about
                10 ms of work at a time.
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
        check_inputs(what, items, more, "map")
        return self._map(what, items, False, rules)

    @overload
    def starmap(
        self,
        method: Callable[..., R],
        /,
        items: Iterable[tuple[Any, ...]],
        *,
        on_error: Literal["raise", "skip"] = "raise",
        ordered: bool = True,
        in_flight: int | None = None,
        chunk: int | Literal["auto"] = "auto",
        retries: int = 0,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        timeout: float | None = None,
        progress: bool = False,
    ) -> MapResults[R]: ...
    @overload
    def starmap(
        self,
        method: Callable[..., R],
        /,
        items: Iterable[tuple[Any, ...]],
        *,
        on_error: Literal["collect"],
        ordered: bool = True,
        in_flight: int | None = None,
        chunk: int | Literal["auto"] = "auto",
        retries: int = 0,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        timeout: float | None = None,
        progress: bool = False,
    ) -> MapResults[R | BaseException]: ...
    def starmap(
        self, what: Any, /, items: Iterable[Any], *more: Any, **rules: Any
    ) -> MapResults[Any]:
        """As `map`, where each item is a tuple of arguments."""
        self._check_open()
        check_inputs(what, items, more, "starmap")
        return self._map(what, items, True, rules)

    def _map(
        self, what: Any, items: Iterable[Any], spread: bool, rules: dict[str, Any]
    ) -> MapResults[Any]:
        return MapResults(self._job(what, items, spread, rules))

    def _job(self, what: Any, items: Iterable[Any], spread: bool, rules: dict[str, Any]) -> MapJob:
        """Return a map that is on its way."""
        self._check_open()
        is_shown = flag("progress", rules.pop("progress", False))
        checked = checked_rules(spread, self._timeout, rules)
        # First: the user's code, which may raise; the target may have a segment to be freed.
        taken, hint = iter(items), operator.length_hint(items, -1)
        target = target_of(what, self._table, self._station.home, self._dispatcher.mailbox)
        progress = MapProgress(
            self._dispatcher.name, target.shown, hint if hint >= 0 else None, self._events, is_shown
        )
        pace = self._seen.begin(target.named)
        job = MapJob(self._dispatcher, target, taken, hint, checked, progress, pace)
        try:
            job.feed()  # the first items are on their way before anybody asks for a result
        except BaseException:
            job.close()
            raise
        return job

    def _map_numbered(self, what: Any, source: Source, judge: Judge, **rules: Any) -> NumberedJob:
        """Map for a job that looks after failures, waiting and the end itself.

        Args:
            what: as `map`'s.
            source: of the items.
            judge: of failures.
            rules: ordered, in_flight, chunk, timeout of `map`.
        """
        self._check_open()
        check_function(what)
        checked = checked_rules(False, self._timeout, rules)
        target = target_of(what, self._table, self._station.home, self._dispatcher.mailbox)
        pace = self._seen.begin(target.named)
        return NumberedJob(self._dispatcher, target, source, checked, judge, pace)
