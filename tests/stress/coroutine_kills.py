"""Crash actors of one process while they await each other; then see that all are answered."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
from concurrent.futures import TimeoutError as FuturesTimeout
from typing import Any

from procactors import Actor, ActorRef, ActorSystem, Reply
from procactors.errors import ActorDied, ReplyError
from tests.support.waiting import SHORT_S

_WHATS = ["through", "aside", "work", "crash", "crash", "cancel", "items", "fail"]
_OFTEN = {"max_restarts": 1_000_000, "max_concurrency": 8}


class Node(Actor):
    """Awaits, in each way."""

    def __init__(self, other: ActorRef[Node] | None = None) -> None:
        self.other: Any = other

    async def on_start(self) -> None:
        await asyncio.sleep(0.001)

    async def on_stop(self, reason: object) -> None:
        await asyncio.sleep(0.001)

    async def work(self, seconds: float) -> float:
        try:
            await asyncio.sleep(seconds)
        finally:
            self.context.ref.tell(Node.nothing)
        return seconds

    def nothing(self) -> None:
        pass

    async def fail(self) -> None:
        await asyncio.sleep(0.001)
        raise ValueError("on purpose")

    async def through(self, seconds: float) -> float:
        result: float = await self.other.aio.ask(Node.work, seconds)
        return result

    async def aside(self, seconds: float) -> float:
        result: float = await asyncio.to_thread(self.other.ask, Node.work, seconds)
        return result

    async def items(self, count: int) -> Any:
        for number in range(count):
            await asyncio.sleep(0)
            yield number


@dataclasses.dataclass
class Outcome:
    """What a run found.

    Attributes:
        kills: crashes that were played.
        answered: calls that have a result.
        failed: those that have an error.
    """

    kills: int = 0
    answered: int = 0
    failed: int = 0


def run(backend: str, rounds: int, seed: int) -> Outcome:
    """Make a system, crash its actors in the midst of what they do, stop it; so often."""
    outcome = Outcome()
    for number in range(rounds):
        with ActorSystem(backend=backend, seed=seed + number) as system:
            _round(system, random.Random(seed + number), outcome)
    return outcome


def _round(system: Any, draw: random.Random, outcome: Outcome) -> None:
    first = system.options(**_OFTEN).spawn(Node)
    second = system.options(**_OFTEN).spawn(Node, first)
    replies: list[Reply[Any]] = []
    for _ in range(15):
        what = draw.choice(_WHATS)
        with contextlib.suppress(ActorDied, ReplyError):
            if what == "crash":
                system.crash(draw.choice([first, second]))
                outcome.kills += 1
            elif what == "cancel":
                if replies:
                    draw.choice(replies).cancel()
            elif what == "items":
                with second.options(buffer=2).stream(Node.items, 50) as stream:
                    next(stream)
            elif what == "fail":
                second.tell(Node.fail)
            else:
                replies.append(second.submit(getattr(Node, what), draw.random() * 0.003))
    for reply in replies:
        _count(reply, outcome)


def _count(reply: Reply[Any], outcome: Outcome) -> None:
    """Wait for the end of a call: it has one, whatever became of its actor."""
    try:
        reply.result(SHORT_S)
    except FuturesTimeout:
        raise AssertionError("a caller waits for ever") from None
    except Exception:  # each of them says what became of the actor, or that it was cancelled
        outcome.failed += 1
    else:
        outcome.answered += 1
