"""Kills of actors that are threads, at any moment: what was sent is handled, or answered for.

Each round has a system of actors in threads. While senders tell, ask, submit, stream and feed, and
timers run, actors are killed as from outside, hundreds of times, with the interpreter changing
threads as often as it can. Then it is looked at what became of each message.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections import Counter
from typing import Any

from procactors import Actor, ActorSystem, Checkpoint, Delivery, Restart, feed
from procactors.errors import (
    ActorDied,
    ActorStopped,
    AskTimeout,
    DecodeError,
    ReplyError,
    StreamBroken,
)

__all__ = ["Outcome", "run"]

#: Seconds after which a call that has no answer never will have one.
LIMIT_S = 60.0
#: What a call may end with whose actor is killed.
_ENDS = (ActorDied, ReplyError, StreamBroken, DecodeError)


class Ledger:
    """What was handled, in order; of all lives."""

    def __init__(self) -> None:
        self.handled: list[tuple[int, int]] = []
        self.ticks = 0


_ledger = Ledger()


class Target(Actor):
    """Notes what it handles; counts in its state."""

    def __init__(self) -> None:
        self.count = 0
        self.context.every(0.001, Target.tick)

    def tick(self) -> None:
        _ledger.ticks += 1

    def note(self, sender: int, number: int) -> int:
        _ledger.handled.append((sender, number))
        return number

    def add(self, by: int) -> int:
        self.count += by
        return self.count

    def numbers(self, count: int) -> Any:
        yield from range(count)

    def add_up(self, items: Any) -> int:
        return sum(items)

    def snapshot(self) -> int:
        return self.count

    def restore(self, state: int) -> None:
        self.count = state


class AsyncTarget(Actor):
    """Notes what it handles, many at a time."""

    async def note(self, sender: int, number: int) -> int:
        await asyncio.sleep(0)
        _ledger.handled.append((sender, number))
        await asyncio.sleep(0.0005)
        return number


class Outcome:
    """What came of a round.

    Attributes:
        kills: how often an actor was killed.
        answered, died: calls by their ends.
        wrong: what must not be.
    """

    def __init__(self) -> None:
        self.kills = self.answered = self.died = 0
        self.wrong: list[str] = []


def run(seed: int, kills: int, messages: int = 400) -> Outcome:
    """Run one round; return what came of it."""
    global _ledger
    _ledger, outcome = Ledger(), Outcome()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ActorSystem(backend="threads") as system:
            _Round(system, seed, kills, messages, outcome).run()
    finally:
        sys.setswitchinterval(interval)
    return outcome


class _Round:
    def __init__(self, system: Any, seed: int, kills: int, messages: int, outcome: Outcome) -> None:
        self.system, self.outcome, self.kills, self.messages = system, outcome, kills, messages
        self.seed = seed
        often: Any = {"restart": Restart.PERMANENT, "max_restarts": 1_000_000}
        self.plain = system.options(name="plain", **often).spawn(Target)
        self.kept = system.options(
            **often,
            name="kept",
            checkpoint=Checkpoint(messages=1),
            delivery=Delivery.AT_LEAST_ONCE,
            max_deliveries=1_000_000,
        ).spawn(Target)
        self.tasks = system.options(name="tasks", max_concurrency=4, **often).spawn(AsyncTarget)
        self.is_over = threading.Event()
        self.lost: Counter[tuple[int, int]] = Counter()
        self.sums: list[int] = []

    def run(self) -> None:
        works = [
            lambda: self._tell(1),
            lambda: self._tell(2),
            lambda: self._tell_tasks(5),
            self._submit_tasks,
            self._ask,
            self._submit,
            self._stream,
            self._feed,
            self._add,
        ]
        threads = [threading.Thread(target=self._guarded, args=(work,)) for work in works]
        killer = threading.Thread(target=self._guarded, args=(self._kill,))
        for thread in (*threads, killer):
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
            if thread.is_alive():
                self.outcome.wrong.append(f"{thread.name} waits for what never comes")
        self.is_over.set()
        killer.join(LIMIT_S)
        self._look()

    def _guarded(self, work: Any) -> None:
        try:
            work()
        except BaseException as error:
            self.outcome.wrong.append(f"{work}: {type(error).__name__}: {error}")

    # -- what goes on ----------------------------------------------------------------------------

    def _kill(self) -> None:
        draw = random.Random(self.seed)
        pause = threading.Event()
        while self.outcome.kills < self.kills and not self.is_over.is_set():
            pause.wait(draw.random() ** 4 * 0.003)
            self.system.crash(draw.choice((self.plain, self.kept, self.tasks)))
            self.outcome.kills += 1

    def _tell(self, sender: int) -> None:
        for number in range(self.messages):
            self.plain.tell(Target.note, sender, number)

    def _tell_tasks(self, sender: int) -> None:
        for number in range(self.messages):
            self.tasks.tell(AsyncTarget.note, sender, number)

    def _submit_tasks(self) -> None:
        replies = [
            self.tasks.submit(AsyncTarget.note, 6, number) for number in range(self.messages)
        ]
        for number, reply in enumerate(replies):
            value = self._ended(lambda reply=reply: reply.result(LIMIT_S))
            if value not in (None, number):
                self.outcome.wrong.append(f"task {number} was answered with {value}")

    def _ended(self, call: Any) -> Any:
        """Return what a call gives; None if its actor died."""
        try:
            value = call()
        except AskTimeout as error:
            self.outcome.wrong.append(f"no answer: {error}")
            return None
        except _ENDS:
            self.outcome.died += 1
            return None
        self.outcome.answered += 1
        return value

    def _ask(self) -> None:
        ref = self.plain.options(timeout=LIMIT_S)
        for number in range(self.messages):
            value = self._ended(lambda number=number: ref.ask(Target.note, 3, number))
            if value not in (None, number):
                self.outcome.wrong.append(f"ask {number} was answered with {value}")

    def _submit(self) -> None:
        replies = [self.plain.submit(Target.note, 4, number) for number in range(self.messages)]
        for number, reply in enumerate(replies):
            value = self._ended(lambda reply=reply: reply.result(LIMIT_S))
            if value not in (None, number):
                self.outcome.wrong.append(f"submit {number} was answered with {value}")

    def _stream(self) -> None:
        ref = self.plain.options(timeout=LIMIT_S, buffer=3)
        for _ in range(self.messages // 20):
            seen: list[int] = []
            self._ended(lambda seen=seen: seen.extend(ref.stream(Target.numbers, 20)))
            if seen != list(range(len(seen))):
                self.outcome.wrong.append(f"a stream gave {seen}")

    def _feed(self) -> None:
        ref = self.plain.options(timeout=LIMIT_S, buffer=3)
        for _ in range(self.messages // 20):
            value = self._ended(lambda: ref.ask(Target.add_up, feed(range(20))))
            if value not in (None, 190):
                self.outcome.wrong.append(f"a feed came to {value}")

    def _add(self) -> None:
        ref = self.kept.options(timeout=LIMIT_S)
        for number in range(1, self.messages + 1):
            # Each is in the state once, however often it was begun.
            value = self._ended(lambda: ref.ask(Target.add, 1))
            if value != number:
                self.outcome.wrong.append(f"sum {value} where {number} was due")
                return

    # -- what came of it -------------------------------------------------------------------------

    def _look(self) -> None:
        wrong = self.outcome.wrong
        try:
            self.plain.options(timeout=LIMIT_S).ask(Target.add, 0)
            self.tasks.options(timeout=LIMIT_S).ask(AsyncTarget.note, 0, 0)
        except (ActorStopped, *_ENDS) as error:
            wrong.append(f"it does not serve any more: {type(error).__name__}: {error}")
        handled = Counter(_ledger.handled)
        lost = Counter(letter.message[0] for letter in self.system.dead_letters)
        for what, count in handled.items():
            if count > 1:
                wrong.append(f"{what} was handled {count} times")
        for sender in (1, 2, 5):
            for number in range(self.messages):
                if not handled[sender, number] and not lost[sender, number]:
                    wrong.append(f"message {number} of sender {sender} is gone")
            if sender == 5:
                continue  # its messages are handled side by side
            # Without those in hand at a kill: a handler that is dead may go on at any time.
            order = [
                number
                for one, number in _ledger.handled
                if one == sender and not lost[sender, number]
            ]
            if order != sorted(order):
                wrong.append(f"messages of sender {sender} were handled out of order")
        if len(self.system.dead_letters) > 4 * self.outcome.kills:
            wrong.append(f"{len(self.system.dead_letters)} letters of {self.outcome.kills} kills")


if __name__ == "__main__":
    import logging

    logging.disable(logging.CRITICAL)
    total = 0
    for one in range(int(sys.argv[1]), int(sys.argv[2])):
        found = run(one, int(sys.argv[3]))
        total += found.kills
        print(one, found.kills, found.answered, found.died, found.wrong[:3], flush=True)
    print(total, "kills")
