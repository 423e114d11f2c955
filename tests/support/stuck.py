"""An actor that is somewhere, in each of the ways that a stack is asked for."""

from __future__ import annotations

import asyncio
import os
import threading
import time

from procactors import Actor


class Somewhere(Actor):
    """Does what it is told, for so many seconds or until it is let go."""

    def __init__(self, gate=None):
        self.value = 7
        if gate is not None:
            gate.wait()

    def process_id(self):
        return os.getpid()

    def compute(self, gate):
        """Python code, until the file of the gate's permits is gone."""
        gate.wait()
        total, enough = 0, str(gate.folder / "enough")
        while not os.access(enough, os.F_OK):
            total += 1
        return self.value

    def hold_the_lock(self, gate):
        """C code that lets no other Python code run, and takes no notice of signals."""
        gate.wait()
        return sum(range(10**13))

    def ask_on(self, other, gate):
        return other.ask(Somewhere.compute, gate)

    def sleep(self, gate):
        gate.wait()
        time.sleep(3600)

    def churn(self):
        """Keep threads busy that are deep in calls, and others that are over at once."""
        for _ in range(3):
            threading.Thread(target=churn, daemon=True).start()

    def sleep_a_little(self):
        time.sleep(0.7)
        return self.value

    def ask_count(self, other):
        return other.ask(Somewhere.count_to, 3)

    def pause_here(self):
        """Call the built-in that developers leave in their code."""
        inner = 41
        breakpoint()  # noqa: T100 - what is tested
        inner += 1
        return inner

    def count_to(self, number):
        total = 0
        for step in range(number):
            total += step
        return total


class SomewhereAsync(Actor):
    """The same, in an event loop."""

    async def wait(self, gate):
        await self.inner(gate)

    async def inner(self, gate):
        await asyncio.to_thread(gate.wait)
        await asyncio.sleep(3600)


def churn():
    while True:
        deep(300)
        brief = threading.Thread(target=deep, args=(50,))
        brief.start()
        brief.join()


def deep(levels):
    return 0 if levels == 0 else 1 + deep(levels - 1)


def hot(rounds):
    """What a profile is to find."""
    total = 0
    for number in range(rounds):
        total += number * number
    return total


class Busy(Actor):
    def work(self, gate):
        gate.wait()
        while not os.access(gate.folder / "enough", os.F_OK):
            hot(20_000)
            self.cold()

    def cold(self):
        return len("cold")


class Restless(Actor):
    """Is at work in several ways, for some milliseconds each."""

    def work(self, way):
        if way == 0:
            hot(20_000)
        elif way == 1:
            sum(range(3_000_000))  # C code, with the interpreter's lock
        elif way == 2:
            time.sleep(0.02)
        else:
            threads = [threading.Thread(target=hot, args=(20_000,)) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return way, os.getpid()
