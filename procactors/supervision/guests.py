"""Guests: processes that are none of the system's, and give its supervisor commands.

Layer: supervision. Runs in: parent, in the supervisor's thread. Loaded with the first guest.
Owns: a pidfd for each guest (`ended`, `close`), by which its end is noticed.
Never: trusts a guest to go in order: what it leaves is removed behind its end; does a command whose
guest waits no more.

A guest holds a lock on a file of its own in ``guests/``, from before it has anything else in the
runtime directory. The kernel drops that lock with the process, so what stands there unlocked is of
the dead. That is looked at when a guest comes and when one has ended: a guest that was killed
before its first command is found by then, or goes with the directory.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Callable

from procactors.errors import AskTimeout
from procactors.model import commands as c
from procactors.supervision.core import Core
from procactors.wire.runtime_dir import is_locked

__all__ = ["Guests"]


class Guests:
    """The guests of one system.

    Args:
        core: has the clock.
        runtime_dir: the system's.
        epoll: watches the pidfds.
        sweep: removes what a process of that token has left in the runtime directory.
    """

    def __init__(
        self, core: Core, runtime_dir: str, epoll: select.epoll, sweep: Callable[[int], None]
    ) -> None:
        self._core = core
        self._folder = os.path.join(runtime_dir, "guests")
        self._epoll = epoll
        self._sweep = sweep
        #: By token: the descriptor that tells of its end; and back.
        self._pidfds: dict[int, int] = {}
        self._tokens: dict[int, int] = {}
        #: Called with the token of a guest that has ended.
        self.on_ended: list[Callable[[int], None]] = []

    def has(self, fd: int) -> bool:
        """Return whether a descriptor is a guest's."""
        return fd in self._tokens

    def come(self, command: c.AsGuest) -> None:
        """A guest has given a command: watch for its end.

        Raises:
            AskTimeout: its time is over, and it waits no more.
        """
        if command.process not in self._pidfds:
            self._watch(command.process, command.pid)
            self._sweep_dead()
        if self._core.clock() > command.until:
            raise AskTimeout("the guest waits no more: its command was not done")

    def ended(self, fd: int) -> None:
        """A guest has ended: remove what it has left."""
        self._forget(fd)
        self._sweep_dead()

    def close(self) -> None:
        """Watch no more."""
        for fd in list(self._tokens):
            self._forget(fd)

    def _watch(self, process: int, pid: int) -> None:
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            return  # it is gone, and `_sweep_dead` finds that; or no descriptor is left
        self._epoll.register(fd, select.EPOLLIN)
        self._pidfds[process], self._tokens[fd] = fd, process

    def _forget(self, fd: int) -> None:
        process = self._tokens.pop(fd)
        del self._pidfds[process]
        self._epoll.unregister(fd)
        os.close(fd)
        for tell in self.on_ended:
            tell(process)

    def _sweep_dead(self) -> None:
        """Remove what guests have left that live no more, whether they were watched or not.

        And forget those that have left in order, while their processes go on.
        """
        names = os.listdir(self._folder)
        for process in self._pidfds.keys() - {_token(name) for name in names}:
            self._forget(self._pidfds[process])
        for name in names:
            path = os.path.join(self._folder, name)
            with contextlib.suppress(OSError):  # it has just gone, in order
                process = _token(name)
                if not is_locked(path):
                    self._sweep(process)
                    os.unlink(path)
                    if process in self._pidfds:  # its number is another process's by now
                        self._forget(self._pidfds[process])


def _token(name: str) -> int:
    """Return the token of the guest that a file belongs to; 0: to none."""
    try:
        return int(name.partition(".")[0], 16)
    except ValueError:
        return 0
