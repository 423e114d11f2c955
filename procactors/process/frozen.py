"""Processes of a frozen program (PyInstaller, cx_Freeze): started as multiprocessing's own are.

Layer: process. Runs in: parent (`command`), the new process (`_Entry`).
Owns: the pipe to a process that is being started, until its caller has started it.
Never: runs the program's own code in a process of the runtime's.

Such a program has no interpreter for ``-c``: `sys.executable` is the program itself. But it calls
`multiprocessing.freeze_support()` first, which looks at the arguments, and if they are those of
multiprocessing's `spawn`, reads an object from a pipe and runs that instead of the program.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from procactors.late import late

if TYPE_CHECKING:
    import pickle
    from multiprocessing import spawn
else:
    pickle = late("pickle")
    spawn = late("multiprocessing.spawn")

__all__ = ["command", "is_astray", "is_frozen"]


def is_frozen() -> bool:
    """Whether this program is frozen, and has named no other interpreter."""
    if not getattr(sys, "frozen", False):
        return False
    return os.fsdecode(spawn.get_executable() or "") == sys.executable


def is_astray() -> bool:
    """Whether this is meant to be a process of multiprocessing's, and runs the program instead."""
    if not is_frozen():
        return False
    # The resource tracker is started with -c and such a line; PyInstaller looks for it, too.
    is_tracker = any(word.startswith("from multiprocessing.") for word in sys.argv)
    return is_tracker or spawn.is_forking(sys.argv)


def command(module: str, arguments: list[str]) -> tuple[list[str], int]:
    """Return (a command line, the descriptor that it reads from) for ``module.main(arguments)``."""
    reading, writing = os.pipe()
    with open(writing, "wb") as file:
        # What multiprocessing reads first is about the main module: nothing is to be done there.
        # Both fit into a pipe, so that they can be written before there is a reader.
        pickle.dump({}, file)
        pickle.dump(_Entry(module, arguments), file)
    return spawn.get_command_line(tracker_fd=None, pipe_handle=reading), reading


class _Entry:
    """Stands for the `Process` that multiprocessing would send."""

    def __init__(self, module: str, arguments: list[str]) -> None:
        self._module = module
        self._arguments = arguments

    def _bootstrap(self, _parent_sentinel: int) -> int:
        importlib.import_module(self._module).main(self._arguments)
        return 0
