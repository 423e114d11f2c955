"""A started process: its pidfd, its exit, its group.

Layer: process. Runs in: parent.
Owns: the pidfd (`release`).
Never: believes anything but the pidfd about life and death: a forgotten descriptor keeps
multiprocessing's sentinel silent, a killed fork server reports living actors as dead.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import subprocess
from multiprocessing.process import BaseProcess
from typing import Protocol

from procactors.wire.procstat import STATE, STATUS, stat_of

__all__ = ["Child", "ExecutedChild", "ForkedChild", "ZygoteChild"]


class Reaper(Protocol):
    """Who may wait for the zygote's children: the zygote."""

    def reap(self, pid: int, start: int = 0) -> None:
        """Let the zombie go; with `start`, tell afterwards how much memory it had."""


class Child:
    """One process that runs, or ran, an incarnation.

    Attributes:
        pid, pidfd: what names it.
        peak_memory: most resident bytes that it had, known once it is reaped; 0: unknown.
        is_reaped: its number may be somebody else's.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.peak_memory = 0
        self.is_reaped = False

    def is_gone(self) -> bool:
        """Return whether the process has ended."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def send(self, number: int) -> None:
        """Send a signal to the process; one that has ended is no error."""
        if self.is_reaped:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def kill_group(self) -> None:
        """SIGKILL the process and all it started, but for those with a session of their own."""
        self.send(signal.SIGKILL)
        if self.is_reaped:
            return
        # Safe until the zombie is let go: so long its number is nobody else's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def exit_code(self) -> int | None:
        """Return the exit code (negative: the signal) of a process that is gone.

        None if nobody knows it any more. Call `let_go` next, once.
        """
        raise NotImplementedError

    def let_go(self, start: int = 0) -> bool:
        """Reap the process, if `exit_code` has not.

        Args:
            start: number of its start, if its peak memory is wanted.

        Returns:
            whether its peak memory comes later, as an answer of the zygote's with that number.
        """
        self.is_reaped = True
        return False

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
        """Return the exit code from the zombie."""
        status = _zombie_status(self.pid)
        return None if status is None else os.waitstatus_to_exitcode(status)

    def let_go(self, start: int = 0) -> bool:
        """Have the zygote reap it."""
        self.is_reaped = True
        self._zygote.reap(self.pid, start)
        return start > 0


class ForkedChild(Child):
    """A child by `multiprocessing`'s fork."""

    def __init__(self, process: BaseProcess) -> None:
        assert process.pid is not None
        super().__init__(process.pid)
        self._process = process

    def exit_code(self) -> int | None:
        """Return the exit code, and reap."""
        # Somebody's `active_children()` may have reaped it: then multiprocessing knows the code.
        with contextlib.suppress(ChildProcessError):
            # Known to multiprocessing from here on: its own wait would find nothing any more.
            self._process._popen.returncode, self.peak_memory = _reap(  # type: ignore[attr-defined]
                self.pid
            )
        self._process.join()
        code = self._process.exitcode
        self.is_reaped = True
        self._process.close()
        return code


class ExecutedChild(Child):
    """A child that runs an interpreter of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(process.pid)
        self._process = process
        # The kernel counts what the process was before its exec, and that was a copy of us.
        self._floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def exit_code(self) -> int | None:
        """Return the exit code, and reap."""
        with contextlib.suppress(ChildProcessError):
            self._process.returncode, peak = _reap(self.pid)
            self.peak_memory = peak if peak > self._floor else 0
        code = self._process.wait()
        self.is_reaped = True
        return code


def _reap(pid: int) -> tuple[int, int]:
    """Return (exit code, most resident bytes) of a child of ours that is gone."""
    _, status, usage = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024


def _zombie_status(pid: int) -> int | None:
    """Return the wait status of a zombie that is not our child; None if it is not there."""
    fields = stat_of(pid)
    if not fields or fields[STATE] not in (b"Z", b"X"):
        return None
    return int(fields[STATUS])
