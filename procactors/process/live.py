"""A process of a system as another process sees it, and signals that harm nobody.

Layer: process. Runs in: another process of the same user.
Owns: the pidfd (`close`).
Never: sends a signal to a process that does not catch it: the default action of a real-time signal
ends it. Never by a number alone, which may be another process's by now.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from typing import TYPE_CHECKING

from procactors.process.child import has_ended, kill_by
from procactors.wire.procstat import STATE, stat_of

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["LiveProcess"]

_libc = ctypes.CDLL(None)


class LiveProcess:
    """One live process, held by a pidfd.

    Args:
        pid: its number.
        maps: path of a file that it has mapped, which shows that it is the one that is meant;
            empty: any process of that number is.

    Raises:
        ProcessLookupError: there is no such process, or it is another one by now.
    """

    def __init__(self, pid: int, maps: str = "") -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)
        try:
            if maps and not _has_mapped(pid, maps):
                raise ProcessLookupError(f"process {pid} does not serve {maps}")
            self._check_alive()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> LiveProcess:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the pidfd."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return has_ended(self._pidfd)

    def ends_within(self, seconds: float) -> bool:
        """Wait up to `seconds` for its end; return whether it is gone."""
        return has_ended(self._pidfd, round(seconds * 1000))

    @property
    def is_suspended(self) -> bool:
        """Whether it is stopped, as by SIGSTOP or a debugger."""
        return self.state in ("T", "t")

    @property
    def state(self) -> str:
        """The letter by which the kernel names the state of its main thread; empty: it is gone."""
        fields = stat_of(self.pid)
        return fields[STATE].decode() if fields else ""

    def catches(self, number: int) -> bool:
        """Whether the process has a handler for a signal."""
        return bool(self._mask(f"/proc/{self.pid}/status", "SigCgt") >> (number - 1) & 1)

    def threads(self) -> list[int]:
        """Return the numbers of its threads, the main one first."""
        found: list[int] = []
        with contextlib.suppress(OSError):
            found = [int(name) for name in os.listdir(f"/proc/{self.pid}/task")]
        return sorted(found, key=lambda thread: (thread != self.pid, thread))

    def name_of(self, thread: int) -> str:
        """Return what the kernel calls a thread; empty: it is gone."""
        with contextlib.suppress(OSError), open(f"/proc/{self.pid}/task/{thread}/comm") as file:
            return file.read().rstrip("\n")
        return ""

    def holds_back(self, thread: int, number: int) -> bool:
        """Whether a thread takes no signal of that number just now.

        It has blocked it, is about to get one, or handles one: the kernel blocks it so long.
        """
        masks = _masks(f"/proc/{self.pid}/task/{thread}/status")
        return bool((masks.get("SigPnd", 0) | masks.get("SigBlk", 0)) >> (number - 1) & 1)

    def send_to_thread(self, thread: int, number: int) -> bool:
        """Send a signal to one thread; return whether it is there, and the process handles it.

        Raises:
            ProcessLookupError: the process is gone.
        """
        if not self.catches(number):
            self._check_alive()
            return False
        self._check_alive()  # so the number is still the process's
        tgkill = getattr(_libc, "tgkill", None)
        if tgkill is not None:
            return bool(tgkill(self.pid, thread, int(number)) == 0)
        if thread != self.pid:
            return False
        # An older C library: the kernel prefers the main thread, unless that has it blocked.
        signal.pidfd_send_signal(self._pidfd, number)
        return True

    def send(self, number: int) -> bool:
        """Send a signal if the process has a handler for it; return whether it has.

        Raises:
            ProcessLookupError: it is gone.
        """
        if not self.catches(number):
            self._check_alive()
            return False
        # Looked at by its number, and alive after it: so that was its own handler.
        self._check_alive()
        signal.pidfd_send_signal(self._pidfd, number)
        return True

    def kill(self) -> None:
        """SIGKILL the process; one that has just ended is no error."""
        kill_by(self._pidfd)

    def _check_alive(self) -> None:
        if self.has_ended:
            raise ProcessLookupError(f"process {self.pid} has ended")

    def _mask(self, path: str, name: str) -> int:
        return _masks(path).get(name, 0)


def _masks(path: str) -> dict[str, int]:
    """Return the signal masks in a file `status`; none if there is no such process."""
    found = {}
    with contextlib.suppress(OSError), open(path, "rb") as file:
        for line in file:
            name, _, value = line.decode("ascii", "replace").partition(":")
            if name in ("SigPnd", "ShdPnd", "SigBlk", "SigCgt"):
                found[name] = int(value, 16)
    return found


def _has_mapped(pid: int, path: str) -> bool:
    """Return whether a process has mapped a file."""
    # By device and inode, since another namespace of mounts has another path for it; or by its
    # path, since some file systems (overlays) show another device there than here.
    seen = os.stat(path)
    wanted = f" {os.major(seen.st_dev):02x}:{os.minor(seen.st_dev):02x} {seen.st_ino} "
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
            return any(wanted in line or line.rstrip("\n").endswith(f" {path}") for line in file)
    except OSError:
        return False
