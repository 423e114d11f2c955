"""Kill an actor that keeps a number, while it is told and asked from everywhere; then count.

Each sender adds numbers that nobody else adds, so that a total tells what is in it: a message that
is missing, or is in it twice, or an answer that belongs to another call, shows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import signal
import threading
import time
from typing import Any

from procactors import Actor, ActorRef, ActorSystem, Checkpoint, Delivery
from tests.support.waiting import LONG_S, SHORT_S, eventually

_ASKERS = 2
_BURST = 10


@dataclasses.dataclass
class Outcome:
    """What a run found.

    Attributes:
        wrong_answers: calls that were answered with another number than the order of their own
            sender allows.
    """

    kills: int = 0
    sent: int = 0
    counted: int = 0
    twice: int = 0
    answered: int = 0
    wrong_answers: int = 0


class Ledger(Actor):
    """By sender: how many messages came, and the last one's number."""

    def __init__(self, padding: int) -> None:
        self.counts: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.twice = 0
        self.padding = bytes(padding)

    def add(self, sender: int, number: int, body: bytes = b"") -> tuple[int, int, int]:
        self.twice += number <= self.last.get(sender, -1)
        self.last[sender] = number
        self.counts[sender] = self.counts.get(sender, 0) + 1
        return sender, number, self.counts[sender]

    def look(self) -> tuple[dict[int, int], int]:
        return self.counts, self.twice

    def snapshot(self) -> Any:
        return self.counts, self.last, self.twice, self.padding

    def restore(self, state: Any) -> None:
        self.counts, self.last, self.twice, self.padding = state


class Run:
    """A ledger, askers in threads of the main program and a teller, and a loop that kills."""

    def __init__(self, system: ActorSystem, seed: int, padding: int, file: str | None) -> None:
        self._chance = random.Random(seed)
        # As often as it takes: what is counted is whether a message is in the state once.
        self._ref: ActorRef[Ledger] = system.options(
            checkpoint=Checkpoint(messages=1, file=file),
            delivery=Delivery.AT_LEAST_ONCE,
            max_restarts=1_000_000,
            max_deliveries=1_000_000,
        ).spawn(Ledger, padding)
        self._done = threading.Event()
        self._sent: dict[int, int] = {}
        self._errors: list[BaseException] = []
        self.outcome = Outcome()
        senders = [(self._ask, number) for number in range(_ASKERS)]
        senders += [(self._submit, _ASKERS), (self._tell, _ASKERS + 1)]
        self._threads = [threading.Thread(target=self._guarded, args=sender) for sender in senders]
        for thread in self._threads:
            thread.start()

    def kill(self) -> None:
        """Kill the actor at a random moment of its life."""
        time.sleep(self._chance.uniform(0.0, 0.004))  # the moment of the kill is drawn by chance
        pid = eventually(lambda: self._ref.status().pid, "a process to kill", LONG_S)
        with contextlib.suppress(ProcessLookupError):  # it has just been
            os.kill(pid, signal.SIGKILL)
            self.outcome.kills += 1
        if self._chance.random() < 0.7:  # else it is killed again while it starts
            self._ref.ask(Ledger.look)

    def finish(self) -> Outcome:
        """End the senders, and count."""
        self._done.set()
        for thread in self._threads:
            thread.join(SHORT_S)
            assert not thread.is_alive(), "a caller waits still"
        if self._errors:
            raise self._errors[0]
        counts, twice = self._ref.ask(Ledger.look)
        assert counts == self._sent
        self.outcome.sent = sum(self._sent.values())
        self.outcome.counted = sum(counts.values())
        self.outcome.twice = twice
        return self.outcome

    def _guarded(self, send: Any, sender: int) -> None:
        self._sent[sender] = 0
        try:
            while not self._done.is_set():
                send(sender)
        except BaseException as error:
            self._errors.append(error)

    def _next(self, sender: int, size: int = 0) -> tuple[int, int, bytes]:
        self._sent[sender] += 1
        return sender, self._sent[sender] - 1, bytes(size)

    def _note(self, sender: int, number: int, answer: tuple[int, int, int]) -> None:
        self.outcome.answered += 1
        self.outcome.wrong_answers += answer != (sender, number, number + 1)

    def _ask(self, sender: int) -> None:
        message = self._next(sender, 10_000 if sender else 0)
        self._note(sender, message[1], self._ref.ask(Ledger.add, *message))

    def _submit(self, sender: int) -> None:
        messages = [self._next(sender) for _ in range(_BURST)]
        replies = [self._ref.submit(Ledger.add, *message) for message in messages]
        for message, reply in zip(messages, replies, strict=True):
            self._note(sender, message[1], reply.result())

    def _tell(self, sender: int) -> None:
        for _ in range(_BURST):
            self._ref.tell(Ledger.add, *self._next(sender))
        self._ref.ask(Ledger.look)  # it does not run ahead for ever


def run(
    system: ActorSystem, kills: int, seed: int, padding: int = 100, file: str | None = None
) -> Outcome:
    """Kill a ledger `kills` times; return what was found."""
    flood = Run(system, seed, padding, file)
    try:
        for _ in range(kills):
            flood.kill()
    finally:
        flood._done.set()
    return flood.finish()
