"""`multiprocessing`'s resource tracker, one for all actors, started when one of them needs it.

Layer: process. Runs in: zygote.
Owns: the reading end of the tracker's pipe, until the tracker is started.
Never: in an actor's process group: killed with it, it could not remove what the actor left in
/dev/shm.

The tracker is an interpreter of its own, and most systems never use what it tracks. So the actors
inherit its pipe alone; what the first of them writes starts it, and it reads that first of all.
"""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing import resource_tracker, spawn, util

__all__ = ["Tracker"]

_PROGRAM = "from multiprocessing.resource_tracker import main; main({})"


class Tracker:
    """The tracker to be."""

    def __init__(self) -> None:
        self._reading, writing = os.pipe()
        # As multiprocessing's own fork server hands it to what it forks.
        resource_tracker._resource_tracker._fd = writing  # type: ignore[attr-defined]

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when an actor needs the tracker."""
        return self._reading

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors that no copy may keep open."""
        return () if self._reading < 0 else (self._reading,)

    @property
    def is_started(self) -> bool:
        """Whether it is running, or has been."""
        return self._reading < 0

    def start(self) -> None:
        """Start it. Raises OSError if no process or descriptor is left; it may be tried again."""
        reading = self._reading
        passed = [reading]
        if sys.stderr is not None:
            passed.append(2)  # it warns of what was left behind
        flags = util._args_from_interpreter_flags()  # type: ignore[attr-defined]
        words = [spawn.get_executable(), *flags, "-c", _PROGRAM.format(reading)]
        # What would end it before it is ready for that, it shall ignore.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            util.spawnv_passfds(words[0], words, passed)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        self._reading = -1
        os.close(reading)
