"""A program: sends messages in each way, a few and many, and counts what they cost on both sides.

The difference of many and few is what so many messages cost, without what begins and ends a count.
An actor that is told something is held inside a handler until all is in its mailbox, so that it
reads all at once, whatever the scheduler does. Calls and items that are answered go one by one.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import sleep
from typing import Any

from procactors import ActorRef, ActorSystem, Pool
from tools.guard.calls import CallCounter, ThreadCounter, inputs_at
from tools.guard.syscalls import mark
from tools.guard.work import Work, counter, settle, settle_pool

FEW, MANY = 10, 30
#: Items of a map in one batch, which has room in one record.
FEW_ITEMS, MANY_ITEMS = 500, 1500
#: How often each is counted: the least of them is what it costs. Noting allocations is slow.
RUNS = {"calls": 3, "bytes": 2, "syscalls": 2}

Found = dict[str, Any]


class Program:
    """One system with an actor and a pool of one worker, and what was counted in it."""

    def __init__(self, kind: str, system: ActorSystem, folder: str) -> None:
        self.kind = kind
        self.system = system
        self.found: list[Found] = []
        self.threads: dict[str, list[int]] = {"caller": [threading.get_native_id()]}
        self._label: tuple[str, int, int] = ("", 0, 0)
        self._counter = kind
        self._main: Any = None
        self._is_counting = False
        self._arrivals, self._permits = (os.path.join(folder, name) for name in ("in", "out"))
        for path in (self._arrivals, self._permits):
            os.mkfifo(path)
        self.ref = self._settled(system.spawn(Work), "actor")
        # Of the pipes on which replies come, this thread's is there by now.
        self._inputs = inputs_at("/replies/")
        self._reader = ThreadCounter(
            lambda: sorted({*inputs_at("/replies/")} - {*self._inputs}),
            may_read=lambda: not self._is_counting or self._main.waits,
            may_look=lambda: not self._is_counting,
        )
        self._reader.await_thread(is_counted=kind == "calls")
        self.ref.submit(Work.add, 1).result()
        self.pool: Pool[Work] = system.options(size=1).pool(Work)
        self.worker = self._settled(self.pool.workers()[0], "worker")
        for thread in threading.enumerate():
            if thread.name.startswith("procactors-replies"):
                self.threads["reader"] = [thread.native_id or 0]

    def _settled(self, ref: ActorRef[Work], name: str) -> ActorRef[Work]:
        self.threads[name] = [ref.ask(Work.settle, self.kind)]
        return ref

    def run(self, name: str, scenario: Callable[[Program, int], None], few: int, many: int) -> None:
        """Count a scenario with few and many messages, after a warm-up."""
        self._label = ("", 0, 0)
        # Noting allocations is slow; calls want the same counters in all rounds.
        self._counter = "" if self.kind == "bytes" else self.kind
        for _ in range(3):
            scenario(self, many)
        self._counter = self.kind
        for number in range(RUNS[self.kind]):
            for times in (few, many):
                self._label = (name, number, times)
                scenario(self, times)

    def note(self, side: str, counts: Any) -> None:
        """Keep what was counted on a side."""
        name, run, times = self._label
        if name:
            self.found.append(
                {"name": name, "run": run, "times": times, "side": side, "counts": counts}
            )

    @contextmanager
    def counted(self, side: str, reads: bool = False) -> Iterator[None]:
        """Count what this thread does in a block; with `reads` the one that reads replies, too."""
        before = self._reader.counts() if reads and self.kind == "calls" else None
        self._main = counter(self._counter)
        if self.kind == "calls":
            self._main = CallCounter(lambda: self._inputs)
        mark(*self._label, side, "begin")
        self._is_counting = True
        self._main.start()
        try:
            yield
        finally:
            counts = self._main.stop()
            self._is_counting = False
            mark(*self._label, side, "end")
        self.note(side, counts)
        if before is not None:
            after = self._reader.counts()
            self.note("reader", {part: _less(after[part], before[part]) for part in after})
        elif reads and self.kind == "syscalls":
            self.note("reader", None)

    @contextmanager
    def observed(self, ref: ActorRef[Work], side: str) -> Iterator[None]:
        """Count what an actor does in a block."""
        ref.ask(Work.begin, self._counter)
        mark(*self._label, side, "begin")
        yield
        counts = ref.ask(Work.end)
        mark(*self._label, side, "end")
        self.note(side, counts)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the actor while a block sends to it, and count what it does behind it."""
        self.ref.tell(Work.hold, self._counter, self._arrivals, self._permits)
        with open(self._arrivals, "rb") as file:
            file.read()
        yield
        self.ref.tell(Work.keep)
        mark(*self._label, "actor", "begin")
        with open(self._permits, "wb"):
            pass
        counts = self.ref.ask(Work.kept)
        mark(*self._label, "actor", "end")
        self.note("actor", counts)


def _less(many: dict[str, int], few: dict[str, int]) -> dict[str, int]:
    return {name: count - few.get(name, 0) for name, count in many.items()}


def ask(program: Program, times: int) -> None:
    """Ask, one call after the other."""
    ref = program.ref
    with program.observed(ref, "actor"), program.counted("caller"):
        for _ in range(times):
            ref.ask(Work.add, 1)


def tell(program: Program, times: int) -> None:
    """Tell, while the actor is held."""
    ref = program.ref
    with program.held(), program.counted("caller"):
        for _ in range(times):
            ref.tell(Work.add, 1)


def tell_many(program: Program, times: int) -> None:
    """Tell many in one call, while the actor is held."""
    messages = [(1,)] * times
    send: Any = program.ref.tell_many  # type: ignore[attr-defined]
    with program.held(), program.counted("caller"):
        send(Work.add, messages)


def submit(program: Program, times: int) -> None:
    """Submit and take the result, one call after the other."""
    ref = program.ref
    with program.observed(ref, "actor"), program.counted("caller", reads=True):
        for _ in range(times):
            ref.submit(Work.add, 1).result()


def pipelined(program: Program, times: int) -> None:
    """Submit all while the actor is held, and take the results when all are there."""
    ref = program.ref
    with program.held(), program.counted("caller, sending"):
        replies = [ref.submit(Work.add, 1) for _ in range(times)]
    while not all(reply.done() for reply in replies):
        sleep(0.0005)
    with program.counted("caller, taking"):
        for reply in replies:
            reply.result()


def items_alone(program: Program, times: int) -> None:
    """Map items that go one by one, each behind the result of the last."""
    with program.observed(program.worker, "worker"), program.counted("caller", reads=True):
        for _ in program.pool.map(Work.add, range(times), chunk=1, in_flight=1):
            pass


def items_together(program: Program, times: int) -> None:
    """Map items that go in one batch."""
    with program.observed(program.worker, "worker"), program.counted("caller", reads=True):
        for _ in program.pool.map(Work.add, [1] * times, chunk=times):
            pass


def batches(program: Program, times: int) -> None:
    """Map a few items in one batch, again and again."""
    with program.observed(program.worker, "worker"), program.counted("caller", reads=True):
        for _ in range(times):
            for _ in program.pool.map(Work.add, range(10), chunk=10):
                pass


def main(kind: str, path: str) -> None:
    """Count all there is of one kind (calls, bytes, syscalls), and write it to a file."""
    settle(kind)
    settle_pool()
    # Without metrics: which messages they measure depends on how long these take, and what is
    # counted call by call takes long.
    with tempfile.TemporaryDirectory() as folder, ActorSystem(metrics=False) as system:
        program = Program(kind, system, folder)
        program.run("ask", ask, FEW, MANY)
        program.run("tell", tell, FEW, MANY)
        if hasattr(ActorRef, "tell_many"):
            program.run("tell_many", tell_many, FEW, MANY)
        if kind != "bytes":
            # What two threads of the caller allocate depends on which of them comes first.
            program.run("submit", submit, FEW, MANY)
        program.run("submit, many in flight", pipelined, FEW, MANY)
        program.run("item of a map, alone", items_alone, FEW, MANY)
        program.run("item of a map, in a batch", items_together, FEW_ITEMS, MANY_ITEMS)
        program.run("map of one batch", batches, FEW // 2, MANY // 2)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"found": program.found, "threads": program.threads}, file)
