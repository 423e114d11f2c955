"""Kill processes that share and that read at random; look at what was read and what is left."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import signal
import threading
from typing import Any

import numpy as np

from procactors import Actor, ActorSystem, Shared
from procactors.errors import ActorDied, ShareReleased
from tests.support.waiting import LONG_S, eventually

_MAKERS, _READERS = 2, 3
_OFTEN = {"max_restarts": 1_000_000, "within": 1000.0}
#: Sizes in bytes: some below and some above what is written through a map.
_LEAST, _MOST = 1_000, 3_000_000
#: Shares that live at the same time: more than a process keeps files for writing again.
_LIVE = 20
#: Least steps between two kills.
_STEPS_PER_KILL = 4


@dataclasses.dataclass
class Outcome:
    """What a run found.

    Attributes:
        lost: shares whose maker was killed with them in hand: sent perhaps, but to nobody.
        wrong: what was read and was not what had been shared, or was not there.
        left: shares that nobody knows of at the end.
    """

    kills: int = 0
    shared: int = 0
    read: int = 0
    refused: int = 0
    lost: int = 0
    left: int = 0
    wrong: list[str] = dataclasses.field(default_factory=list)


class Maker(Actor):
    """Shares arrays of one value; sends some, keeps others."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def make(self, size: int, value: int) -> Shared[Any]:
        return self.context.system.share(np.full(size, value, np.uint8))

    def keep(self, size: int, value: int) -> None:
        self.kept = [*self.kept[-3:], self.make(size, value)]


class Reader(Actor):
    """Holds on to what it reads, and sees to it that it does not change."""

    def __init__(self) -> None:
        self.held: list[tuple[Any, int]] = []

    def read(self, shared: Shared[Any], value: int) -> bool:
        array = shared.get()
        self.held = [*self.held[-3:], (array, value)]
        return self.check()

    def release(self, shared: Shared[Any]) -> None:
        shared.release()

    def check(self) -> bool:
        return all(is_full_of(array, value) for array, value in self.held)


def is_full_of(array: Any, value: int) -> bool:
    return int(array.min()) == value == int(array.max())


class Run:
    """One flood of shares."""

    def __init__(self, system: ActorSystem, seed: int) -> None:
        self._system = system
        self._draw = random.Random(seed)
        spawn = system.options(**_OFTEN).spawn
        self._makers = [spawn(Maker) for _ in range(_MAKERS)]
        self._readers = [spawn(Reader) for _ in range(_READERS)]
        self._live: list[tuple[Shared[Any], int]] = []
        self._old: list[Shared[Any]] = []
        self._done = threading.Event()
        self._steps = 0
        self.outcome = Outcome()

    def step(self) -> None:
        """Do one thing."""
        self._steps += 1
        draw = self._draw
        if len(self._live) >= _LIVE or (self._live and draw.random() < 0.3):
            self._release()
        size, value = draw.randint(_LEAST, _MOST), draw.randrange(256)
        way = draw.random()
        if way < 0.4:
            self._live.append((self._system.share(np.full(size, value, np.uint8)), value))
            self.outcome.shared += 1
        elif way < 0.8:
            try:
                shared = draw.choice(self._makers).ask(Maker.make, size, value)
            except ActorDied:
                self.outcome.lost += 1
            else:
                self._live.append((shared, value))
                self.outcome.shared += 1
        else:
            draw.choice(self._makers).tell(Maker.keep, size, value)
        self._read()

    def _read(self) -> None:
        if self._live:
            shared, value = self._draw.choice(self._live)
            with contextlib.suppress(ActorDied):
                try:
                    right = self._draw.choice(self._readers).ask(Reader.read, shared, value)
                    self._note(right, f"a reader of {shared}")
                except ShareReleased as error:
                    self._note(False, str(error))
            self._note(is_full_of(shared.get(), value), f"we, of {shared}")
        if self._old:
            with contextlib.suppress(ShareReleased):
                self._draw.choice(self._old).get()
                self.outcome.refused -= 1
            self.outcome.refused += 1

    def _note(self, right: bool, who: str) -> None:
        self.outcome.read += 1
        if not right:
            self.outcome.wrong.append(who)

    def _release(self) -> None:
        shared, _ = self._live.pop(self._draw.randrange(len(self._live)))
        if self._draw.random() < 0.5:
            with contextlib.suppress(ActorDied):
                self._draw.choice(self._readers).ask(Reader.release, shared)
        shared.release()  # the one that was asked may have died before
        self._old = [*self._old[-50:], shared]

    def kill(self) -> None:
        """Kill makers and readers at random until the end. Runs in a thread of its own."""
        draw, last = random.Random(self._draw.random()), 0
        while not self._done.wait(draw.random() * 0.02):
            status = draw.choice(self._makers + self._readers).status()
            # Not more often: where starts are slow, nothing else would ever be done.
            if status.pid is not None and self._steps >= last + _STEPS_PER_KILL:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(status.pid, signal.SIGKILL)
                    self.outcome.kills += 1
                    last = self._steps

    def finish(self, killer: threading.Thread) -> None:
        """Let the killing end, kill all makers once more, and count."""
        self._done.set()
        killer.join()
        for reader in self._readers:
            self._note(_surely(reader, Reader.check), f"{reader.name} at the end")
        for shared, _ in self._live:
            shared.release()
        for maker in self._makers:
            maker.kill()
        eventually(
            lambda: len(self._system.shares()) <= self.outcome.lost,
            f"what nobody knows of to go, of {self._system.shares()}",
            LONG_S,
        )
        self.outcome.left = len(self._system.shares())


def _surely(reader: Any, method: Any) -> Any:
    while True:
        with contextlib.suppress(ActorDied):
            return reader.ask(method)


def run(system: ActorSystem, steps: int, seed: int) -> Outcome:
    """Share, read and release in so many steps; return what was found."""
    flood = Run(system, seed)
    killer = threading.Thread(target=flood.kill)
    killer.start()
    try:
        for _ in range(steps):
            flood.step()
    finally:
        flood.finish(killer)
    return flood.outcome
