"""How many processors this process may really use.

Layer: process. Runs in: anywhere.
Owns: nothing.
Never: `os.cpu_count()`, where the platform tells more: it counts the machine, not our share of it.
"""

from __future__ import annotations

import contextlib
import math
import os

__all__ = ["usable_cpus"]


def usable_cpus() -> int:
    """Return the usable processors: the least of affinity and cgroup quota, at least 1.

    A quota of 1.5 processors counts as 2: rounded up, so that none of it is left unused.
    """
    if not hasattr(os, "sched_getaffinity"):  # elsewhere than on Linux
        return os.cpu_count() or 1
    count = len(os.sched_getaffinity(0))
    for quota in (_quota_v2(), _quota_v1()):
        if quota is not None:
            count = min(count, math.ceil(quota))
    return max(1, count)


def _quota_v2() -> float | None:
    """Return the least quota on the way from our cgroup to the root (cgroup v2 cpu.max)."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        with open("/proc/self/cgroup") as file:
            name = next(line.split(":", 2)[2].strip() for line in file if line.startswith("0::"))
        least = None
        while True:
            with contextlib.suppress(OSError):
                with open(f"/sys/fs/cgroup{name}/cpu.max") as file:
                    quota, period = file.read().split()
                if quota != "max":
                    share = int(quota) / int(period)
                    least = share if least is None else min(least, share)
            if name in ("/", ""):
                return least
            name = os.path.dirname(name)
    return None


def _quota_v1() -> float | None:
    with contextlib.suppress(OSError, ValueError):
        with open("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") as file:
            quota = int(file.read())
        with open("/sys/fs/cgroup/cpu/cpu.cfs_period_us") as file:
            period = int(file.read())
        if quota > 0 and period > 0:
            return quota / period
    return None
