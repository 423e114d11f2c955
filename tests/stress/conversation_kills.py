"""Kill actors that forward, put aside and answer later, at any moment; then count the answers.

A middle actor does with each message what that says: forwards it to a back one, puts it aside for a
while, or puts its answer off, to send it by itself or have the back one send it. The main program
knows what it has sent: each ask is to be answered, by a value or an error, and each tell is in the
log or in a dead letter.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from procactors import Actor, ActorRef, ActorSystem, Delivery, Reply, errors
from tests.support.waiting import LONG_S, eventually

_WAYS = ("forward", "stash", "later", "sent_on", "thread", "plain")
_SIZES = (10, 10, 10, 2_000, 20_000)
_OFTEN = {"max_restarts": 1_000_000, "max_deliveries": 1_000_000}


@dataclasses.dataclass
class Outcome:
    """What a run found.

    Attributes:
        wrong: answers that were another message's.
        unreported: tells that are neither in the log nor a dead letter.
        twice: tells that were handled more than once.
    """

    kills: int = 0
    answered: int = 0
    failed: int = 0
    wrong: int = 0
    told: int = 0
    unreported: int = 0
    twice: int = 0


class Back(Actor):
    """Answers what comes by way of the middle one."""

    def __init__(self, log: Path) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, number: int, way: str, data: bytes) -> int:
        os.write(self._log, b"%d\n" % number)
        return number

    def answer(self, later: Any, number: int) -> None:
        later.send(number)

    def ping(self) -> None:
        pass


class Middle(Actor):
    """Does with a message what that says."""

    def __init__(self, back: ActorRef[Back], log: Path) -> None:
        self._back = back
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._is_open = False
        self._later: list[tuple[Any, int]] = []

    def note(self, number: int, way: str, data: bytes) -> int | None:
        is_asked = self.context.deadline is not None
        if way == "forward":
            self.context.forward(self._back)
        elif way == "stash" and not self._is_open:
            self.context.stash()
        elif way == "later" and is_asked:
            self._later.append((self.context.reply_later(), number))
        elif way == "sent_on" and is_asked:
            self._back.tell(Back.answer, self.context.reply_later(), number)
        elif way == "thread" and is_asked:
            import threading

            later = self.context.reply_later()
            threading.Thread(target=later.send, args=(number,)).start()
        else:
            os.write(self._log, b"%d\n" % number)
        return number

    def go_on(self) -> None:
        self._is_open = not self._is_open
        if self._is_open:
            self.context.unstash_all()
        while self._later:
            later, number = self._later.pop(0)
            later.send(number)

    def open(self) -> None:
        self._is_open = False
        self.go_on()


class AsyncMiddle(Middle):
    """Does it behind an await, with several in hand."""

    async def note(self, number: int, way: str, data: bytes) -> int | None:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().note(number, way, data)


def run(
    system: ActorSystem,
    folder: Path,
    kills: int,
    seed: int,
    delivery: Delivery,
    concurrency: int | None = None,
) -> Outcome:
    chance, outcome, log = random.Random(seed), Outcome(), folder / "log"
    spawner = system.options(delivery=delivery, **_OFTEN)
    back = spawner.spawn(Back, log)
    cls = Middle if concurrency is None else AsyncMiddle
    options: dict[str, Any] = {**_OFTEN, "max_concurrency": concurrency or 1}
    middle: ActorRef[Any] = system.options(delivery=delivery, **options).spawn(cls, back, log)
    asked: list[tuple[int, Reply[Any]]] = []
    numbers = iter(range(10**9))
    while outcome.kills < kills:
        for _ in range(12):
            number, way = next(numbers), chance.choice(_WAYS)
            data = bytes(chance.choice(_SIZES))
            if chance.random() < 0.6:
                ref = middle.options(timeout=LONG_S)
                asked.append((number, ref.submit(Middle.note, number, way, data)))
            else:
                middle.tell(Middle.note, number, way, data)
                outcome.told += 1
                asked.append((number, None))  # type: ignore[arg-type]
        middle.tell(Middle.go_on)
        time.sleep(chance.uniform(0.0, 0.02))  # the moment of the kill is drawn by chance
        victim: ActorRef[Any] = middle if chance.random() < 0.7 else back
        pid = eventually(lambda ref=victim: ref.status().pid, "a process to kill", LONG_S)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        outcome.kills += 1
    _settle(middle, back)
    _count(system, outcome, asked, log)
    return outcome


def _settle(middle: ActorRef[Middle], back: ActorRef[Back]) -> None:
    """Wait until all is handled."""
    for _ in range(3):
        for ref, method in ((middle, Middle.open), (back, Back.ping), (middle, Middle.open)):
            while True:
                with suppress(errors.ActorDied):
                    ref.options(timeout=LONG_S).ask(method)  # type: ignore[arg-type]
                    break


def _count(system: ActorSystem, outcome: Outcome, asked: list[tuple[int, Any]], log: Path) -> None:
    for number, reply in asked:
        if reply is None:
            continue
        try:
            outcome.wrong += reply.result(LONG_S) != number
            outcome.answered += 1
        except errors.AskTimeout:
            raise AssertionError(f"nobody answered {number}") from None
        except (errors.ReplyError, errors.DeliveryError):
            outcome.failed += 1
    told = {number for number, reply in asked if reply is None}
    handled = [int(line) for line in log.read_text().split()]
    logged = [number for number in handled if number in told]
    outcome.twice = len(logged) - len(set(logged))
    letters = sum(letter.handler.endswith("note") for letter in system.dead_letters)
    outcome.unreported = len(told) - len(set(logged)) - letters
