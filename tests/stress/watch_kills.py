"""Kill watchers while those that they watch end in all ways; then count what was told."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import random
import signal
import threading
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from procactors import ActorRef, ActorSystem, Restart
from procactors.errors import ActorDied, ActorStopped
from tests.support.waiting import LONG_S, eventually
from tests.support.watchers import Linked, Watcher, told

_WATCHERS = 3
_WATCHED = 4
_OFTEN = {"max_restarts": 1_000_000, "within": 1000.0}


@dataclasses.dataclass
class Outcome:
    """What a run found.

    Attributes:
        ended: ends that were to be told: each to each watcher.
        told: those that were told at least once.
        cut_off: hooks that were begun again since their watcher was killed.
        dropped: ends that killed their watcher three times, by chance.
        again: what was told again otherwise.
    """

    kills: int = 0
    ended: int = 0
    told: int = 0
    cut_off: int = 0
    dropped: int = 0
    again: int = 0


class _Drops(logging.Handler):
    """Counts the supervisor's words on what it gave up to tell."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += "is not told of an event again" in record.msg


class Run:
    """One flood of ends."""

    def __init__(self, system: ActorSystem, folder: Path, seed: int) -> None:
        self._system = system
        self._draw = random.Random(seed)
        self._logs = [folder / f"watcher-{number}" for number in range(_WATCHERS)]
        spawn = system.options(**_OFTEN).spawn
        self._watchers = [spawn(Watcher, log) for log in self._logs]
        self._done = threading.Event()
        self._names: list[str] = []
        self.outcome = Outcome()

    def round(self) -> None:
        """Spawn some actors, have all watch them, end them."""
        spawn = self._system.options(restart=Restart.TEMPORARY).spawn
        refs = [spawn(Linked) for _ in range(_WATCHED)]
        for watcher in self._watchers:
            _surely(watcher, refs)
        for ref in refs:
            self._end(ref)
            self._names.append(ref.name)
        self.outcome.ended += _WATCHED * _WATCHERS

    def _end(self, ref: ActorRef[Linked]) -> None:
        way = self._draw.choice(["kill", "stop", "SIGKILL", "leave", "exception", "os._exit(7)"])
        if way == "kill":
            ref.kill()
        elif way == "stop":
            ref.stop()
        elif way == "SIGKILL":
            os.kill(eventually(lambda: ref.status().pid, "a process"), signal.SIGKILL)
        else:
            what = (Linked.leave,) if way == "leave" else (Linked.crash, way)
            with contextlib.suppress(ActorStopped):  # it may be over before the sender has looked
                ref.tell(*what)

    def kill(self) -> None:
        """Kill watchers at random until the end. Runs in a thread of its own."""
        draw = random.Random(self._draw.random())
        while not self._done.wait(draw.random() * 0.06):
            status = draw.choice(self._watchers).status()
            # Mostly those that are up: a start takes longer than the time between two kills, and
            # one that never comes up is told nothing.
            if status.pid is not None and (status.state != "starting" or draw.random() < 0.1):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(status.pid, signal.SIGKILL)
                    self.outcome.kills += 1

    def finish(self, killer: threading.Thread) -> None:
        """Let the killing end; wait for the last of the news."""
        self._done.set()
        killer.join()
        for watcher, log in zip(self._watchers, self._logs, strict=True):
            _surely(watcher, [])
            eventually(
                lambda log=log: self._missing(log) <= self._drops(),  # type: ignore[misc]
                f"the news in {log}",
                LONG_S,
            )
            _surely(watcher, [])
            self._count(log)
        self.outcome.dropped = self._drops()

    def _missing(self, log: Path) -> int:
        return len(set(self._names) - {line.split()[3] for line in told(log) if "nated" in line})

    def _drops(self) -> int:
        return self._counter.count

    def _count(self, log: Path) -> None:
        begun: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for line in told(log):
            if " terminated " in line:
                incarnation, deliveries, _, name, *_ = line.split()
                begun[name].append((int(incarnation), int(deliveries)))
        self.outcome.told += len(begun)
        for times in begun.values():
            for (life, delivery), (next_life, next_delivery) in pairwise(times):
                if next_life > life and next_delivery > delivery:
                    self.outcome.cut_off += 1
                else:
                    self.outcome.again += 1

    def __enter__(self) -> Run:  # noqa: PYI034 - Self is newer than 3.10
        self._counter = _Drops()
        logging.getLogger("procactors").addHandler(self._counter)
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        logging.getLogger("procactors").removeHandler(self._counter)


def _surely(watcher: ActorRef[Watcher], refs: list[ActorRef[Any]]) -> None:
    """Have a watcher watch, however often it is killed at it: twice is once."""
    while True:
        try:
            return watcher.ask(Watcher.watch, *refs)
        except ActorDied:
            pass


def run(system: ActorSystem, folder: Path, rounds: int, seed: int) -> Outcome:
    """End `rounds` times some actors that are watched; return what was found."""
    with Run(system, folder, seed) as flood:
        killer = threading.Thread(target=flood.kill)
        killer.start()
        try:
            for _ in range(rounds):
                flood.round()
        finally:
            flood.finish(killer)
        return flood.outcome
