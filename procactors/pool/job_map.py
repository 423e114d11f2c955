"""A map judged by its caller: each outcome with its item, an input that never blocks, a drain.

Layer: pool. Runs in: the pool's process, in the thread that iterates; `wake` in any.
Owns: the map's input, as far as it was taken.
Never: waits for its input: a source that has nothing says so, and wakes the job when it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from queue import Empty
from typing import Any, Protocol

from procactors.errors import DeliveryError
from procactors.light_tuple import NamedTuple
from procactors.pool.batch import QUARANTINE
from procactors.pool.dispatch import Dispatcher
from procactors.pool.inputs import input_of
from procactors.pool.map import MapJob
from procactors.pool.map_state import BELL, Chunk, MapState
from procactors.pool.progress import MapProgress
from procactors.wire.result_table import Sealed

__all__ = ["ItemOutcome", "JobMap", "Judge", "Source"]


class ItemOutcome(NamedTuple):
    """What came of one item.

    Attributes:
        item: as the source gave it.
        is_good: it has a result.
        value: the result, or the exception.
        tries: how often it was begun, as far as its worker came to say so.
    """

    item: Any
    is_good: bool
    value: Any
    tries: int


class Source(Protocol):
    """Where the items come from. Called in the thread that iterates."""

    def take(self, size: int) -> list[Any] | None:
        """Return up to `size` items that are there now; None: there will be no more.

        With an empty list the job goes on without it, until `JobMap.wake` is called.
        """


class Judge(Protocol):
    """What decides what a failure means. Called in the thread that iterates."""

    def salvage(self, item: Any, error: BaseException) -> Any:
        """Return the result of an item that was done all the same; None if it was not."""

    def tries_again(self, item: Any, error: BaseException, tries: int) -> bool:
        """Say whether an item that has failed is to be begun once more."""


class JobMap(MapJob):
    """A map whose caller looks after failures, waiting and the end itself.

    What the option `retries` would do, the judge does: an item is tried again from here and not
    from the reader thread. The quarantine holds all the same.

    Attributes:
        wait_s: seconds after which `batches` yields even if nothing has come; None: never.
    """

    def __init__(
        self, dispatcher: Dispatcher, state: MapState, source: Source, judge: Judge
    ) -> None:
        progress = MapProgress(dispatcher.name, state.target.shown, None, None, False)
        state.options = state.options._replace(retries=0, retry_on=())
        state.keeps_items = True
        super().__init__(dispatcher, state, input_of(()), -1, progress)
        self.wait_s: float | None = None
        self._source = source
        self._judge = judge

    @property
    def draining(self) -> bool:
        """Whether nothing more is taken or begun."""
        return self.state.draining

    def wake(self) -> None:
        """Have `batches` look at its source, and yield. From any thread, or a signal handler."""
        self.state.events.put(BELL)

    def drain(self) -> None:
        """Take and begin nothing more; `batches` ends when what is in hand has ended."""
        with self.dispatcher.lock:
            self.state.draining = self._exhausted = True
        self.dispatcher.withdraw(self.state)
        self.wake()

    def batches(self) -> Iterator[list[ItemOutcome]]:
        """Yield what has come since the last time: in order, or as it came.

        Empty lists too: after each `wake`, and when nothing has come for `wait_s`.
        """
        try:
            while True:
                self.feed()
                rung = self.state.options.ordered and self.catch_up()
                if self.state.options.ordered and ((found := self._head()) or rung):
                    yield found
                    continue  # there is room again in front of the input
                if self._exhausted and (not self._waiting or self._is_drained()):
                    break
                try:
                    chunk, at, count = self.state.events.get(timeout=self.wait_s)
                except Empty:
                    yield []
                    continue
                if count < 0:
                    self._send_singly(chunk, at, -count)
                elif not count or not self.state.options.ordered:
                    yield self._outcomes(chunk, at, at + count)
                    self._forget(chunk)
            if rest := self._rest():
                yield rest
            if self._input_error is not None:  # the pool takes no more
                raise self._input_error
        finally:
            self.close()

    def _take(self, size: int) -> list[Any]:
        items = self._source.take(size)
        if items is None:
            self._exhausted = True
        return items or []

    def _head(self) -> list[ItemOutcome]:
        """Return the outcomes at the head of the line, as far as they are there."""
        found: list[ItemOutcome] = []
        while self._waiting:
            chunk = self._waiting[0]
            found += self._outcomes(chunk, chunk.given, chunk.ready_until(chunk.given))
            if chunk.given < len(chunk.outcomes):
                break
            self._waiting.popleft()
        return found

    def _is_drained(self) -> bool:
        """Whether nothing is in hand any more, and all that came of it has been seen."""
        # In this order: a chunk's last outcome is in the queue before the chunk has ended.
        return self.state.draining and not self.state.open and self.state.events.empty()

    def _rest(self) -> list[ItemOutcome]:
        """Return what is done of a drained map in order, behind items that were not begun."""
        found: list[ItemOutcome] = []
        for chunk in self._waiting if self.state.options.ordered else ():
            for at in range(chunk.given, len(chunk.outcomes)):
                if chunk.is_done(at):
                    found += self._outcomes(chunk, at, at + 1)
        return found

    def _forget(self, chunk: Chunk) -> None:
        if chunk.items and chunk.given == len(chunk.outcomes):
            self._waiting.remove(chunk)

    def _outcomes(self, chunk: Chunk, start: int, stop: int) -> list[ItemOutcome]:
        """Return some outcomes of a chunk, unpickled; fewer, if one of them is tried again."""
        found: list[ItemOutcome] = []
        for at in range(start, stop):
            value, is_good, item = chunk.outcomes[at], True, chunk.items[at]
            if type(value) is Sealed:
                is_good, value = value.open()
            tries = self.state.tries.get(chunk.base + at, 0) + 1
            if not is_good:
                saved = self._judge.salvage(item, value)
                if saved is not None:
                    is_good, value = True, saved
                elif self._begins_again(chunk, at, value, tries):
                    if self.state.options.ordered:
                        break  # it will stand here
                    continue
                self.failed += not is_good
            self.state.tries.pop(chunk.base + at, None)
            chunk.outcomes[at] = chunk.items[at] = None  # type: ignore[index]  # taken as lists
            chunk.given += 1
            self._given += 1
            found.append(ItemOutcome(item, is_good, value, tries))
        return found

    def _begins_again(self, chunk: Chunk, at: int, error: BaseException, tries: int) -> bool:
        if self.state.draining or chunk.deaths(at) >= QUARANTINE:
            return False
        if isinstance(error, DeliveryError):
            return False
        if not self._judge.tries_again(chunk.items[at], error, tries):
            return False
        self.state.tries[chunk.base + at] = tries
        self._send_again(chunk, at)
        return True
