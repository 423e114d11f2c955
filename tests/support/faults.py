"""The fault catalogue: the ways in which user code breaks, and what each must look like outside.

`FAULTS` has one row a way. `commit(name)` does it, in whatever process it is called. The two
`Breaks...` classes do it at pickling and at loading, on either side of the wire.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn


class Fault(Exception):
    """What a handler raises on purpose."""


class BaseFault(BaseException):
    """The same, of the kind that `except Exception` lets through."""


class Unrebuildable(Exception):
    """An error that pickles and does not load: its constructor wants two arguments."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")


@dataclass(frozen=True)
class Way:
    """One row.

    Attributes:
        do: breaks the calling process or raises.
        exit_code: how the process ends by it, as `multiprocessing` counts: negative for a signal.
            None when it does not have to: it is for the runtime to contain.
        raises: the error that is raised, where there is one.
    """

    do: Callable[[], object]
    exit_code: int | None = None
    raises: type[BaseException] | None = None

    @property
    def signal(self) -> signal.Signals | None:
        """The signal that ends the process, if one does."""
        return signal.Signals(-self.exit_code) if self.exit_code and self.exit_code < 0 else None


def _raise(error: BaseException) -> NoReturn:
    raise error


def _segfault() -> None:
    _leave_no_core()
    faulthandler._sigsegv()


def _abort() -> None:
    _leave_no_core()
    os.abort()


def _leave_no_core() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


@contextmanager
def _limit(which: int, soft: int) -> Iterator[None]:
    before = resource.getrlimit(which)
    resource.setrlimit(which, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(which, before)


def _out_of_memory() -> None:
    """Take memory until there is no more address space; it is given back on the way out."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    taken = []
    with _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + 2**26):
        while True:
            taken.append(bytearray(2**20))


def _out_of_descriptors() -> None:
    """Open files until there are no more descriptors; they are closed on the way out."""
    with ExitStack() as taken, _limit(resource.RLIMIT_NOFILE, len(os.listdir("/proc/self/fd")) + 8):
        while True:
            taken.callback(os.close, os.open(os.devnull, os.O_RDONLY))


FAULTS: dict[str, Way] = {
    "exception": Way(lambda: _raise(Fault("on purpose")), raises=Fault),
    "unrebuildable": Way(lambda: _raise(Unrebuildable(7, "on purpose")), raises=Unrebuildable),
    "out of memory": Way(_out_of_memory, raises=MemoryError),
    "out of descriptors": Way(_out_of_descriptors, raises=OSError),
    "base exception": Way(lambda: _raise(BaseFault("on purpose")), raises=BaseFault),
    "keyboard interrupt": Way(lambda: _raise(KeyboardInterrupt()), raises=KeyboardInterrupt),
    "sys.exit(0)": Way(lambda: sys.exit(0), exit_code=0, raises=SystemExit),
    "sys.exit(3)": Way(lambda: sys.exit(3), exit_code=3, raises=SystemExit),
    "os._exit(0)": Way(lambda: os._exit(0), exit_code=0),
    "os._exit(7)": Way(lambda: os._exit(7), exit_code=7),
    "segfault": Way(_segfault, exit_code=-signal.SIGSEGV),
    "abort": Way(_abort, exit_code=-signal.SIGABRT),
    "SIGKILL": Way(lambda: os.kill(os.getpid(), signal.SIGKILL), exit_code=-signal.SIGKILL),
    "SIGTERM": Way(lambda: os.kill(os.getpid(), signal.SIGTERM), exit_code=-signal.SIGTERM),
}

#: The ways that end the process at once, whatever Python code stands around them.
DEADLY = [name for name, way in FAULTS.items() if way.exit_code is not None and not way.raises]

#: The ways that are an ordinary error of the one call.
ERRORS = [name for name, way in FAULTS.items() if way.raises and issubclass(way.raises, Exception)]

#: A process that stops without ending: no exit, no answer, and SIGTERM does not help either.
HANG = signal.SIGSTOP


def commit(name: str) -> None:
    """Break in the way of that name, here and now."""
    FAULTS[name].do()


@dataclass(frozen=True)
class BreaksWhenPickled:
    """A value that breaks the process, or the call, which pickles it."""

    how: str

    def __reduce__(self) -> Any:
        commit(self.how)
        return BreaksWhenPickled, (self.how,)


@dataclass(frozen=True)
class BreaksWhenLoaded:
    """A value that travels well and breaks where it arrives.

    With `only_in` it breaks in the process of that pid alone, and elsewhere is itself.
    """

    how: str
    only_in: int | None = None

    def __reduce__(self) -> Any:
        return _load_or_break, (self.how, self.only_in)


def _load_or_break(how: str, only_in: int | None) -> BreaksWhenLoaded:
    if only_in is None or only_in == os.getpid():
        commit(how)
    return BreaksWhenLoaded(how, only_in)
