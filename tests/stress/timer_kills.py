"""Actors with timers that are killed again and again; in a module, since actors import it."""

from __future__ import annotations

import os
import random
import signal

from procactors import Actor
from tests.support.notes import note


class Mortal(Actor):
    """Ticks, notes each tick, and kills itself at one of the first."""

    def __init__(self, path, seed):
        self.path = path
        self.count = 0
        rng = random.Random(f"{seed} {self.context.incarnation}")
        self.last = rng.randrange(1, 5)
        self.how = rng.choice(["in", "message", "after"])
        self.context.every(0.001, Mortal.tick, now=True)
        for number in range(20):
            self.context.after(0.001 * (number + 1), Mortal.strike, number, name="strike")

    def tick(self):
        note(self.path, f"{self.context.incarnation} tick {self.count}")
        self.count += 1
        if self.count == self.last:
            if self.how == "in":
                self.die()
            elif self.how == "message":
                self.context.ref.tell(Mortal.die)
            else:
                self.context.after(0.0005, Mortal.die)

    def strike(self, number):
        note(self.path, f"{self.context.incarnation} strike {number}")

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Busy(Actor):
    """Handles numbers while timers of several periods run."""

    def __init__(self, path):
        self.path = path
        for number in range(5):
            self.context.every(0.0013 * (number + 1), Busy.tick, number)

    def tick(self, number):
        self.ticked = number

    def record(self, number):
        note(self.path, f"{number}")
        return number
