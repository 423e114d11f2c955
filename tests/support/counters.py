"""Actors whose state outlives their process; imported in each life, so without test tools."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import threading
from typing import Any

from procactors import Actor
from tests.support.faults import Fault, commit


class Counter(Actor):
    """A number, and how often its hooks ran, kept by checkpoints."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.snapshots = 0
        self.hooks = ["init"]

    def on_start(self) -> None:
        self.hooks.append("start")

    def on_restart(self, report: Any) -> None:
        self.hooks.append("restart")

    def snapshot(self) -> int:
        self.snapshots += 1
        return self.number

    def restore(self, state: int) -> None:
        self.number = state
        self.hooks.append(f"restore {state}")

    def add(self, by: int = 1) -> int:
        self.number += by
        return self.number

    def get(self) -> int:
        return self.number

    def look(self) -> tuple[int, int, list[str]]:
        return self.context.incarnation, self.snapshots, self.hooks

    def add_and_end(self, how: str) -> None:
        self.number += 1
        commit(how)

    def add_and_leave(self) -> int:
        self.number += 1
        self.context.stop()
        return self.number

    def add_and_hold(self, gate: Any) -> int:
        self.number += 1
        gate.wait()
        return self.number


class Watcher(Counter):
    """Counts the ends of others."""

    def look_at(self, ref: Any) -> None:
        self.context.watch(ref)

    def on_terminated(self, event: Any) -> None:
        self.number += 1000


class Aside(Counter):
    """Puts messages aside, and answers some of them later."""

    def __init__(self) -> None:
        super().__init__()
        self.is_open = False
        self.owed: list[Any] = []

    def add_when_open(self) -> int:
        if not self.is_open:
            self.context.stash()
            return 0
        return self.add()

    def open(self) -> int:
        self.is_open = True
        self.context.unstash_all()
        return self.number

    def add_and_owe(self) -> int:
        self.owed.append(self.context.reply_later())
        return self.add()

    def pay_in_the_midst_of(self) -> int:
        self.number += 1
        self.owed.pop().send(self.number)
        self.number += 1
        return self.snapshots


class Ticker(Counter):
    """Counts its timer."""

    def on_start(self) -> None:
        super().on_start()
        self.context.after(0.01, Ticker.tick)

    def tick(self) -> None:
        self.number += 1000


class Awaiting(Counter):
    """Its handlers are coroutines."""

    async def add_later(self) -> int:
        before = self.number
        await asyncio.sleep(0)
        self.number = before + 1
        return self.number


class AsyncHook(Counter):
    async def snapshot(self) -> int:  # type: ignore[override]
        return 0


class Bad(Counter):
    """Breaks in one of its hooks, while the marker is there."""

    def __init__(self, where: str, marker: Any) -> None:
        super().__init__()
        self.where, self.marker = where, marker

    def break_in(self, where: str) -> None:
        if self.where == where and self.marker.exists():
            raise Fault("on purpose")

    def snapshot(self) -> Any:
        self.break_in("snapshot")
        if self.where == "pickle" and self.marker.exists():
            return threading.Lock()
        return super().snapshot()

    def restore(self, state: int) -> None:
        super().restore(state)
        self.break_in("restore")


class Large(Counter):
    """A state of arrays."""

    def __init__(self, size: int = 0) -> None:
        super().__init__()
        import numpy as np

        self.array = np.zeros(size, np.uint8)

    def fill(self, size: int, value: int) -> int:
        import numpy as np

        self.array = np.full(size, value, np.uint8)
        return int(self.array.sum())

    def sum(self) -> tuple[int, int]:
        self.array[:0] = 0  # it is writable
        return len(self.array), int(self.array.sum(dtype="uint64"))

    def snapshot(self) -> Any:
        return {"array": self.array, "number": self.number}

    def restore(self, state: Any) -> None:
        self.array, self.number = state["array"], state["number"]


class Plain:
    """No `Actor` by inheritance."""

    def __init__(self) -> None:
        self.number = 0

    def add(self) -> int:
        self.number += 1
        return self.number

    def snapshot(self) -> dict[str, int]:
        return {"number": self.number}

    def restore(self, state: dict[str, int]) -> None:
        self.number = state["number"]


class OnlySnapshot(Actor):
    def snapshot(self) -> int:
        return 0


class OnlyRestore(Actor):
    def restore(self, state: int) -> None:
        pass


class Neither(Actor):
    def pid(self) -> int:
        return os.getpid()


@dataclasses.dataclass
class Point:
    """A class of the user's in a state."""

    x: int
    y: int


class Points(Actor):
    def __init__(self) -> None:
        self.points: list[Point] = []

    def add(self, x: int, y: int) -> Point:
        self.points.append(Point(x, y))
        return self.points[-1]

    def all(self) -> list[Point]:
        return self.points

    def snapshot(self) -> list[Point]:
        return self.points

    def restore(self, state: list[Point]) -> None:
        assert all(type(point) is Point for point in state)
        self.points = state
