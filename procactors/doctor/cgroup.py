"""What the control group grants: memory, processors, processes. In a container, that is all.

Layer: doctor. Runs in: the command's process.
Owns: nothing.
Never: takes a limit of the machine for ours: the least on the way to the root counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from procactors.doctor.finding import Finding, amount, ok, read_number, read_text, warn
from procactors.process.cpus import usable_cpus

__all__ = ["look"]

#: Bytes, and processes, that a start of some actors takes: with less left, it is told.
_LITTLE, _FEW = 256 * 1000 * 1000, 64
#: A number that version 1 writes for "no limit", or one above: more than any machine has.
_NO_LIMIT = 1 << 60


def look(root: str = "/") -> list[Finding]:
    """Return what was found.

    Args:
        root: where the kernel's files are looked for.
    """
    return [memory(root), processors(root), tasks(root)]


def memory(root: str) -> Finding:
    """Judge what is left of the memory that we may use."""
    limit, used, version = _least(root, "memory", _MEMORY)
    total = _machine_memory(root)
    if limit is None:
        says = f"no limit; the machine has {amount(total)}"
        return ok("memory", says, limit=None, machine=total)
    says = f"{amount(limit - used)} left of {amount(limit)} (cgroup {version})"
    facts = {"limit": limit, "used": used, "machine": total, "cgroup": version}
    if limit - used < _LITTLE:
        advice = (
            "the kernel kills what goes beyond: raise the limit (memory of a container, MemoryMax= "
            "of systemd), or give actors Limits(memory=...) so that one ends in time"
        )
        return warn("memory", says, advice, **facts)
    return ok("memory", says, **facts)


def processors(root: str) -> Finding:
    """Say on how many processors actors can run at once, and why not on all."""
    usable, machine = usable_cpus(), os.cpu_count() or 1
    affinity = len(os.sched_getaffinity(0))
    says = f"{usable} usable of {machine}"
    if usable < affinity:
        says += f": the control group's quota grants no more than {usable}"
    elif usable < machine:
        says += f": this process is bound to {affinity}"
    return ok("processors", says, usable=usable, affinity=affinity, machine=machine)


def tasks(root: str) -> Finding:
    """Judge how many processes and threads the control group may still get."""
    limit, used, version = _least(root, "pids", _TASKS)
    if limit is None:
        return ok("pids.max", "no limit", limit=None)
    says = f"{used} of {limit} processes and threads (cgroup {version})"
    if limit - used < _FEW:
        advice = "raise it: --pids-limit of docker, TasksMax= of systemd; each actor is one or two"
        return warn("pids.max", says, advice, limit=limit, used=used)
    return ok("pids.max", says, limit=limit, used=used)


#: Names of (limit, usage) under version 2 and version 1.
_MEMORY = {
    2: ("memory.max", "memory.current"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes"),
}
_TASKS = {2: ("pids.max", "pids.current"), 1: ("pids.max", "pids.current")}


def _least(
    root: str, controller: str, names: dict[int, tuple[str, str]]
) -> tuple[int | None, int, int]:
    """Return (limit, usage, version) of that group on the way to the root that has least left."""
    found: tuple[int | None, int, int] = (None, 0, 0)
    for version, folder in _groups(root, controller):
        limit = read_number(os.path.join(folder, names[version][0]))
        used = read_number(os.path.join(folder, names[version][1]))
        if limit is None or used is None or limit >= _NO_LIMIT:
            continue
        if found[0] is None or limit - used < found[0] - found[1]:
            found = limit, used, version
    return found


def _groups(root: str, controller: str) -> Iterator[tuple[int, str]]:
    """Yield (version, folder) for our control group and those above it."""
    for line in (read_text(os.path.join(root, "proc/self/cgroup")) or "").splitlines():
        _, controllers, name = line.split(":", 2)
        if not controllers:
            version, top = 2, os.path.join(root, "sys/fs/cgroup")
        elif controller in controllers.split(","):
            version, top = 1, os.path.join(root, "sys/fs/cgroup", controller)
        else:
            continue
        while True:
            yield version, os.path.join(top, name.lstrip("/"))
            if name in ("/", ""):
                break
            name = os.path.dirname(name)


def _machine_memory(root: str) -> int:
    for line in (read_text(os.path.join(root, "proc/meminfo")) or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0
