"""What is measured of a peer, and how a round of it looks for a library of actors.

Measures: one call at a time (µs), one-way messages (messages/s), a start up to the first reply
(ms), 50 starts (a second), an array of 1 MB in an ask that reads it (MB/s), items one by one and in
batches (items/s), SIGKILL to the next answer (ms), and memory that is an idle actor's own (MB).
How: a peer is a class with a method for each row that it can do, which is a context manager that
yields the round. `ActorPeer` makes them of a few primitives.
Never: measures a row in another way for one peer than for the others, unless a note says so.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import cycle
from time import perf_counter_ns, sleep
from typing import Any, NamedTuple

import psutil

from benchmarks.memory import unique_mb
from benchmarks.payload import MANY, SMALL, made
from benchmarks.pool import ITEMS, REPEATS, WORKERS
from benchmarks.rounds import Absent, Effort, Round, rate, timed
from benchmarks.spawn import CROWD, PAUSE_S

#: Seconds after which a peer that was killed is taken not to answer any more.
GONE_S = 10.0

#: Actors whose memory is measured.
IDLE = 10


class Row(NamedTuple):
    """What is measured: the method of a peer, its name in tables, unit, and which way is better."""

    name: str
    what: str
    unit: str
    fewer: bool
    rounds: int = 11


ROWS = (
    Row("ask", "ask", "µs", True),
    Row("tell", "tell", "messages/s", False),
    Row("start", "spawn to first reply", "ms", True, 5),
    Row("payload", "1 MB array in, read", "MB/s", False),
    Row("singles", "items one by one", "items/s", False),
    Row("batches", "items in batches", "items/s", False),
    Row("crash", "SIGKILL to next answer", "ms", True, 3),
    Row("memory", "idle actor, unique memory", "MB", True, 1),
    # The last one: who takes too long for it is given up.
    Row("crowd", f"{CROWD} actors", "starts/s", False, 3),
)


class Peer:
    """A library; a row that it does not have is `Absent`.

    Attributes:
        title: the library's name in tables.
        note: what a reader has to know of its figures.
    """

    title = ""
    note = ""

    def close(self) -> None:
        """End all that the peer has started for more than one row."""

    def round_of(self, row: str, effort: Effort) -> AbstractContextManager[Round]:
        """Answer what yields the rounds of a row.

        Raises:
            Absent: the library has nothing of that kind.
        """
        opened = getattr(self, row, None)
        if opened is None:
            raise Absent("it has none")
        found: AbstractContextManager[Round] = opened(effort)
        return found


class ActorPeer(Peer):
    """A library whose primitives are an actor's start, an ask, and an end.

    A subclass has `begin`, `add` and `stop`; where there is such a thing also `pid`,
    `tell_all(actor, messages)`, `total(actor, array)`, and `square_each(actors, items)` and
    `square_all(actors, items)`, which answer squares in order.
    """

    def begin(self) -> Any:
        """Start an actor that has a counter; answer what stands for it."""
        raise NotImplementedError

    def add(self, actor: Any) -> int:
        """Ask it to add 1."""
        raise NotImplementedError

    def stop(self, actor: Any) -> None:
        """End it."""
        raise NotImplementedError

    def pid(self, actor: Any) -> int:
        """Answer the id of its process."""
        raise Absent("it has no process of its own")

    @contextmanager
    def _actor(self) -> Iterator[Any]:
        actor = self.begin()
        try:
            yield actor
        finally:
            self.stop(actor)

    @contextmanager
    def ask(self, effort: Effort) -> Iterator[Round]:
        with self._actor() as actor:
            yield partial(timed, partial(self.add, actor), effort.of(200))

    @contextmanager
    def tell(self, effort: Effort) -> Iterator[Round]:
        tell_all = getattr(self, "tell_all", None)
        if tell_all is None:
            raise Absent("it has none")
        messages = effort.of(2_000)
        with self._actor() as actor:
            yield partial(rate, partial(tell_all, actor, messages), messages)

    @contextmanager
    def start(self, effort: Effort) -> Iterator[Round]:
        def once() -> list[float]:
            sleep(PAUSE_S)
            before = perf_counter_ns()
            with self._actor() as actor:
                self.add(actor)
                return [(perf_counter_ns() - before) / 1_000_000]

        yield once

    @contextmanager
    def crowd(self, effort: Effort) -> Iterator[Round]:
        actors: list[Any] = []

        def work() -> None:
            actors[:] = [self.begin() for _ in range(CROWD)]
            for actor in actors:
                self.add(actor)

        def once() -> list[float]:
            found = rate(work, CROWD)
            for actor in actors:
                self.stop(actor)
            return found

        yield once

    @contextmanager
    def payload(self, effort: Effort) -> Iterator[Round]:
        total = getattr(self, "total", None)
        if total is None:
            raise Absent("it has no way of its own")
        following = cycle([made(SMALL) for _ in range(MANY)])
        with self._actor() as actor:
            turn = partial(timed, lambda: total(actor, next(following)), effort.of(50))
            yield lambda: [SMALL / took for took in turn()]

    @contextmanager
    def singles(self, effort: Effort) -> Iterator[Round]:
        yield from self._items("square_each", effort.of(ITEMS // 10))

    @contextmanager
    def batches(self, effort: Effort) -> Iterator[Round]:
        yield from self._items("square_all", ITEMS, REPEATS)

    def _items(self, name: str, items: int, repeats: int = 1) -> Iterator[Round]:
        square = getattr(self, name, None)
        if square is None:
            raise Absent("it has no way of its own")
        actors = [self.begin() for _ in range(WORKERS)]

        try:
            yield partial(checked_rates, partial(square, actors, items), items, repeats)
        finally:
            for actor in actors:
                self.stop(actor)

    @contextmanager
    def crash(self, effort: Effort) -> Iterator[Round]:
        with self._actor() as actor:
            yield partial(killed, self.pid, self.add, actor)

    @contextmanager
    def memory(self, effort: Effort) -> Iterator[Round]:
        def once() -> list[float]:
            grown = Grown()
            actors = [self.begin() for _ in range(IDLE)]
            for actor in actors:
                self.add(actor)
            sleep(0.2)  # whoever spins before it sleeps has stopped by now
            found = grown.mb() / IDLE
            for actor in actors:
                self.stop(actor)
            return [found]

        yield once


def checked_rates(squares: Callable[[], Iterable[int]], items: int, repeats: int) -> list[float]:
    """Answer items a second of what answers the squares of 0 to ``items``, in order; repeat it.

    The results are looked at behind the measure.
    """
    samples = []
    for _ in range(repeats):
        found: list[int] = []
        samples += rate(lambda: found.extend(squares()), items)  # noqa: B023 - called at once
        if len(found) != items or found[-1] != (items - 1) ** 2:
            raise RuntimeError(f"expected {items} squares, found {len(found)}")
    return samples


def killed(pid_of: Any, ask: Any, actor: Any) -> list[float]:
    """Kill an actor's process and ask until it answers; answer how long that took, in ms.

    Raises:
        Absent: it does not come back.
    """
    pid = pid_of(actor)
    sleep(PAUSE_S)
    before, last = perf_counter_ns(), ""
    os.kill(pid, signal.SIGKILL)
    while (took := perf_counter_ns() - before) < GONE_S * 1_000_000_000:
        try:
            ask(actor)
        except Exception as error:  # noqa: BLE001 - each library has its own for this
            last = type(error).__name__
            sleep(0.001)
        else:
            return [(perf_counter_ns() - before) / 1_000_000]
    raise Absent(f"it does not answer again: {last} for {took / 1_000_000_000:.0f} s")


class Grown:
    """What memory has come on top since this was made: unique to new processes, and in this one.

    This one may seem to shrink, since what it shares with a fork is unique to neither: that counts
    as nothing.
    """

    def __init__(self) -> None:
        self._here = psutil.Process()
        self._before = {process.pid for process in self._here.children(recursive=True)}
        self._own = unique_mb(self._here.pid)

    def mb(self) -> float:
        """Answer that in MB."""
        now = self._here.children(recursive=True)
        new = sum(unique_mb(process.pid) for process in now if process.pid not in self._before)
        return new + max(0.0, unique_mb(self._here.pid) - self._own)
