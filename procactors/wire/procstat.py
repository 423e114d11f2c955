"""What the kernel says of a process in /proc/PID/stat.

Layer: wire. Runs in: parent and actor.
Owns: nothing.
Never: raises for a process that is gone.
"""

from __future__ import annotations

__all__ = ["STATE", "STATUS", "stat_of"]

#: Indices in `stat_of`: the state's letter, and of a zombie its wait status: fields 3 and 52 of
#: proc(5), counted from the third.
STATE, STATUS = 0, 49


def stat_of(pid: int) -> list[bytes]:
    """Return the fields behind the command's name; none if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name may have any character in it, brackets and spaces too.
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []
