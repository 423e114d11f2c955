"""Actors whose calls tests cancel."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from procactors import Actor, current_context
from procactors.wire.spin import pause
from tests.support import notes
from tests.support.gates import Gate
from tests.support.waiting import LONG_S


class Patient(Actor):
    """Writes down the number of each call, then works as long as it is told to."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def note(self, number: int, padding: bytes = b"") -> int:
        note(self.log, number)
        return number

    def hold(self, number: int, gate: Gate) -> int:
        """Stand at a gate, whether it is cancelled or not."""
        note(self.log, number)
        gate.wait()
        return number

    def until_cancelled(self, number: int, gate: Gate) -> str:
        """Tell the test that it is here; then work until nobody wants it any more."""
        note(self.log, number)
        gate.wait()
        return work_until_cancelled()

    def is_cancelled(self) -> bool:
        return self.context.cancelled

    def pid(self) -> int:
        return os.getpid()


class Waiter(Patient):
    """Waits in coroutines."""

    async def linger(self, number: int, gate: Gate) -> str:
        note(self.log, number)
        try:
            await asyncio.to_thread(gate.wait)
            await asyncio.sleep(LONG_S)
        except asyncio.CancelledError:
            note(self.log, -number)
            if number % 2:
                raise
        return "cancelled"


class Keeper(Patient):
    """The same, with a state that is kept, and a timer."""

    def on_start(self) -> None:
        self.context.every(0.001, Keeper.tick)

    def tick(self) -> None:
        pass

    def snapshot(self) -> str:
        return "state"

    def restore(self, state: str) -> None:
        assert state == "state"


def note(log: Path, number: int) -> int:
    """Write a number down, whole; return it."""
    notes.note(log, number)
    return number


def work_until_cancelled() -> str:
    """Work in a function of the actor's until its caller does not want it any more."""
    context = current_context()
    while not context.cancelled:
        pause(0.001)
    return "cancelled"


def work_at(log: Path, number: int, gate: Gate) -> str:
    """Do in a pool what `Patient.until_cancelled` does."""
    note(log, number)
    gate.wait()
    return work_until_cancelled()


def hold_at(log: Path, number: int, gate: Gate) -> int:
    """Stand at a gate in a pool, whether it is cancelled or not."""
    note(log, number)
    gate.wait()
    return number
