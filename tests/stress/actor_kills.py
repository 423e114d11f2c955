"""Flood an actor from actors and from the main program while they are killed; then count.

The actor appends what it handles to a log, one whole write each. The main program knows what was
reported: replies that ended with `ActorDied`, and dead letters.
"""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import struct
import threading
import time
import zlib
from collections import defaultdict
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from procactors import Actor, ActorRef, ActorSystem, Delivery, errors
from tests.support.waiting import LONG_S, eventually

_LOGGED = struct.Struct("=III")  # sender, sequence, intact
_SIZES = (20, 20, 20, 200, 3_000, 5_000, 60_000, 1_000_000)
#: Messages that a sender sends before it waits for the actor once.
_BURST = 20
#: Number of the main program as a sender; each life of a sending actor has another one.
_MAIN = 0
_OFTEN = {"max_restarts": 1_000_000, "max_deliveries": 1_000_000}


@dataclasses.dataclass
class Outcome:
    """What a run found.

    Attributes:
        unreported: messages that are neither in the log nor reported.
        twice: messages that were handled more than once.
    """

    kills: int = 0
    received: int = 0
    missing: int = 0
    unreported: int = 0
    twice: int = 0
    out_of_order: int = 0
    damaged: int = 0


class Target(Actor):
    """Writes down what it is sent."""

    def __init__(self, log: Path) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, sender: int, sequence: int, checksum: int, body: bytes) -> tuple[int, int]:
        intact = zlib.crc32(body) == checksum
        os.write(self._log, _LOGGED.pack(sender, sequence, intact))
        return sender, sequence

    def ping(self) -> None:
        pass


class Source:
    """Makes numbered messages of mixed sizes."""

    def __init__(self, number: int, seed: int) -> None:
        self.number = number
        self.sequence = 0
        self._chance = random.Random(seed + number)

    def next(self) -> tuple[int, int, int, bytes]:
        body = bytes([self.sequence & 0xFF]) * self._chance.choice(_SIZES)
        self.sequence += 1
        return self.number, self.sequence - 1, zlib.crc32(body), body


class Sender(Actor):
    """Floods the target until it is told to pause."""

    def __init__(self, target: ActorRef[Target], lane: int, seed: int) -> None:
        self._target = target
        # Another number in each life: what the last life had not yet sent is no gap of this one.
        self._source = Source(10 * self.context.incarnation + lane, seed)
        self._is_paused = False

    def on_start(self) -> None:
        self.context.ref.tell(Sender.flood)

    def flood(self) -> None:
        for _ in range(_BURST // 2):
            self._target.tell(Target.note, *self._source.next())
        self._target.tell_many(Target.note, (self._source.next() for _ in range(_BURST // 2)))
        with suppress(errors.ActorDied):
            self._target.ask(Target.ping)
        if not self._is_paused:
            self.context.ref.tell(Sender.flood)

    def pause(self) -> tuple[int, int]:
        self._is_paused = True
        return self._source.number, self._source.sequence


class Run:
    """A target, two senders beside the main program, and a loop that kills them."""

    def __init__(self, system: ActorSystem, folder: Path, seed: int, delivery: Delivery) -> None:
        self._system = system
        self._chance = random.Random(seed)
        self._log = folder / "log"
        spawner = system.options(delivery=delivery, **_OFTEN)
        self._target = spawner.spawn(Target, self._log)
        self._senders = [
            system.options(**_OFTEN).spawn(Sender, self._target, lane, seed) for lane in (1, 2)
        ]
        self._source = Source(_MAIN, seed)
        self._reported: set[tuple[int, int]] = set()
        self._done = threading.Event()
        self._flood = threading.Thread(target=self._send)
        self._flood.start()
        self.outcome = Outcome()

    def kill_one(self) -> None:
        """Kill the target or a sender at a random moment."""
        time.sleep(self._chance.uniform(0.0, 0.010))  # the moment of the kill is drawn by chance
        victim = self._target if self._chance.random() < 0.6 else self._chance.choice(self._senders)
        pid = eventually(lambda: victim.status().pid, "a process to kill", LONG_S)
        with suppress(ProcessLookupError):  # killed by the last round, and not yet replaced
            os.kill(pid, signal.SIGKILL)
        self.outcome.kills += 1

    def finish(self) -> Outcome:
        """End the senders, wait until everything is handled, and count."""
        self._done.set()
        self._flood.join()
        sent = {_MAIN: self._source.sequence}
        for sender in self._senders:
            sent.update([self._paused(sender)])
            sender.stop(LONG_S)
        self._target.stop(LONG_S)
        for letter in self._system.dead_letters:
            if letter.handler.endswith("note"):
                self._reported.add(letter.message[0][:2])
        self._count(sent)
        return self.outcome

    def _paused(self, sender: ActorRef[Sender]) -> tuple[int, int]:
        while True:
            with suppress(errors.ActorDied):  # by the last kill
                return sender.ask(Sender.pause)

    def _send(self) -> None:
        while not self._done.is_set():
            messages = [self._source.next() for _ in range(_BURST)]
            replies = [self._target.submit(Target.note, *message) for message in messages]
            for message, reply in zip(messages, replies, strict=True):
                try:
                    assert reply.result() == message[:2]
                except errors.ActorDied:
                    self._reported.add(message[:2])

    def _count(self, sent: dict[int, int]) -> None:
        """Count against `sent`: how many each sender sent whose last life ended in order."""
        outcome, got = self.outcome, defaultdict[Any, list[int]](list)
        for number, sequence, intact in _LOGGED.iter_unpack(self._log.read_bytes()):
            got[number].append(sequence)
            outcome.received += 1
            outcome.damaged += not intact
        for number in got.keys() | sent.keys():
            sequences = got[number]
            ended = sent.get(number, max(sequences, default=-1) + 1)
            missing = set(range(ended)) - set(sequences)
            outcome.missing += len(missing)
            outcome.unreported += sum((number, one) not in self._reported for one in missing)
            outcome.twice += len(sequences) - len(set(sequences))
            outcome.out_of_order += sum(later < earlier for earlier, later in pairwise(sequences))


def run(system: ActorSystem, folder: Path, kills: int, seed: int, delivery: Delivery) -> Outcome:
    """Kill target and senders `kills` times in all; return what was found."""
    flood = Run(system, folder, seed, delivery)
    try:
        for _ in range(kills):
            flood.kill_one()
    finally:
        flood._done.set()
    return flood.finish()
