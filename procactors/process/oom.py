"""Whether the kernel's out-of-memory killer was at work, by the counter of our own cgroup.

Layer: process. Runs in: parent.
Owns: nothing; the counter's file is opened for each look.
Never: says that it was without the counter: where none can be read, `was_short` may say that it
could have been.
"""

from __future__ import annotations

import contextlib
import os

__all__ = ["OomKills", "credit", "lacked", "was_short"]

#: Seconds for which a kill that was counted, and claimed by no death, may still be a later death's:
#: two that are killed together are seen one after the other.
_FRESH_S = 1.0
#: Memory is nearly used up when less than one part in so many is left.
_SHORT = 20


def credit(seen: int, left: int, left_at: float, now_seen: int, now: float) -> int:
    """Return how many of the kills counted so far no death has claimed, at the instant `now`.

    Pure. What was `left` at the last look is dropped when that is long ago: it was a process of
    the same cgroup that is no actor. The counter was at `seen` then, and is at `now_seen`.
    """
    fresh = left if now - left_at <= _FRESH_S else 0
    return fresh + max(0, now_seen - seen)


def lacked(peak: int, free: int, total: int) -> bool:
    """Whether memory was nearly used up when a process died that had held `peak` bytes.

    Pure. `free` is what was available right behind its death, of `total` bytes; so about
    ``free - peak`` were available while it lived.
    """
    return peak > 0 and free - peak < total // _SHORT


def was_short(peak: int) -> bool:
    """Whether a process that has just died with `peak` bytes resident may have lacked memory."""
    facts: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError), open("/proc/meminfo") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                facts[name] = int(rest.split()[0]) * 1024
    if len(facts) == 2 and lacked(peak, facts["MemAvailable"], facts["MemTotal"]):
        return True
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    return limit is not None and used is not None and lacked(peak, limit - used, limit)


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
        """Whether a SIGKILL of unknown origin, seen at the instant `now`, was the killer's.

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
                groups = [f"/sys/fs/cgroup{name}", "/sys/fs/cgroup"]
                paths = [os.path.join(group, "memory.events") for group in groups]
            elif "memory" in controllers.split(","):
                groups = [f"/sys/fs/cgroup/memory{name}", "/sys/fs/cgroup/memory"]
                paths = [os.path.join(group, "memory.oom_control") for group in groups]
            else:
                continue
            # The second is ours in a container, whose own cgroup is mounted as the root.
            for path in paths:
                if os.access(path, os.R_OK):
                    return path
    return None


def _cgroup(name: str) -> int | None:
    """Return a number of our cgroup's (version 2); None if it has none."""
    counter = _counter()
    with contextlib.suppress(OSError, ValueError):
        if counter is not None and counter.endswith("memory.events"):
            with open(os.path.join(os.path.dirname(counter), name)) as file:
                return int(file.read())  # "max": no limit
    return None
