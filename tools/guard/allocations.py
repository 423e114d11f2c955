"""Adds up the bytes that this process allocates, by the C library's `mtrace`.

It notes each `malloc` in a file. For it `libc_malloc_debug.so` is to be loaded before all else, and
Python is to take its memory from `malloc` (see `ENVIRONMENT`).
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Callable
from functools import cache

LIBRARY = "libc_malloc_debug.so.0"

#: What a program's environment has to say, for its allocations and its children's to be noted.
ENVIRONMENT = {"LD_PRELOAD": LIBRARY, "PYTHONMALLOC": "malloc"}

#: Versions of the two functions, by the machine: x86-64, AArch64.
_VERSIONS = (b"GLIBC_2.2.5", b"GLIBC_2.17")


class ByteCounter:
    """Adds up what is allocated in this process between `start` and `stop`."""

    def __init__(self) -> None:
        self._path = ""

    def start(self) -> None:
        """Add up from now on."""
        fd, self._path = tempfile.mkstemp()
        os.close(fd)
        os.environ["MALLOC_TRACE"] = self._path
        begin, _ = _functions()
        begin()

    def stop(self) -> int:
        """Add up no more; return the bytes."""
        _, end = _functions()
        end()
        with open(self._path, encoding="ascii", errors="replace") as file:
            # "@ place + address size"; `>` is what a realloc returns.
            notes = [line.rsplit(maxsplit=3) for line in file]
        os.unlink(self._path)
        return sum(int(note[3], 16) for note in notes if len(note) == 4 and note[1] in "+>")


@cache
def _functions() -> tuple[Callable[[], None], Callable[[], None]]:
    """Return `mtrace` and `muntrace`: old symbols, which are found by their version alone."""
    find = ctypes.CDLL(None).dlvsym
    find.restype, find.argtypes = ctypes.c_void_p, [ctypes.c_void_p] + [ctypes.c_char_p] * 2
    for version in _VERSIONS:
        found = [find(None, name, version) for name in (b"mtrace", b"muntrace")]
        if all(found):
            # Not giving the interpreter lock away: `muntrace` closes what another thread may be
            # writing to.
            begin, end = map(ctypes.PYFUNCTYPE(None), found)
            return begin, end
    raise OSError(f"{LIBRARY} has no mtrace")


def is_possible() -> bool:
    """Whether the library is here: what `LD_PRELOAD` does not find, it leaves out with a word."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True
