"""Actors that watch and are watched. Imported in each life, so without test tools.

What a watcher is told it writes into a file, which survives whatever kills it: one line an event,
``incarnation deliveries terminated|restarted name kind incarnation-of-the-other``.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from procactors import Actor, ActorRef, Restarted, Terminated
from tests.support.faults import Fault, commit
from tests.support.gates import Gate
from tests.support.notes import note, notes


class Watcher(Actor):
    def __init__(self, log: Path) -> None:
        self.log = log

    def watch(self, *refs: ActorRef[Any], restarts: bool = False) -> None:
        for ref in refs:
            self.context.watch(ref, restarts=restarts)

    def unwatch(self, ref: ActorRef[Any]) -> None:
        self.context.unwatch(ref)

    def hold(self, gate: Gate) -> None:
        gate.wait()

    def hold_then_unwatch(self, gate: Gate, ref: ActorRef[Any]) -> None:
        gate.wait()
        self.context.unwatch(ref)

    def watch_itself(self) -> None:
        self.context.watch(self.context.ref)

    def life(self) -> tuple[int, int]:
        return self.context.incarnation, os.getpid()

    def on_terminated(self, event: Terminated) -> None:
        self.note("terminated", event)

    def on_restarted(self, event: Restarted) -> None:
        self.note("restarted", event)

    def on_stop(self, reason: Any) -> None:
        note(self.log, f"{self.context.incarnation} - stopping")

    def note(self, what: str, event: Terminated | Restarted) -> None:
        mine = f"{self.context.incarnation} {self.context.deliveries}"
        theirs = f"{event.ref.name} {event.reason.kind.value} {event.incarnation}"
        note(self.log, f"{mine} {what} {theirs}")


class StartWatcher(Watcher):
    """Watches from `on_start` on, in each life anew."""

    def __init__(self, log: Path, ref: ActorRef[Any]) -> None:
        super().__init__(log)
        self.ref = ref

    def on_start(self) -> None:
        self.context.watch(self.ref)


class BadWatcher(Watcher):
    """Breaks in its hook, until it has been begun that often."""

    def __init__(self, log: Path, how: str, times: int) -> None:
        super().__init__(log)
        self.how, self.times = how, times

    def on_terminated(self, event: Terminated) -> None:
        super().on_terminated(event)
        if self.context.deliveries <= self.times:
            commit(self.how)


class Deaf(Actor):
    """Watches without a hook; its log goes to a file."""

    def __init__(self, log: Path) -> None:
        logger = logging.getLogger(__name__)  # above that of its class
        logger.addHandler(logging.FileHandler(log))
        logger.setLevel(logging.DEBUG)

    def watch(self, ref: ActorRef[Any]) -> None:
        self.context.watch(ref, restarts=True)

    def life(self) -> int:
        return self.context.incarnation


class Linked(Actor):
    def link(self, *refs: ActorRef[Any]) -> None:
        for ref in refs:
            self.context.link(ref)

    def unlink(self, ref: ActorRef[Any]) -> None:
        self.context.unlink(ref)

    def hold(self, gate: Gate) -> None:
        gate.wait()

    def note(self, log: Path, text: str) -> None:
        note(log, text)

    def crash(self, how: str) -> None:
        commit(how)

    def leave(self) -> None:
        self.context.stop()

    def life(self) -> tuple[int, int]:
        return self.context.incarnation, os.getpid()


class Loud(Actor):
    """Ends with an error of any length."""

    def fail(self, size: int) -> None:
        raise Fault("\N{SNOWMAN}" * size)


def told(log: Path) -> list[str]:
    """Return the lines that a watcher wrote."""
    return notes(log)
