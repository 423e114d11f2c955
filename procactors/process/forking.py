"""Forking actors from the parent itself, with all that is in it: the start method `fork`.

Layer: process. Runs in: parent, in the supervisor's thread; actor, for its first steps.
Owns: nothing.
Never: has `multiprocessing` look after a process.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing.context
import os
import warnings

from procactors.process.nesting import drop_half_imported
from procactors.process.shield import drop_handlers, held

__all__ = ["fork"]


def fork(runtime_dir: str, actor: int, start: int) -> multiprocessing.context.ForkProcess:
    """Fork a process for an actor.

    Raises:
        OSError: no process left.
    """
    process = _Copy(target=_forked, args=(runtime_dir, actor, start), name=f"actor-{actor}")
    with warnings.catch_warnings(), held():
        # Python 3.12 warns of forking with threads; the documentation of "fork" does.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    return process


class _Copy(multiprocessing.context.ForkProcess):
    """A process by `multiprocessing`'s fork, that `multiprocessing` does not look after."""

    def start(self) -> None:
        """Fork.

        Not by the base class's `start`: that refuses in a daemonic process (a worker of
        `multiprocessing.Pool`), whose end would leave children behind. Ours hang on the lifeline.
        And it waits for children that have ended, whose exit codes are ours to read.
        """
        self.daemon = False  # the actor may have children
        self._popen = self._Popen(self)
        self._sentinel = self._popen.sentinel


def _forked(runtime_dir: str, actor: int, start: int) -> None:
    """First steps of an actor forked from the parent: drop what is the parent's."""
    os.setpgid(0, 0)
    drop_half_imported()
    drop_handlers()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            fd = int(name)
            target = os.readlink(f"/proc/self/fd/{fd}")
            if target.startswith(runtime_dir) or target == "anon_inode:[pidfd]":
                os.close(fd)
    importlib.import_module("procactors.api.incarnation").main(
        [runtime_dir, str(actor), str(start)]
    )
