"""A started process: its pidfd, its exit, its group.

Layer: process. Runs in: parent.
Owns: the pidfd (`release`).
Never: believes anything but the pidfd about life and death: a forgotten descriptor keeps
multiprocessing's sentinel silent, a killed fork server reports living actors as dead. Never names
a process by a number that may be another's by now: children of the parent may be reaped by any
code there (SIGCHLD ignored, a handler that waits for all), those of the zygote by init.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import struct
from typing import TYPE_CHECKING, Protocol

from procactors.wire.procstat import STATE, STATUS, stat_of

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl
    import resource

if TYPE_CHECKING:
    import subprocess
    from multiprocessing.process import BaseProcess

__all__ = [
    "Child",
    "ExecutedChild",
    "ForkedChild",
    "ZygoteChild",
    "has_ended",
    "kill_by",
    "reap_by",
]

#: Flag of pidfd_send_signal(2), Linux 6.9: to the process group that the process led.
_TO_GROUP = 4

#: ioctl(2) that asks a pidfd for its process, Linux 6.13: _IOWR(0xFF, 11, 64 bytes). With this
#: bit in the mask (6.15), for the wait status of one that any code has reaped.
_GET_INFO, _INFO_EXIT = 0xC040FF0B, 8
_INFO = struct.Struct("=Q52xi")
#: Milliseconds for which a process that is not ours to wait for any more may still be about to be
#: reaped: the kernel tells of the end, and then reaps.
_REAPED_MS = 100


class Reaper(Protocol):
    """What may wait for the zygote's children: the zygote."""

    def reap(self, pid: int, start: int = 0) -> None:
        """Let the zombie go; with `start`, tell afterwards how much memory it had."""


class Child:
    """One process that runs, or ran, an incarnation.

    Attributes:
        lost: why its exit code is not known, when it is not.
        pid, pidfd: what names it.
        peak_memory: most resident bytes that it had, known once it is reaped; 0: unknown.
        is_reaped: it has ended, and its exit code has been asked for.
    """

    lost = (
        "its exit code was taken by this program, which ignores SIGCHLD or waits for children "
        "that are not its own"
    )

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.peak_memory = 0
        self.is_reaped = False

    def is_suspended(self) -> bool:
        """Return whether the process is stopped, as by SIGSTOP or a debugger."""
        return not self.is_reaped and stat_of(self.pid)[:1] in ([b"T"], [b"t"])

    def send(self, number: int) -> None:
        """Send a signal to the process; one that has ended is no error."""
        if self.is_reaped:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def kill_group(self) -> None:
        """SIGKILL the process and all it started, but for those with a session of their own."""
        if self.is_reaped:
            return
        self.send(signal.SIGKILL)
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL, None, _TO_GROUP)
        except (ProcessLookupError, PermissionError):
            pass  # none is left of it, or none that we may kill
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._kill_group_by_number()

    def _kill_group_by_number(self) -> None:
        """SIGKILL the group before Linux 6.9, if its number is surely its own.

        While the process is not reaped, no other gets its number. It may be reaped behind our look;
        but numbers are given in turn, so that one comes again after all others.
        """
        if _pid_of(self.pidfd) == self.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def exit_code(self) -> int | None:
        """Return the exit code (negative: the signal) of a process that is gone.

        None if it is not known any more. Call `let_go` next, once.
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

    lost = "its exit code was lost with the process that kept it"

    def __init__(self, pid: int, zygote: Reaper) -> None:
        super().__init__(pid)
        self._zygote = zygote

    def exit_code(self) -> int | None:
        """Return the exit code from the zombie."""
        status = _zombie_status(self.pid)
        # Looked up behind it: still its own number, so that was its own status.
        if status is None or _pid_of(self.pidfd) != self.pid:
            return _kept_code(self.pidfd)  # the zygote is gone, and init was faster
        return os.waitstatus_to_exitcode(status)

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
        code, self.peak_memory = reap_by(self.pidfd)
        self.is_reaped = True
        # So that `multiprocessing` does not wait by number; it has no value for "unknown".
        self._process._popen.returncode = 0 if code is None else code  # type: ignore[attr-defined]
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
        code, peak = reap_by(self.pidfd)
        self.is_reaped = True
        self.peak_memory = peak if peak > self._floor else 0
        self._process.returncode = 0 if code is None else code  # as for `ForkedChild`
        return code


def has_ended(pidfd: int, timeout_ms: int = 0) -> bool:
    """Return whether a process has ended, waiting up to `timeout_ms` for it."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout_ms))


def kill_by(pidfd: int) -> None:
    """SIGKILL a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def reap_by(pidfd: int) -> tuple[int | None, int]:
    """Return (exit code, most resident bytes) of a child of ours that is gone, and reap it.

    If other code has reaped it: what the kernel still knows; (None, 0) if that is nothing.
    """
    with contextlib.suppress(ChildProcessError):
        left = os.WEXITED | os.WNOHANG | os.WNOWAIT
        if (seen := os.waitid(os.P_PIDFD, pidfd, left)) is not None:
            # By its number, for wait4 alone tells the memory. WNOHANG: should another thread reap
            # it now, and a child be started under its number, that one is not waited for.
            pid, status, usage = os.wait4(seen.si_pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024
    return _kept_code(pidfd), 0


def _kept_code(pidfd: int) -> int | None:
    """Return the exit code that the kernel keeps with the pidfd of a reaped process, or None."""
    poll = select.poll()
    poll.register(pidfd, 0)
    for _ in range(2):
        info = bytearray(_INFO.pack(_INFO_EXIT, 0))
        try:
            fcntl.ioctl(pidfd, _GET_INFO, info)
        except OSError:
            return None  # before Linux 6.13
        mask, status = _INFO.unpack(info)
        if mask & _INFO_EXIT:
            return os.waitstatus_to_exitcode(status)
        poll.poll(_REAPED_MS)  # POLLHUP, once it is reaped
    return None


def _pid_of(pidfd: int) -> int:
    """Return the number of a process, -1 once it is reaped."""
    with open(f"/proc/self/fdinfo/{pidfd}") as file:
        return next(int(line[4:]) for line in file if line.startswith("Pid:"))


def _zombie_status(pid: int) -> int | None:
    """Return the wait status of a zombie that is not our child; None if it is not there."""
    fields = stat_of(pid)
    if not fields or fields[STATE] not in (b"Z", b"X"):
        return None
    return int(fields[STATUS])
