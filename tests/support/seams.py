"""Actors that do two things at once with a message."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from procactors import Actor, ActorRef, LaterReply
from tests.support.cancellable import note, work_until_cancelled
from tests.support.gates import Gate


class Relay(Actor):
    """Forwards to the next one; without a next one it does itself what it is asked."""

    def __init__(self, log: Path, next_one: ActorRef[Any] | None = None) -> None:
        self.log = log
        self.next = next_one
        self.is_open = False
        self.later: list[LaterReply] = []

    def ping(self) -> None:
        pass

    def pid(self) -> int:
        return os.getpid()

    def hold(self, number: int, gate: Gate) -> int:
        note(self.log, number)
        gate.wait()
        return number

    def pass_on(self, number: int) -> int | None:
        if self.next is not None:
            return self.context.forward(self.next)
        return note(self.log, number)

    def pass_data(self, data: bytes) -> int | None:
        if self.next is not None:
            return self.context.forward(self.next)
        return len(data)

    def pass_twice(self, number: int, second: ActorRef[Any]) -> int | None:
        if self.next is None and not self.is_open:
            self.is_open = True
            return self.context.forward(second)
        return self.pass_on(number)

    def pass_hold(self, number: int, gate: Gate) -> int | None:
        if self.next is not None:
            return self.context.forward(self.next)
        return self.hold(number, gate)

    def pass_behind(self, number: int, gate: Gate) -> str | None:
        if self.next is not None:
            gate.wait()
            return self.context.forward(self.next)
        return work_until_cancelled()

    def until_cancelled(self, number: int, gate: Gate) -> str | None:
        if self.next is not None:
            return self.context.forward(self.next)
        gate.wait()
        return work_until_cancelled()

    def owed(self, number: int) -> None:
        assert self.next is not None
        self.next.tell(Relay.keep, self.context.reply_later())

    def keep(self, later: LaterReply) -> None:
        self.later.append(later)

    def pay(self) -> None:
        self.later.pop().send("paid")

    def aside(self, number: int) -> int | None:
        if not self.is_open:
            return self.context.stash()
        return note(self.log, number)

    def aside_then_hold(self, number: int, gate: Gate) -> int | None:
        if not self.is_open and self.context.incarnation == 1:
            return self.context.stash()
        return self.hold(number, gate)

    def open(self) -> int:
        self.is_open = True
        return self.context.unstash_all()

    def open_behind(self, gate: Gate) -> int:
        gate.wait()
        return self.open()

    def total(self, how: str, numbers: Iterator[int]) -> int | None:
        if how == "forward" and self.next is not None:
            return self.context.forward(self.next)
        if how == "stash" and not self.is_open:
            return self.context.stash()
        return sum(numbers)

    def in_a_copy(self) -> list[str]:
        """Return how it ends, in a forked copy, to do something else with the message in hand."""
        assert self.next is not None
        context, other = self.context, self.next
        calls = (
            lambda: context.forward(other),
            context.stash,
            context.reply_later,
            context.unstash_all,
        )
        read, write = os.pipe()
        if not (pid := os.fork()):
            os.write(write, " ".join(map(_ended, calls)).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        os.close(write)
        with os.fdopen(read) as file:
            return file.read().split()

    def count(self, most: int) -> Iterator[int]:
        yield from range(most)

    def items(self, how: str) -> Iterator[int]:
        yield 1
        self._other_way(how)
        yield 2

    def _other_way(self, how: str) -> None:
        if how == "forward":
            assert self.next is not None
            self.context.forward(self.next)
        elif how == "stash":
            self.context.stash()
        else:
            self.later.append(self.context.reply_later())


def _ended(call: Callable[[], object]) -> str:
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return "done"


class AsyncRelay(Relay):
    """The same in an event loop."""

    async def pass_on(self, number: int) -> int | None:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().pass_on(number)

    async def aside(self, number: int) -> int | None:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().aside(number)

    async def open_behind(self, gate: Gate) -> int:  # type: ignore[override]
        await asyncio.to_thread(gate.wait)
        return self.open()

    async def counting(self, most: int) -> AsyncIterator[int]:
        for number in range(most):
            yield number

    async def async_items(self, how: str) -> AsyncIterator[int]:
        yield 1
        self._other_way(how)
        yield 2
