"""Gates: hold an actor inside a handler until the test lets it go on.

A gate is two named pipes in a folder. A process that comes to it leaves its pid in one and waits
for a byte in the other::

    actor:  gate.wait()          test:  pid = gate.arrival()     # the actor stands at the gate
                                        gate.open()              # it, and all that come, may go on

A `Gate` is only a path, so it may travel in a message to any process, under any start method.
"""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import SHORT_S

PID = struct.Struct("q")
ONE, ALL = b"1", b"*"


@dataclass(frozen=True)
class Gate:
    """A gate at `folder`, made by `new_gate`; it is closed to begin with."""

    folder: Path

    def wait(self) -> None:
        """Tell the test who is here, then block until it lets this visitor pass."""
        # Opened before the test knows of us: once we are seen, it may open the gate and leave, and
        # a pipe that no process has open forgets its bytes.
        with _opened(self.folder / "permits") as permits:
            self._put("arrivals", PID.pack(os.getpid()))
            if os.read(permits, 1) == ALL:
                os.write(permits, ALL)  # for the next visitor

    def arrival(self, timeout: float = SHORT_S) -> int:
        """Wait until a visitor stands at the gate, and return its pid; each one comes once."""
        return PID.unpack(self._take("arrivals", PID.size, timeout))[0]

    def has_arrival(self) -> bool:
        """Whether a visitor has come that `arrival` has not returned yet."""
        with _opened(self.folder / "arrivals") as fd:
            ready = select.poll()
            ready.register(fd, select.POLLIN)
            return bool(ready.poll(0))

    def let_pass(self, visitors: int = 1) -> None:
        """Let that many go on, be they here already or yet to come."""
        self._put("permits", ONE * visitors)

    def open(self) -> None:
        """Let all visitors go on, from now on."""
        self._put("permits", ALL)

    def _put(self, name: str, what: bytes) -> None:
        with _opened(self.folder / name) as fd:
            os.write(fd, what)

    def _take(self, name: str, size: int, timeout: float | None) -> bytes:
        with _opened(self.folder / name) as fd:
            if timeout is not None:
                ready = select.poll()
                ready.register(fd, select.POLLIN)
                assert ready.poll(timeout * 1000), f"waited {timeout:g} s for one of {name}"
            return os.read(fd, size)


@contextmanager
def new_gate(folder: Path) -> Iterator[Gate]:
    """Make a gate at `folder`; it works until the block ends, then lets all visitors go on."""
    folder.mkdir()
    for name in ("arrivals", "permits"):
        os.mkfifo(folder / name, 0o600)
    # A pipe that no process has open forgets its bytes: these two keep what a killed actor wrote.
    with _opened(folder / "arrivals"), _opened(folder / "permits"):
        gate = Gate(folder)
        try:
            yield gate
        finally:
            gate.open()


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    # Both ways, which on Linux never blocks at opening and never meets a missing other side.
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
