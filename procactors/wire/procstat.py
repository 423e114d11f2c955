"""What the kernel says of a process in /proc/PID.

Layer: wire. Runs in: parent and actor.
Owns: nothing.
Never: keeps a descriptor: it would be the parent's in what an actor forks.
"""

from __future__ import annotations

import os

__all__ = ["STATE", "STATUS", "resident_of", "stat_line", "stat_of"]

#: Indices in `stat_of`: the state's letter, and of a zombie its wait status: fields 3 and 52 of
#: proc(5), counted from the third.
STATE, STATUS = 0, 49

_PAGE = os.sysconf("SC_PAGESIZE")


def stat_of(pid: int) -> list[bytes]:
    """Return the fields behind the command's name; none if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name may have any character in it, brackets and spaces too.
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def stat_line(pid: int) -> bytes:
    """Return the whole line, as the kernel writes it; empty if there is no such process.

    For those who look often: what has not changed need not be taken apart.
    """
    try:
        # Not by `open`, which takes as long as the kernel.
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 1024)
    except ProcessLookupError:  # it has just ended
        return b""
    finally:
        os.close(fd)


def resident_of(pid: int | str) -> int:
    """Return the resident bytes of a process; ``"self"`` is this one.

    Raises:
        OSError: there is no such process, or no descriptor is left.
    """
    # Not by `open`: a worker may look behind each message.
    fd = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(fd, 128).split()[1]) * _PAGE
    finally:
        os.close(fd)
