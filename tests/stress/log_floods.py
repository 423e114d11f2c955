"""Floods of records from many actors, some of which are killed over it."""

from __future__ import annotations

import functools
import logging
import mmap
import os
import random
import signal
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from procactors import Actor, ActorSystem, Restart
from procactors.wire.procstat import resident_of
from tests.support.loggers import Gathered
from tests.support.waiting import LONG_S, eventually

NAME = "tests.floods"
NUMBER = struct.Struct("=Q")


class Flooder(Actor):
    """Logs numbers, and notes each before it does, where its death leaves it."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self.noted = mmap.mmap(file.fileno(), NUMBER.size)

    def pid(self) -> int:
        return os.getpid()

    def flood(self, count: int) -> None:
        log = logging.getLogger(NAME)
        for number in range(count):
            NUMBER.pack_into(self.noted, 0, number + 1)
            log.info("number %d of %d", number, count)


class Count(logging.Handler):
    """Counts what comes of each actor, which is to come in order."""

    def __init__(self) -> None:
        super().__init__()
        self.came: dict[str, int] = {}
        self.disorder: list[str] = []

    def has_reached(self, actor: str, number: int) -> bool:
        return self.came.get(actor, 0) >= number

    def emit(self, record: Any) -> None:
        number, expected = int(record.getMessage().split()[1]), self.came.get(record.actor, 0)
        if number != expected:
            self.disorder.append(f"{record.actor}: {number} for {expected}")
        self.came[record.actor] = number + 1


@dataclass
class Outcome:
    """What came of a flood.

    Attributes:
        noted, came, told: of each actor: records that it began to log, that came, and that are said
            to be lost.
        killed: names of those that were.
        grown: bytes that this process has grown by.
    """

    noted: dict[str, int] = field(default_factory=dict)
    came: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    killed: set[str] = field(default_factory=set)
    disorder: list[str] = field(default_factory=list)
    grown: int = 0


def run(
    system: ActorSystem, folder: Path, actors: int, each: int, kills: int, seed: int
) -> Outcome:
    """Have actors log `each` records; kill some of them at random moments."""
    outcome, chance, count, told = Outcome(), random.Random(seed), Count(), Gathered()
    logger, ours = logging.getLogger(NAME), logging.getLogger("procactors")
    logger.addHandler(count)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    ours.addHandler(told)
    before = resident_of("self")
    try:
        paths = {f"a{n}": folder / f"a{n}" for n in range(actors)}
        for path in paths.values():
            path.write_bytes(NUMBER.pack(0))
        options = {"restart": Restart.TEMPORARY}
        refs = {
            name: system.options(name=name, **options).spawn(Flooder, path)
            for name, path in paths.items()
        }
        pids = {name: ref.ask(Flooder.pid) for name, ref in refs.items()}
        replies = {name: ref.submit(Flooder.flood, each) for name, ref in refs.items()}
        for name in chance.sample(sorted(refs), kills):
            least = chance.randrange(each // 2)
            reached = functools.partial(count.has_reached, name, least)
            eventually(reached, f"{least} records of {name}", LONG_S)
            os.kill(pids[name], signal.SIGKILL)
            outcome.killed.add(name)
        for reply in replies.values():
            reply.exception(LONG_S)
        outcome.grown = resident_of("self") - before
        system.stop(LONG_S)
    finally:
        logger.removeHandler(count)
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
        ours.removeHandler(told)
    outcome.came, outcome.disorder = count.came, count.disorder
    outcome.noted = {name: NUMBER.unpack(path.read_bytes())[0] for name, path in paths.items()}
    for record in told.records:
        if record.getMessage().endswith("dropped"):
            lost = int(record.getMessage().split()[0])
            outcome.told[record.actor] = outcome.told.get(record.actor, 0) + lost
    return outcome
