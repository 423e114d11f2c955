"""Where both sides run: on one core, on two, or wherever the scheduler puts them.

Measures: nothing. It keeps processes on cores, and sessions on one level.
How: on one core as under `taskset -c 0`: this process is kept there before anything starts, and all
that it starts inherits it. On two the caller is kept on the first and the other side on the second;
both are told after they have started, so that each finds two usable cores when it asks. Free: as
the scheduler likes, which on a busy machine is any of the others, now and then another.
Never: touches a process that was not started here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Place:
    """Cores for the two sides.

    Attributes:
        name: in words, as it stands in tables.
        here: index, among the usable cores, of the caller's; None: any.
        there: index of the other side's; None: any.
    """

    name: str
    here: int | None = None
    there: int | None = None

    @property
    def alone(self) -> bool:
        """Say whether both share one core: then nobody can gain by spinning."""
        return self.here is not None and self.here == self.there

    @property
    def cores(self) -> int:
        """How many usable cores this needs."""
        return 1 + max(self.here or 0, self.there or 0)

    @property
    def core_there(self) -> int | None:
        """The other side's core, by its number in the kernel."""
        return None if self.there is None else _USABLE[self.there]

    def begin(self) -> None:
        """Keep this process where it belongs, before it has started anything."""
        if self.alone:
            _keep(os.getpid(), self.here)

    def opened(self) -> None:
        """Keep this process where it belongs, now that all processes are there."""
        _keep(os.getpid(), self.here)
        _level()

    def settle_caller(self, pid: int | None) -> None:
        """Keep a process that stands for this one where this one belongs."""
        if pid is not None:
            _keep(pid, self.here)

    def settle(self, pid: int | None) -> None:
        """Keep the process of the other side, with all its threads, where it belongs."""
        if pid is not None:
            _keep(pid, self.there)


FREE = Place("free")
ONE = Place("both on one core", 0, 0)
TWO = Place("each on a core of its own", 0, 1)

#: By the word on the command line.
PLACES = {"one": ONE, "two": TWO, "free": FREE}

#: As it was when this process began: `_keep` changes what the kernel says.
_USABLE = sorted(os.sched_getaffinity(0))


def usable() -> int:
    """Answer how many cores there are to place anything on."""
    return len(_USABLE)


def cores_apart() -> tuple[int, int] | None:
    """Answer two usable cores, or None where there are fewer."""
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else None


@contextmanager
def kept_on(core: int | None) -> Iterator[None]:
    """Keep this thread on one core for the length of a block; None leaves it free."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _keep(pid: int, index: int | None) -> None:
    if index is None:
        return
    for thread in os.listdir(f"/proc/{pid}/task"):
        with suppress(ProcessLookupError):  # it has ended since
            os.sched_setaffinity(int(thread), {_USABLE[index]})


def _level() -> None:
    """Give the sessions of all processes below this one the share of the processor that its has.

    Where the kernel groups processes by session (autogroup), one that was put in front, or behind,
    would else be so alone: the zygote and its actors are a session of their own, and floors are
    not.
    """
    with suppress(OSError, ValueError):  # the kernel has no such groups, or it is not permitted
        group = Path("/proc/self/autogroup").read_text(encoding="ascii").split()
        if not group:  # the kernel has them, switched off, or in a container without its own
            return
        nice = group[-1]
        for process in psutil.Process().children(recursive=True):
            with suppress(ProcessLookupError, FileNotFoundError):  # it has ended since
                if os.getsid(process.pid) == process.pid:
                    Path(f"/proc/{process.pid}/autogroup").write_text(nice, encoding="ascii")
