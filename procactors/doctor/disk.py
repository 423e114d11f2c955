"""Where systems keep what their processes share: room, what runs, and what dead ones left.

Layer: doctor. Runs in: the command's process.
Owns: nothing; `sweep` removes what belonged to the dead.
Never: touches the directory of a system that lives.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from procactors.doctor.finding import Finding, amount, fail, ok, warn
from procactors.outside.systems import find_systems
from procactors.wire.runtime_dir import left_behind, overflow_of, sweep, temporary_roots

__all__ = ["leftovers", "running", "shared_memory", "sweep_leftovers", "temporary"]

#: Bytes below which nothing is put there, and what large messages and shares soon fill.
_TOO_LITTLE, _LITTLE = 16 * 1024 * 1024, 128 * 1024 * 1024

#: Most characters of a command line.
_WIDEST = 60


def shared_memory(path: str = "/dev/shm") -> Finding:
    """Judge the room for mailboxes, large payloads and shares."""
    try:
        seen = os.statvfs(path)
    except OSError as error:
        advice = "mount it (tmpfs): files of the systems go to the temporary directory meanwhile"
        return warn("shared memory", f"{path} is not there: {error.strerror}", advice)
    size, free = seen.f_blocks * seen.f_frsize, seen.f_bavail * seen.f_frsize
    says = f"{amount(free)} free of {amount(size)} in {path}"
    facts = {"path": path, "size": size, "free": free}
    more = "docker run --shm-size=1g, or an emptyDir with medium: Memory under Kubernetes"
    if not os.access(path, os.W_OK | os.X_OK):
        advice = "let this user write there: files of the systems go to the temporary directory"
        return warn("shared memory", f"{path} cannot be written", advice, **facts)
    if free < _TOO_LITTLE:
        advice = f"all goes to the temporary directory, which may be slow: {more}"
        return warn("shared memory", says, advice, **facts)
    if free < _LITTLE:
        advice = f"large messages and shares will go to the temporary directory: {more}"
        return warn("shared memory", says, advice, **facts)
    return ok("shared memory", says, **facts)


def temporary(shared: str = "/dev/shm") -> Finding:
    """Judge where goes what has no room in shared memory."""
    roots = temporary_roots()
    if not roots:
        says = "no temporary directory can be written"
        if os.access(shared, os.W_OK | os.X_OK):
            advice = "set TMPDIR: what has no room in shared memory is an error"
            return warn("temporary files", says, advice)
        return fail("temporary files", says, "set TMPDIR, or mount /dev/shm: no system can start")
    seen = os.statvfs(roots[0])
    free = seen.f_bavail * seen.f_frsize
    says = f"{amount(free)} free in {roots[0]}"
    if free < _TOO_LITTLE:
        advice = "make room, or set TMPDIR: what has no room in shared memory goes there"
        return warn("temporary files", says, advice, path=roots[0], free=free)
    return ok("temporary files", says, path=roots[0], free=free)


def running() -> Finding:
    """Name the systems of this user that run now."""
    found = find_systems()
    facts = {"systems": [{"name": one.name, "pid": one.pid, "path": one.path} for one in found]}
    shown = [f"{one.name}, pid {one.pid}: {_first_words(one.argv)}" for one in found]
    count = "1 runs" if len(found) == 1 else f"{len(found)} run"
    return ok("systems", "\n".join([count if found else "none runs", *shown]), **facts)


def leftovers() -> Finding:
    """Say what dead systems have left, and how large it is."""
    found = {path: _size(path) for path in _left()}
    facts = {"directories": [{"path": path, "bytes": size} for path, size in found.items()]}
    if not found:
        return ok("leftovers", "nothing of dead systems", **facts)
    says = f"{_directories(len(found))} of dead systems, {amount(sum(found.values()))}"
    advice = "procactors doctor --sweep removes them, and so does the next start of any system"
    return warn("leftovers", "\n".join([says, *found]), advice, **facts)


def sweep_leftovers() -> Finding:
    """Remove what dead systems have left, and say what it was."""
    sizes = {path: _size(path) for path in _left()}
    removed = sweep()
    freed = sum(sizes.get(path, 0) for path in removed)
    facts = {"removed": [{"path": path, "bytes": sizes.get(path, 0)} for path in removed]}
    if not removed:
        return ok("leftovers", "nothing of dead systems", **facts)
    says = f"removed {_directories(len(removed))} of dead systems, {amount(freed)}"
    return ok("leftovers", "\n".join([says, *removed]), **facts)


def _first_words(argv: Sequence[str]) -> str:
    """Return the beginning of a command line, which may hold a whole program."""
    words = " ".join(" ".join(argv).split())
    return words if len(words) <= _WIDEST else f"{words[: _WIDEST - 3]}..."


def _left() -> list[str]:
    """Return the runtime directories of dead systems; an overflow directory is part of its own."""
    paths = list(left_behind())
    more = {os.path.realpath(overflow_of(path)) for path in paths}
    return [path for path in paths if os.path.realpath(path) not in more]


def _directories(count: int) -> str:
    return "1 directory" if count == 1 else f"{count} directories"


def _size(path: str) -> int:
    """Return the bytes that a runtime directory takes, its overflow included."""
    total = 0
    for top in (path, overflow_of(path)):
        for folder, _, names in os.walk(top):
            for name in names:
                try:
                    # What is reserved, not how long it says it is.
                    total += os.lstat(os.path.join(folder, name)).st_blocks * 512
                except OSError:  # removed meanwhile
                    continue
    return total
