"""Actors that are recycled. Their module is imported in each life: it imports no test tools."""

from __future__ import annotations

import os
import threading

from procactors import Actor, ExitKind
from tests.support.actors import Echo, Recorder
from tests.support.faults import Fault, commit


class Keeper(Actor):
    """A number that outlives its process, and a file that tells the order of its hooks."""

    def __init__(self, log, value=0):
        self.log, self.value = log, value
        self.note("init")

    def note(self, text):
        with self.log.open("a") as file:
            file.write(f"{self.context.incarnation} {text}\n")

    def restore(self, state):
        self.value = state
        self.note(f"restore {state}")

    def on_start(self):
        self.note("start")

    def on_restart(self, report):
        self.note(f"restart after {report.incarnation}")

    def on_stop(self, reason):
        self.note(f"stop {reason.kind.value}")

    def snapshot(self):
        self.note("snapshot")
        return self.value

    def add(self, by=1):
        self.value += by
        return self.context.incarnation, self.value

    def crash(self, how):
        commit(how)

    def leave(self):
        self.context.stop()
        return self.context.incarnation


class Forgetful(Actor):
    """Keeps nothing; takes memory when told to."""

    def __init__(self):
        self.taken = []

    def take(self, size):
        self.taken.append(b"x" * size)
        return self.context.incarnation

    def life(self):
        return self.context.incarnation, os.getpid(), len(self.taken)


class BadKeeper(Forgetful):
    """Breaks in one of the hooks of a recycling, for as long as the marker is there."""

    def __init__(self, where, how, marker):
        super().__init__()
        self.where, self.how, self.marker = where, how, marker
        if where == "init" and self.context.incarnation == 2:
            self.break_if(marker)

    def break_if(self, marker):
        if marker.exists():
            marker.unlink()
            if self.how != "unpicklable":
                commit(self.how)
            return threading.Lock()
        return None

    def snapshot(self):
        return self.break_if(self.marker) if self.where == "snapshot" else "state"

    def restore(self, state):
        self.taken = [state]
        if self.where == "restore":
            self.break_if(self.marker)

    def on_stop(self, reason):
        if self.where == "on_stop" and reason.kind is ExitKind.RECYCLED:
            self.break_if(self.marker)


class NoRestore(Forgetful):
    def snapshot(self):
        return None


class PlainKeeper:
    """No `Actor` by inheritance: hooks are found by name."""

    def __init__(self):
        self.value = 0

    def add(self):
        self.value += 1
        return self.value, os.getpid()

    def snapshot(self):
        return {"value": self.value}

    def restore(self, state):
        self.value = state["value"]


class Sender(Actor):
    """Sends numbers from a process of its own."""

    def send(self, target, first, last):
        for number in range(first, last):
            target.tell(Recorder.record, number)


class Parent(Actor):
    def __init__(self):
        self.child = self.context.options(name="child").spawn(Echo)

    def get(self):
        return self.child, self.context.incarnation


class Large(Actor):
    def __init__(self):
        self.data = bytearray(2**19)

    def grow(self):
        self.data = self.data * 2
        return len(self.data)

    def snapshot(self):
        return self.data

    def restore(self, state):
        self.data = state


class Gated(Actor):
    def hold(self, gate):
        gate.wait()
        return self.context.incarnation


class SlowSnapshot(Actor):
    """Its way to the next life goes by a gate."""

    def __init__(self, gate):
        self.gate = gate

    def snapshot(self):
        self.gate.wait()
        return 0

    def restore(self, state):
        pass

    def number(self, number):
        return number


class Broken(Actor):
    def __init__(self):
        raise Fault("on purpose")
