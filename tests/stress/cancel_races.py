"""Cancel calls at random moments while they begin, finish and are killed; then count.

The actor appends each call that it runs to a log, one whole write each. Whoever cancels writes down
what `cancel` has returned, in one write as well: so the killed ones leave what they were told.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import signal
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from procactors import Actor, ActorRef, ActorSystem, Delivery, Reply, current_context, errors
from tests.support.waiting import LONG_S, eventually

_RAN = struct.Struct("=Q")
_TOLD = struct.Struct("=QQ")  # call, what was returned
_OFTEN = {"max_restarts": 1_000_000, "max_deliveries": 1_000_000}
#: What a call takes, in seconds: most begin while others are cancelled.
_TAKES_S = (0.0, 0.0, 0.0, 0.0001, 0.0005, 0.002)
#: Calls that one sender has on their way before it cancels some.
_BURST = 12
#: Numbers of calls that one sender's life may use.
_SPAN = 1 << 32


@dataclasses.dataclass
class Outcome:
    """What a run found.

    Attributes:
        taken: calls of which it was said that they never run.
        ran_all_the_same: those among them that ran.
        not_run: calls that were said to have begun, brought a result, and did not run.
        twice: calls that ran more than once.
        open: replies that have not ended.
    """

    calls: int = 0
    taken: int = 0
    begun: int = 0
    died: int = 0
    kills: int = 0
    ran_all_the_same: int = 0
    not_run: int = 0
    twice: int = 0
    open: int = 0


class Target(Actor):
    """Writes down what it runs."""

    def __init__(self, log: Path) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def work(self, number: int, takes_s: float) -> int:
        os.write(self._log, _RAN.pack(number))
        until = time.monotonic() + takes_s
        heeds = number % 2  # the others are in hand for longer than a look at them takes
        while time.monotonic() < until and not (heeds and self.context.cancelled):
            pass
        return number

    def ping(self) -> None:
        pass


class AsyncTarget(Target):
    """The same in coroutines, some at once; those that are cancelled end as they like."""

    async def work(self, number: int, takes_s: float) -> int:  # type: ignore[override]
        os.write(self._log, _RAN.pack(number))
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(takes_s)
        return number


class Front(Actor):
    """Forwards what it is to run; what comes of it, comes from the next one."""

    def __init__(self, next_one: ActorRef[Any]) -> None:
        self._next = next_one

    def work(self, number: int, takes_s: float) -> None:
        self.context.forward(self._next)


class Canceller:
    """Sends bursts of calls, cancels some of each, and looks at what comes of them.

    Args:
        target: of the calls.
        told: the file for what `cancel` returns.
        number: of the first call.
        seed: of its chance.
    """

    def __init__(self, target: ActorRef[Target], told: Path, number: int, seed: int) -> None:
        self._target = target
        self._told = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._number = number
        self._chance = random.Random(seed)
        self.results: set[int] = set()
        self.died = 0
        self.calls = 0
        self.open = 0
        self.wrong: list[str] = []

    def burst(self) -> None:
        chance, replies = self._chance, dict[int, Reply[int]]()
        for _ in range(_BURST):
            self._number += 1
            self.calls += 1
            takes = chance.choice(_TAKES_S)
            with suppress(errors.DeliveryError):
                replies[self._number] = self._target.submit(Target.work, self._number, takes)
        chosen = [number for number in replies if chance.random() < 0.7]
        chance.shuffle(chosen)
        said = {}
        for number in chosen:
            if chance.random() < 0.3:
                time.sleep(chance.uniform(0.0, 0.002))  # the moment is drawn by chance
            said[number] = self._cancel(number, replies[number])
        self._look_at({number: replies[number] for number in replies if not said.get(number)})

    def _cancel(self, number: int, reply: Reply[int]) -> bool:
        is_taken = reply.cancel()
        os.write(self._told, _TOLD.pack(number, is_taken))
        if is_taken is not reply.cancelled():
            self.wrong.append(f"{number}: cancel() {is_taken}, {reply!r}")
        if self._chance.random() < 0.1 and reply.cancel() is not is_taken:
            self.wrong.append(f"{number}: another answer the second time")
        return is_taken

    def _look_at(self, replies: dict[int, Reply[int]]) -> None:
        for number, reply in replies.items():
            try:
                if reply.result(LONG_S) != number:
                    self.wrong.append(f"{number}: another's result")
                self.results.add(number)
            except (errors.ActorDied, errors.DeliveryError):
                self.died += 1
            except TimeoutError:
                self.open += 1

    def close(self) -> None:
        os.close(self._told)


class Sender(Actor):
    """A canceller in a process of its own, which is killed now and then."""

    def __init__(self, target: ActorRef[Target], told: Path, lane: int, seed: int) -> None:
        # Other numbers in each life: what the last life has sent is still on its way.
        first = (lane * 100_000 + self.context.incarnation) * _SPAN
        self._canceller = Canceller(target, told, first, seed + self.context.incarnation)
        self._is_paused = False

    def on_start(self) -> None:
        self.context.ref.tell(Sender.go_on)

    def go_on(self) -> None:
        self._canceller.burst()
        if not self._is_paused:
            self.context.ref.tell(Sender.go_on)

    def pause(self) -> tuple[set[int], list[str], int]:
        self._is_paused = True
        canceller = self._canceller
        return canceller.results, canceller.wrong, canceller.open


#: States of an actor that takes messages.
_UP = ("idle", "busy")


def run(
    system: ActorSystem,
    folder: Path,
    rounds: int,
    seed: int,
    delivery: Delivery,
    *,
    kills: bool = True,
    senders: int = 1,
    at_once: int = 0,
    through: int = 0,
) -> Outcome:
    """Cancel in two threads and in other processes for so many rounds.

    What is called goes `through` so many actors before it comes to the one that runs it.
    """
    outcome, chance = Outcome(), random.Random(seed)
    log, told = folder / "log", folder / "told"
    spawner = system.options(delivery=delivery, max_concurrency=at_once or 1, **_OFTEN)
    last = target = spawner.spawn(AsyncTarget if at_once else Target, log)
    for _ in range(through):
        target = system.options(**_OFTEN).spawn(Front, target)
    others = [
        system.options(**_OFTEN).spawn(Sender, target, told, lane, seed)
        for lane in range(1, senders + 1)
    ]
    cancellers = [Canceller(target, told, n * _SPAN, seed + n) for n in (0, 1)]
    work: list[Callable[[], None]] = [
        lambda one=one: [one.burst() for _ in range(rounds)] for one in cancellers
    ]
    threads = [threading.Thread(target=action) for action in work]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(chance.uniform(0.0, 0.02))  # the moment of the kill is drawn by chance
        if kills:
            victim = last if chance.random() < 0.7 else chance.choice([last, target, *others])
            if chance.random() < 0.5:
                # Else, where a start takes longer than the time between two kills, nothing but
                # starts would be killed, and no call would come to its end.
                eventually(lambda who=victim: who.status().state in _UP, "it to be up", LONG_S)
            pid = eventually(lambda who=victim: who.status().pid, "a process to kill", LONG_S)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            outcome.kills += 1
    for thread in threads:
        thread.join()
    wrong: list[str] = []
    results: set[int] = set()
    for other in others:
        found, bad, left = other.ask(Sender.pause)
        results |= found
        wrong += bad
        outcome.open += left
        other.stop(LONG_S)
    target.stop(LONG_S)
    last.stop(LONG_S)
    for canceller in cancellers:
        results |= canceller.results
        wrong += canceller.wrong
        outcome.calls += canceller.calls
        outcome.died += canceller.died
        outcome.open += canceller.open
        canceller.close()
    assert not wrong, wrong[:5]
    _count(outcome, log, told, results)
    return outcome


def _count(outcome: Outcome, log: Path, told: Path, results: set[int]) -> None:
    ran = Counter(number for (number,) in _RAN.iter_unpack(log.read_bytes()))
    for number, is_taken in _TOLD.iter_unpack(told.read_bytes()):
        outcome.taken += is_taken
        outcome.begun += not is_taken
        outcome.ran_all_the_same += is_taken and number in ran
    outcome.not_run = sum(number not in ran for number in results)
    outcome.twice = sum(count > 1 for count in ran.values())


def note_item(log: Path, number: int, takes_s: float) -> int:
    """Do in a pool what `Target.work` does."""
    fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, _RAN.pack(number))
    finally:
        os.close(fd)
    until = time.monotonic() + takes_s
    while time.monotonic() < until and not (number % 2 and current_context().cancelled):
        pass
    return number


def run_pool(system: ActorSystem, folder: Path, rounds: int, seed: int, *, kills: bool) -> Outcome:
    """Cancel calls of a pool at random, while its workers are killed."""
    outcome, chance, log = Outcome(), random.Random(seed), folder / "log"
    log.touch()
    results: set[int] = set()
    taken: set[int] = set()
    number = 0
    with system.options(size=2, max_restarts=1_000_000).pool() as pool:
        for _ in range(rounds):
            replies = {}
            for _ in range(chance.randrange(4, 40)):
                number += 1
                takes_s = chance.choice(_TAKES_S)
                replies[number] = pool.submit(note_item, log, number, takes_s)
            if kills and chance.random() < 0.3:
                with suppress(ProcessLookupError, TypeError):  # between two lives
                    os.kill(chance.choice(pool.workers()).status().pid, signal.SIGKILL)
                outcome.kills += 1
            chosen = [one for one in replies if chance.random() < 0.4]
            chance.shuffle(chosen)
            for one in chosen:
                if replies[one].cancel():
                    taken.add(one)
                    assert replies[one].cancelled()
                else:
                    outcome.begun += 1
            for one in replies.keys() - taken:
                try:
                    assert replies[one].result(LONG_S) == one
                    results.add(one)
                except errors.ActorDied:
                    outcome.died += 1
    ran = Counter(one for (one,) in _RAN.iter_unpack(log.read_bytes()))
    outcome.calls, outcome.taken = number, len(taken)
    outcome.ran_all_the_same = len(taken & ran.keys())
    outcome.not_run = len(results - ran.keys())
    outcome.twice = sum(count > 1 for count in ran.values())
    return outcome
