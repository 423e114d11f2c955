"""Whether the kernel's out-of-memory killer was at work, by the counter of our own cgroup.

Layer: process. Runs in: parent.
Owns: nothing; the counter's file is opened for each look.
Never: says yes without the counter: where none can be read, nobody knows.
"""

from __future__ import annotations

import contextlib
import os

__all__ = ["OomKills", "credit"]

#: Seconds for which a kill that was counted, and claimed by nobody, may still be a later death's:
#: two that are killed together are seen one after the other.
_FRESH_S = 1.0


def credit(seen: int, left: int, left_at: float, now_seen: int, now: float) -> int:
    """Return how many of the kills counted so far no death has claimed, at the instant `now`.

    Pure. What was `left` at the last look is dropped when that is long ago: it was a process of
    the same cgroup that is no actor. The counter was at `seen` then, and is at `now_seen`.
    """
    fresh = left if now - left_at <= _FRESH_S else 0
    return fresh + max(0, now_seen - seen)


class OomKills:
    """The counter, from now on.

    Args:
        path: the file; None finds that of this process's cgroup.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = path or _counter()
        self._seen = self._read()
        self._left, self._left_at = 0, 0.0

    def claims(self, now: float) -> bool:
        """Whether a SIGKILL of unknown origin, seen at the instant `now`, was that killer's.

        The kernel counts before it kills, so the kill that was seen has been counted.
        """
        seen = self._read()
        self._left = credit(self._seen, self._left, self._left_at, seen, now)
        self._seen, self._left_at = seen, now
        if self._left == 0:
            return False
        self._left -= 1
        return True

    def _read(self) -> int:
        if self._path is not None:
            with contextlib.suppress(OSError, ValueError), open(self._path) as file:
                for line in file:
                    name, _, count = line.partition(" ")
                    if name == "oom_kill":
                        return int(count)
        return 0


def _counter() -> str | None:
    """Return the file that counts the kills in our cgroup; None if there is none to be read."""
    with contextlib.suppress(OSError), open("/proc/self/cgroup") as file:
        for line in file:
            _, controllers, name = line.rstrip("\n").split(":", 2)
            if not controllers:
                places = [f"/sys/fs/cgroup{name}", "/sys/fs/cgroup"]
                paths = [os.path.join(place, "memory.events") for place in places]
            elif "memory" in controllers.split(","):
                places = [f"/sys/fs/cgroup/memory{name}", "/sys/fs/cgroup/memory"]
                paths = [os.path.join(place, "memory.oom_control") for place in places]
            else:
                continue
            # The second is ours in a container, whose own cgroup is mounted as the root.
            for path in paths:
                if os.access(path, os.R_OK):
                    return path
    return None
