"""The actor of a web service. In a module of its own: an actor imports no web framework."""

from __future__ import annotations

import os
import signal

from procactors import Actor
from tests.support.clocks import note
from tests.support.gates import Gate


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
