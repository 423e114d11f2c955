"""A started process: its pidfd, its exit, its group.

Layer: process. Runs in: parent.
Owns: the pidfd (`release`).
Never: believes anything but the pidfd about life and death: a forgotten descriptor keeps
multiprocessing's sentinel silent, a killed fork server reports living actors as dead.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from multiprocessing.process import BaseProcess
from typing import Protocol

__all__ = ["Child", "ExecutedChild", "ForkedChild", "ZygoteChild"]


class Reaper(Protocol):
    """Who may wait for the zygote's children: the zygote."""

    def reap(self, pid: int) -> None:
        """Let the zombie go."""


class Child:
    """One process that runs, or ran, an incarnation."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)

    def is_gone(self) -> bool:
        """Return whether the process has ended."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def send(self, number: int) -> None:
        """Send a signal to the process; one that has ended is no error."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def kill_group(self) -> None:
        """SIGKILL the process and all it started, but for those with a session of their own."""
        self.send(signal.SIGKILL)
        # Safe until `exit_code` lets the zombie go: so long its number is nobody else's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def exit_code(self) -> int | None:
        """Return the exit code (negative: the signal) of a process that is gone, and reap it.

        None if nobody knows it any more.
        """
        raise NotImplementedError

    def release(self) -> None:
        """Close the pidfd."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


class ZygoteChild(Child):
    """A child of the zygote: read from its zombie, then let go by the zygote."""

    def __init__(self, pid: int, zygote: Reaper) -> None:
        super().__init__(pid)
        self._zygote = zygote

    def exit_code(self) -> int | None:
        """Return the exit code from the zombie, and have the zygote let it go."""
        status = _zombie_status(self.pid)
        self._zygote.reap(self.pid)
        return None if status is None else os.waitstatus_to_exitcode(status)


class ForkedChild(Child):
    """A child by `multiprocessing`'s fork."""

    def __init__(self, process: BaseProcess) -> None:
        assert process.pid is not None
        super().__init__(process.pid)
        self._process = process

    def exit_code(self) -> int | None:
        """Return the exit code that multiprocessing got, and reap."""
        # Somebody's `active_children()` may have reaped it: then multiprocessing knows the code.
        self._process.join()
        code = self._process.exitcode
        self._process.close()
        return code


class ExecutedChild(Child):
    """A child that runs an interpreter of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(process.pid)
        self._process = process

    def exit_code(self) -> int | None:
        """Return the exit code, and reap."""
        return self._process.wait()


def _zombie_status(pid: int) -> int | None:
    """Return the wait status of a zombie that is not our child; None if it is not there."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except FileNotFoundError:
        return None
    # After the name: state is field 3 of proc(5), exit_code field 52.
    if fields[0] not in (b"Z", b"X"):
        return None
    return int(fields[49])
