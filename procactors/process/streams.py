"""Standard streams: those that were closed before we came, and what is printed before a kill.

Layer: process. Runs in: parent; zygote and actor (`print_by_lines`).
Owns: /dev/null on descriptors 0, 1 and 2 where nothing was open, for the process's life.
Never: touches a stream that is open; gives a descriptor of ours one of these numbers.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys

__all__ = [
    "hold_standard_streams",
    "name_missing_characters",
    "print_by_lines",
    "replace_missing_streams",
]


def hold_standard_streams() -> list[int]:
    """Open /dev/null where a standard descriptor is closed; return which were.

    Else the next that is opened, a mailbox or a user's file, would get the number, and all
    processes that are started, and every library in C, would write their messages to it.
    """
    held = []
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            if opened == fd:
                os.set_inheritable(fd, True)  # as a standard stream is
                held.append(fd)
            else:  # another thread was faster
                os.close(opened)
    return held


def print_by_lines() -> None:
    """Have each line that is printed written at once: what a killed process has said is there.

    Into a pipe or a file Python would hold it back, up to 8 KiB.
    """
    stdout = sys.stdout  # None where it was closed; any object, put there by the user, under `fork`
    if isinstance(stdout, io.TextIOWrapper):
        with contextlib.suppress(OSError, ValueError):  # a full disk; a descriptor closed since
            stdout.reconfigure(line_buffering=True)


def name_missing_characters() -> None:
    """Have stdout write a character that its encoding lacks as an escape, as stderr does.

    Else a command would end in the middle of a name of somebody else's.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        with contextlib.suppress(OSError, ValueError):  # a full disk; a descriptor closed since
            sys.stdout.reconfigure(errors="backslashreplace")


def replace_missing_streams() -> None:
    """Give a program of ours streams where Python has none: it writes to them as to any other."""
    hold_standard_streams()
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = open(fd, "r" if fd == 0 else "w", closefd=False)  # noqa: SIM115 - to its end
            setattr(sys, name, stream)
