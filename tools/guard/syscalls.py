"""Reads which system calls a program made between two marks, from what `strace` has written.

A mark is a system call of the program's own that nobody else makes: a look for a file of that name.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Collection
from pathlib import Path

_MARK = "/procactors-guard"

#: A call, or what is logged later of one that another thread's line has cut off.
_CALL = re.compile(r"(\d+) +(\w+)\((.*)")
_REST = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")

#: They say how the threads of a process took turns, and what the C library keeps of memory.
_IGNORED = frozenset(
    {"brk", "clock_nanosleep", "futex", "madvise", "mprotect", "mremap", "munmap", "nanosleep"}
    | {"exit", "exit_group", "restart_syscall", "rseq", "sched_yield", "set_robust_list"}
)
#: How often a process waits in a start depends on which of two events comes first; and so does
#: whether a try before a wait was in vain, behind which it looks on how many processors it may run.
WAITS = frozenset(
    {"epoll_pwait", "epoll_wait", "poll", "ppoll", "pselect6", "sched_getaffinity", "select"}
)

Line = tuple[int, str, str]


def name_of_mark(*words: object) -> str:
    """Return the name of a file for which nobody else looks."""
    return "/".join([_MARK, *map(str, words)])


def mark(*words: object) -> None:
    """Leave a mark in the log."""
    os.access(name_of_mark(*words), os.F_OK)


def why_not() -> str:
    """Return why no program can be traced here; empty if one can."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed"
    tried = subprocess.run(
        [strace, "-f", "-o", os.devnull, "true"], capture_output=True, text=True, check=False
    )
    return "" if tried.returncode == 0 else tried.stderr.strip() or "strace fails"


def traced(command: list[str], log: Path) -> list[str]:
    """Return the command that runs another one and logs the system calls of all its processes."""
    return [shutil.which("strace") or "strace", "-f", "-qq", "-s", "64", "-o", str(log), *command]


class Log:
    """What was logged, in order."""

    def __init__(self, path: Path) -> None:
        self._lines: list[Line] = []
        unfinished: dict[int, int] = {}
        for text in path.read_text(errors="replace").splitlines():
            if call := _CALL.match(text):
                if text.endswith("<unfinished ...>"):
                    unfinished[int(call[1])] = len(self._lines)
                self._lines.append((int(call[1]), call[2], call[3]))
            elif (rest := _REST.match(text)) and int(rest[1]) in unfinished:
                at = unfinished.pop(int(rest[1]))
                thread, name, begun = self._lines[at]
                self._lines[at] = thread, name, begun + rest[2]
        self._marks = {
            rest.split('"')[1]: at
            for at, (_, _, rest) in enumerate(self._lines)
            if f'"{_MARK}' in rest
        }

    def between(
        self,
        begin: tuple[object, ...],
        end: tuple[object, ...],
        threads: Collection[int],
        without: Collection[str] = (),
    ) -> Counter[str]:
        """Count the system calls of some threads between two marks, by name."""
        first, last = (self._marks[name_of_mark(*at)] for at in (begin, end))
        return Counter(
            name
            for thread, name, rest in self._lines[first + 1 : last]
            if thread in threads and name not in without and _counts(name, rest)
        )


def _counts(name: str, rest: str) -> bool:
    """Whether a call is the program's will: neither memory, nor one of many tries in vain."""
    if name in _IGNORED or _MARK in rest:
        return False
    if name == "mmap":
        return "MAP_ANONYMOUS" not in rest
    return " EAGAIN " not in rest
