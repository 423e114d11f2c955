"""Counts the calls that one thread makes, by `sys.setprofile`.

What a wait costs depends on how long it is: a read is tried again and again, then there is a poll
before it. So before each read a counted thread stands at a gate, until there is something to be
read: each first try finds it. And the thread that reads replies goes on only while the main thread
waits: else it would depend on the scheduler which of both finds the other's work already done.
Threads that look after the others every few milliseconds look once, and wait until all is counted.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from time import sleep
from types import CodeType, FrameType
from typing import Any

#: C functions that read, or wait for something to be read, by their names.
_READS = frozenset({"poll", "read", "readinto", "readv", "recv", "recv_into", "select"})
#: C functions in which the main thread waits for the reading one.
_WAITS = _READS | {"acquire", "get", "wait"}

#: Seconds in which a message comes however busy the machine is.
_LIMIT_S = 30.0

#: How the name of the thread begins that reads the replies to submits.
READER = "procactors-replies"


class CallCounter:
    """Counts the calls of the thread that starts it.

    Args:
        inputs: returns the descriptors on which messages for this thread come.
        may_read: whether it may go on to read; asked again and again.
    """

    def __init__(
        self, inputs: Callable[[], Sequence[int]], may_read: Callable[[], bool] = lambda: True
    ) -> None:
        #: The thread is inside a C function that waits.
        self.waits = False
        #: The thread stands at its gate.
        self.is_idle = False
        self._inputs = inputs
        self._may_read = may_read
        self._python: Counter[tuple[str, CodeType]] = Counter()
        self._c: Counter[tuple[str, str]] = Counter()

    def start(self) -> None:
        """Count from now on, in this thread."""
        sys.setprofile(self.note)

    def stop(self) -> dict[str, dict[str, int]]:
        """Count no more; return the counts by function, of Python and of C apart."""
        sys.setprofile(None)
        return self.counts()

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the counts so far."""
        python: Counter[str] = Counter()
        for (module, code), count in self._python.items():
            python[f"{module}:{getattr(code, 'co_qualname', code.co_name)}"] += count
        own = f"{__name__}:"
        return {
            "python": {name: count for name, count in python.items() if not name.startswith(own)},
            "c": {
                ".".join(filter(None, names)): count
                for names, count in self._c.items()
                if names[1] not in ("setprofile", "mtrace", "muntrace")
            },
        }

    def note(self, frame: FrameType, event: str, arg: Any) -> None:
        """Count one event: what `sys.setprofile` calls."""
        self.waits = False
        if event == "call":
            self._python[frame.f_globals.get("__name__", ""), frame.f_code] += 1
        elif event == "c_call":
            name = arg.__name__
            if name in _READS:
                self._stand_at_gate()
            self._c[getattr(arg, "__module__", None) or "", arg.__qualname__] += 1
            # The last line, with no call behind it: so the interpreter lock is not given away
            # between here and the C function, and whoever sees this sees a thread that does wait.
            self.waits = name in _WAITS

    def _stand_at_gate(self) -> None:
        gate = select.poll()
        for fd in self._inputs():
            gate.register(fd, select.POLLIN)
        self.is_idle = True
        self.waits = True
        if not gate.poll(_LIMIT_S * 1000):
            # Not raised: in which thread it would be, nobody hears of it.
            print(f"no message came within {_LIMIT_S:g} s", file=sys.stderr)
            os._exit(1)
        self.waits = False
        self.is_idle = False
        while not self._may_read():
            sleep(0.0002)


class ThreadCounter:
    """Counts the calls of the thread that reads replies, and holds those that look after others.

    Args:
        inputs: returns the descriptors on which messages for the reading thread come.
        may_read: whether that one may go on to read.
        may_look: whether the others may go on to look.
    """

    def __init__(
        self,
        inputs: Callable[[], Sequence[int]],
        may_read: Callable[[], bool],
        may_look: Callable[[], bool],
    ) -> None:
        self.counter = CallCounter(inputs, may_read)
        self.is_there = False
        self._may_look = may_look
        self._is_counted = True

    def await_thread(self, *, is_counted: bool) -> None:
        """Have the threads counted or held that this process starts from now on."""
        self._is_counted = is_counted
        threading.setprofile(self._begin)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return what it has counted, once the thread is idle."""
        if self.is_there:
            while not self.counter.is_idle:
                sleep(0.0002)
        return self.counter.counts()

    def _begin(self, frame: FrameType, event: str, arg: Any) -> None:
        if not threading.current_thread().name.startswith(READER):
            sys.setprofile(self._hold)
        elif self._is_counted:
            self.is_there = True
            sys.setprofile(self.counter.note)
        else:
            sys.setprofile(None)

    def _hold(self, frame: FrameType, event: str, arg: Any) -> None:
        # Where a thread waits for its next task: it has no lock there, and holds nobody up.
        if event == "c_call" and arg.__qualname__ == "SimpleQueue.get":
            while not self._may_look():
                sleep(0.001)


def inputs_at(*places: str) -> list[int]:
    """Return this process's descriptors of named pipes, for reading, at such places."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
            with open(f"/proc/self/fdinfo/{name}", encoding="ascii") as file:
                flags = int(next(line for line in file if line.startswith("flags:")).split()[1], 8)
            is_pipe = stat.S_ISFIFO(os.fstat(int(name)).st_mode)
        except OSError:  # the listing's own
            continue
        can_read = is_pipe and flags & os.O_ACCMODE != os.O_WRONLY
        if can_read and any(place in target for place in places):
            found.append(int(name))
    return found
