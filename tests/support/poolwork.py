"""What the workers of tested pools are, and what they are called with."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

from procactors import Actor, current_context
from procactors.process.shield import DUMP
from tests.support.faults import BreaksWhenLoaded, BreaksWhenPickled, Fault, commit
from tests.support.gates import Gate


class Tally(Actor):
    """Counts what it has handled, and says who it is."""

    def __init__(self, start: int = 0, factor: int = 1) -> None:
        self.count = start
        self.factor = factor

    def double(self, item: int) -> int:
        self.count += 1
        return 2 * item * self.factor

    def add(self, left: int, right: int = 0) -> int:
        self.count += 1
        return left + right

    def handled(self) -> int:
        return self.count

    def pid(self) -> int:
        return os.getpid()

    def whoami(self, _: Any = None) -> tuple[str, int, int]:
        return self.context.ref.name, self.context.incarnation, os.getpid()

    def seed(self) -> int:
        return self.context.seed

    def name_of(self, item: Any) -> str:
        return self.context.ref.name

    def break_at(self, how: str) -> str:
        if how in ("", "good"):
            return how
        commit(how)
        return how

    def wait(self, gate: Gate) -> str:
        gate.wait()
        return self.context.ref.name

    def leave(self) -> None:
        self.context.stop()

    def fail(self, text: str) -> None:
        raise Fault(text)


class Bad:
    """Cannot be constructed."""

    def __init__(self) -> None:
        raise Fault("no")


class BadAgain:
    """Can be constructed once: the file says so."""

    def __init__(self, path: str) -> None:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            raise Fault("not again") from None

    def end(self) -> None:
        os._exit(5)

    def commit(self, how: str) -> None:
        commit(how)


def square(number: int) -> int:
    return number * number


def pid(_: Any = None) -> int:
    return os.getpid()


def note(path: str, text: str) -> str:
    """Write a line that shows that this was run."""
    with open(path, "a") as file:
        file.write(text + "\n")
    return text


def breaks(item: Any) -> Any:
    """Break in the way that the item names; others are answered as they are."""
    if isinstance(item, tuple) and item[0] == "run":
        commit(item[1])
    if isinstance(item, tuple) and item[0] == "result pickle":
        return BreaksWhenPickled(item[1])
    if isinstance(item, tuple) and item[0] == "result load":
        return BreaksWhenLoaded(item[1])
    return item


def wait_at(gate: Gate) -> int:
    gate.wait()
    return os.getpid()


def gate_or_square(item: Any) -> Any:
    if isinstance(item, Gate):
        item.wait()
        return "gate"
    return item * item


def end_when_looked_at(item: Any) -> Any:
    """Take for ever; end with an error when the worker is asked for its stacks."""
    if isinstance(item, Gate):
        item.wait()
        return "gate"
    signal.signal(DUMP, _wake)
    threading.Event().wait()
    return None


def _wake(number: int, frame: Any) -> None:
    signal.signal(DUMP, signal.SIG_IGN)
    raise Fault("woken")


def once_bad(path: str) -> str:
    """End the process at the first call, be good at the second."""
    seen = Path(path)
    if not seen.exists():
        seen.touch()
        os._exit(9)
    return "good"


def once_raises(path: str) -> str:
    seen = Path(path)
    if not seen.exists():
        seen.touch()
        raise Fault("the first time")
    return "good"


def report(done: int, total: int) -> None:
    current_context().progress(done, total)


def threads() -> str:
    return os.environ["OMP_NUM_THREADS"]
