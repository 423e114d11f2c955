"""The actor of a web service. In a module of its own: an actor imports no web framework."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from procactors import Actor
from tests.support.gates import Gate
from tests.support.notes import note


class Model(Actor):
    """Answers, and counts in a file what it has begun."""

    def __init__(self, path):
        self.path = path

    def square(self, x: float) -> float:
        note(self.path, "square")
        return x * x

    def hold(self, folder) -> float:
        note(self.path, "hold")
        Gate(folder).wait()
        return 1.0

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def rows(self, count: int) -> Iterator[str]:
        """Stream rows, and note when that is over, in whatever way."""
        note(self.path, "rows")
        try:
            yield from (f"row {number}\n" for number in range(count))
        finally:
            note(self.path, "closed")

    def broken(self, folder) -> Iterator[str]:
        """Stream a row, wait at a gate, and die."""
        yield "row 0\n"
        Gate(folder).wait()
        self.die()
