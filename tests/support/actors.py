"""Actors that tests share. They live in a module since `spawn` must be able to import them."""

from __future__ import annotations

import enum
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from procactors import Actor, ActorRef, Message
from tests.support.faults import commit
from tests.support.gates import Gate
from tests.support.notes import note, notes


class Counter(Actor):
    """A number; the actor of the first page of the documentation."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def increment(self, by: int = 1) -> int:
        self.value += by
        return self.value

    def get_value(self) -> int:
        return self.value


@dataclass(frozen=True)
class Increment(Message[None]):
    by: int = 1


@dataclass(frozen=True)
class GetValue(Message[int]):
    pass


class Command(enum.Enum):
    """Messages in the classic form: an enum."""

    INCREMENT = "increment"
    RESET = "reset"


class MessageCounter(Actor):
    """The same number, talked to in messages."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def receive(self, message: Increment | GetValue | Command) -> int | None:
        match message:
            case Increment(by):
                self.value += by
            case GetValue():
                return self.value
            case Command.INCREMENT:
                self.value += 1
            case Command.RESET:
                self.value = 0
        return None


class Echo(Actor):
    """Answers what it is given, and who and where it is."""

    def receive(self, message: Any) -> Any:
        return message

    def echo(self, value: Any = None) -> Any:
        return value

    def pid(self) -> int:
        return os.getpid()

    def incarnation(self) -> int:
        return self.context.incarnation

    def ref(self) -> ActorRef[Echo]:
        return self.context.ref


class Sleeper(Actor):
    """Sleeps in a handler until the test opens the gate."""

    def sleep(self, gate: Gate) -> int:
        gate.wait()
        return os.getpid()

    def pid(self) -> int:
        return os.getpid()


class Recorder(Actor):
    """Writes each number that it handles into a file, which survives whatever kills the actor."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(self, number: int) -> int:
        note(self.path, number)
        return number

    def record_at(self, number: int, gate: Gate) -> int:
        self.record(number)
        gate.wait()
        return number


def recorded(path: Path) -> list[int]:
    """Return the numbers that a `Recorder` wrote to `path`, in order."""
    return [int(line) for line in notes(path)]


class Crasher(Actor):
    """Breaks in every way of the fault catalogue (`support.faults`), wherever it is told to.

    Args:
        where: name of the hook in which it breaks: `__init__`, `on_start` or `on_stop`. Without
            one it breaks in the handler `crash`, or at `receive` of a fault's name.
        how: name of the fault.
        marker: with a path, it breaks only while that file exists: remove it to heal the actor.
    """

    def __init__(
        self, where: str | None = None, how: str = "exception", marker: Path | None = None
    ) -> None:
        self.where, self.how, self.marker = where, how, marker
        self._break_in("__init__")

    def on_start(self) -> None:
        self._break_in("on_start")

    def on_stop(self, reason: Any) -> None:
        self._break_in("on_stop")

    def receive(self, how: str) -> None:
        commit(how)

    def crash(self, how: str) -> None:
        commit(how)

    def crash_at(self, how: str, gate: Gate) -> None:
        gate.wait()
        commit(how)

    def ignore_sigterm(self) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return os.getpid()

    def pid(self) -> int:
        return os.getpid()

    def _break_in(self, where: str) -> None:
        if where == self.where and (self.marker is None or self.marker.exists()):
            commit(self.how)


class Relay(Actor):
    """Passes messages on to another actor: refs in arguments, asks from inside an actor."""

    def __init__(self, target: ActorRef[Any] | None = None) -> None:
        self.target = target

    def aim(self, target: ActorRef[Any]) -> None:
        self.target = target

    def tell(self, method: Any, *args: Any) -> None:
        assert self.target is not None
        self.target.tell(method, *args)

    def tell_many(self, method: Any, arguments: list[Any]) -> None:
        assert self.target is not None
        self.target.tell_many(method, arguments)

    def ask(self, method: Any, *args: Any) -> Any:
        assert self.target is not None
        return self.target.ask(method, *args)
