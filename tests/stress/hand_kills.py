"""Kill an actor with many messages in hand, at random moments; then count what became of each.

The actor notes the begin and the end of each message, one whole write each. The main program knows
each message's outcome: its answer, `ActorDied`, or, of a tell, a dead letter.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import signal
import struct
import time
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from procactors import Actor, ActorRef, ActorSystem, Delivery, Reply, errors
from tests.support.waiting import LONG_S, eventually

_NOTED = struct.Struct("=IB")  # number, what
_BEGUN, _ENDED = 0, 1
_SIZES = (0, 0, 0, 0, 200, 5_000, 200_000)
#: Most messages that are on their way at once.
_WINDOW = 120


@dataclasses.dataclass
class Outcome:
    """What a run found."""

    kills: int = 0
    sent: int = 0
    answered: int = 0
    died: int = 0
    letters: int = 0
    #: Messages that are neither answered nor reported; that were both; whose bytes came wrong;
    #: that were answered and never ran to their end; begun more often than is allowed.
    lost: int = 0
    twice: int = 0
    damaged: int = 0
    made_up: int = 0
    too_often: int = 0


class Juggler(Actor):
    """Has many messages in hand, and ends them in any order."""

    def __init__(self, path: str) -> None:
        self._log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def juggle(self, number: int, checksum: int, body: bytes) -> tuple[int, bool]:
        os.write(self._log, _NOTED.pack(number, _BEGUN))
        await asyncio.sleep(number % 7 / 1000)
        if number % 3 == 0:
            await asyncio.sleep(0)
        os.write(self._log, _NOTED.pack(number, _ENDED))
        return number, zlib.crc32(body) == checksum

    def pid(self) -> int:
        return os.getpid()


class Sender:
    """Sends numbered messages, and notes what comes of each."""

    def __init__(self, juggler: ActorRef[Juggler], seed: int) -> None:
        self._juggler = juggler
        self.chance = random.Random(seed)
        self.sent = 0
        self.told: set[int] = set()
        self.results: dict[int, Any] = {}
        self._under_way: dict[int, Reply[Any]] = {}

    def go_on(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if len(self._under_way) < _WINDOW:
                self._send()
            else:
                self.take(wait=False)

    def _send(self) -> None:
        number = self.sent
        self.sent += 1
        body = bytes([number & 0xFF]) * self.chance.choice(_SIZES)
        args = (number, zlib.crc32(body), body)
        if number % 5 == 0:
            self._juggler.tell(Juggler.juggle, *args)
            self.told.add(number)
        else:
            self._under_way[number] = self._juggler.submit(Juggler.juggle, *args)

    def take(self, wait: bool) -> None:
        for number, reply in list(self._under_way.items()):
            if wait or reply.done():
                del self._under_way[number]
                try:
                    self.results[number] = reply.result(LONG_S)
                except errors.ActorDied as died:
                    self.results[number] = died


def run(
    system: ActorSystem, folder: Path, kills: int, seed: int, delivery: Delivery, most: int
) -> Outcome:
    """Kill the actor so often; return what was found."""
    outcome, log, deliveries = Outcome(), folder / "log", 3
    juggler = system.options(
        max_concurrency=most,
        delivery=delivery,
        max_deliveries=deliveries,
        max_restarts=1_000_000,
    ).spawn(Juggler, str(log))
    sender = Sender(juggler, seed)
    while outcome.kills < kills:
        sender.go_on(sender.chance.uniform(0.0, 0.03))
        if (pid := juggler.status().pid) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                outcome.kills += 1
    sender.take(wait=True)
    for _ in range(2):  # what is in hand, and what has waited behind that
        eventually(lambda: not juggler.status().in_hand, "the last tells", LONG_S)
        juggler.ask(Juggler.pid)
    letters = [letter.message[0][0] for letter in system.dead_letters]
    data = log.read_bytes()
    noted = Counter(_NOTED.iter_unpack(data[: len(data) // _NOTED.size * _NOTED.size]))
    outcome.sent = sender.sent
    _count(outcome, sender.results, sender.told, letters, noted, deliveries, delivery)
    return outcome


def _count(
    outcome: Outcome,
    results: dict[int, Any],
    told: set[int],
    letters: list[int],
    noted: Counter[tuple[int, ...]],
    deliveries: int,
    delivery: Delivery,
) -> None:
    outcome.letters = len(letters)
    for number, result in results.items():
        if isinstance(result, errors.ActorDied):
            outcome.died += 1
        else:
            outcome.answered += 1
            outcome.made_up += not noted[number, _ENDED]
            outcome.damaged += result != (number, True)
    outcome.lost += outcome.sent - len(results) - len(told)
    outcome.lost += sum(not noted[n, _ENDED] and n not in letters for n in told)
    outcome.twice += len(letters) - len(set(letters))
    most = 1 if delivery is Delivery.AT_MOST_ONCE else deliveries
    outcome.too_often += sum(noted[n, _BEGUN] > most for n in range(outcome.sent))
