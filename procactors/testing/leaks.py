"""The leak check: what a test may not leave behind, and how that is seen.

Layer: testing. Runs in: the process of the tests.
Owns: nothing.
Never: changes anything, but for `kill_strays`; takes another program's things for ours.

`look` notes what there is, `left_since` names what came and did not go, and `check` waits for
things to settle before it complains. There is one exception, made by not looking: the resource
tracker of multiprocessing. The standard library starts it with the first child, keeps it and a
pipe to it for the interpreter's whole life, and offers no way to end it; so `prepare` starts it
before the first look, and it is part of what there was.

A process that lost its parent is nobody's child any more. It is recognised by a mark in its
environment, which it inherited from the test run (`prepare`). Where there is no /proc (it is
Linux's), descriptors and such orphans are not seen.
"""

from __future__ import annotations

import gc
import os
import secrets
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path

import psutil

from procactors.testing.waiting import eventually

__all__ = [
    "MARK",
    "SETTLE_S",
    "SHARED_MEMORY",
    "Snapshot",
    "check",
    "kill_strays",
    "left_since",
    "look",
    "prepare",
]

#: Seconds in which a stopped system's last thread and process must be gone. Generous, since it is
#: waited out only when something is really left.
SETTLE_S = 10.0

SHARED_MEMORY = Path("/dev/shm")
RUNTIME_DIRS = "procactors-*"
#: Where Linux lists them.
_DESCRIPTORS = "/proc/self/fd"

#: Processes that this test run started, and all that came of them, carry this in their environment.
MARK = ("PROCACTORS_TEST_RUN", secrets.token_hex(8))


@dataclass(frozen=True)
class Snapshot:
    """What this process holds; each entry maps what identifies a thing to how a report calls it.

    Attributes:
        processes: children, theirs, and orphans of this test run, by pid and time of creation.
        threads: of this process.
        descriptors: by number and target.
        files: in shared memory, and runtime directories.
    """

    processes: dict[tuple[int, float], str]
    threads: dict[threading.Thread, str]
    descriptors: dict[tuple[int, str], str]
    files: dict[Path, str]


def prepare() -> None:
    """Mark this process, so that what comes of it is known, and start what stays. Idempotent."""
    os.environ.update([MARK])
    resource_tracker.ensure_running()


def look() -> Snapshot:
    """Note the processes, threads, descriptors and files that there are now."""
    return Snapshot(
        processes=dict(_processes()),
        threads={thread: f"thread {thread.name}" for thread in threading.enumerate()},
        descriptors=dict(_descriptors()),
        files=dict(_files()),
    )


def left_since(before: Snapshot, suspects: Snapshot | None = None) -> list[str]:
    """Name what is there now and was not `before`; with `suspects`, only what was there then too.

    Other programs come and go on the same machine, hence the suspects: waiting for the same few
    things to go away ends, waiting for a moment without anything new may not.
    """
    now = look()
    seen = suspects or now
    processes = now.processes.keys() & seen.processes.keys() - before.processes.keys()
    threads = now.threads.keys() & seen.threads.keys() - before.threads.keys()
    files = now.files.keys() & seen.files.keys() - before.files.keys()
    processes = {one for one in processes if not _is_tracker_of_earlier(one[0], before)}
    left = [now.processes[identity] for identity in sorted(processes)]
    left += sorted(now.threads[thread] for thread in threads)
    left += _new_descriptors(before, now)
    # Looked at again: of a stranger's file that goes meanwhile, nobody is found to use it.
    unused = files - _used_by_strangers(files, now)
    left += [now.files[path] for path in sorted(unused) if os.path.lexists(path)]
    return left


def check(before: Snapshot, settle: float = SETTLE_S) -> None:
    """Fail unless all that came since `before` goes away within `settle` seconds.

    Raises:
        AssertionError: it names each thing that is left.
    """
    if not left_since(before):
        return
    # What only a reference cycle keeps alive is no leak: a traceback that pytest holds is enough.
    gc.collect()
    suspects = look()
    left: list[str] = []

    def is_settled() -> bool:
        left[:] = left_since(before, suspects)
        return not left

    # One look without anything left is enough: in the next one, what belongs to another program
    # may be on its way out, and for that moment nobody's.
    with suppress(AssertionError):
        eventually(is_settled, "nothing to be left", within=settle)
    if left:
        raise AssertionError("left behind:\n  " + "\n  ".join(left))


def kill_strays(before: Snapshot) -> None:
    """Kill the processes that came since `before`, so that one leak does not spoil later tests."""
    for pid, created in look().processes.keys() - before.processes.keys():
        with suppress(psutil.Error):
            stray = psutil.Process(pid)
            if stray.create_time() == created:
                stray.kill()
                stray.wait(SETTLE_S)


def _processes() -> Iterator[tuple[tuple[int, float], str]]:
    ours = {child.pid: child for child in psutil.Process().children(recursive=True)}
    for pid in psutil.pids():
        if pid not in ours and pid != os.getpid() and _is_marked(pid):
            with suppress(psutil.Error):
                ours[pid] = psutil.Process(pid)
    for process in ours.values():
        with suppress(psutil.Error):
            # A process is its pid and its start: pids are used again.
            identity = (process.pid, process.create_time())
            yield identity, f"process {process.pid} ({process.status()}): {_command(process)}"


def _is_tracker_of_earlier(pid: int, before: Snapshot) -> bool:
    """Tell whether a process is the resource tracker of a zygote that there was `before`.

    A zygote starts it a second after itself: in the middle of a test, where tests share a system.
    """
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        is_tracker = "multiprocessing.resource_tracker" in " ".join(process.cmdline())
        return is_tracker and process.ppid() in {earlier for earlier, _ in before.processes}
    return False


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:200] or process.name()
    except psutil.Error:
        return "unknown"  # a zombie has no command line


def _is_marked(pid: int) -> bool:
    try:
        return "=".join(MARK).encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False  # gone, or another user's


def _descriptors() -> Iterator[tuple[tuple[int, str], str]]:
    if not os.path.isdir(_DESCRIPTORS):
        return
    for fd in map(int, os.listdir(_DESCRIPTORS)):
        with suppress(OSError):  # the listing's own descriptor is closed by now
            target = os.readlink(f"{_DESCRIPTORS}/{fd}")
            yield (fd, target), f"descriptor {fd}: {target}"


def _new_descriptors(before: Snapshot, now: Snapshot) -> list[str]:
    # By target and number of times, not by descriptor number: what was closed and opened anew
    # meanwhile may have another number.
    more = Counter(target for _, target in now.descriptors)
    more.subtract(Counter(target for _, target in before.descriptors))
    new = now.descriptors.keys() - before.descriptors.keys()
    return [now.descriptors[fd, target] for fd, target in sorted(new) if more[target] > 0]


def _files() -> Iterator[tuple[Path, str]]:
    for path in SHARED_MEMORY.iterdir() if SHARED_MEMORY.is_dir() else ():
        yield path, f"shared memory {path}"
    for path in Path(tempfile.gettempdir()).glob(RUNTIME_DIRS):
        yield path, f"runtime directory {path}"


def _used_by_strangers(paths: set[Path], now: Snapshot) -> set[Path]:
    """Return those that a process which is not of this test run has open, or a file in them.

    All at once: beside other test runs there are hundreds of processes to look at, and dozens of
    paths.
    """
    names = {str(path): path for path in paths}
    used: set[Path] = set()
    if not names:
        return used
    ours = {os.getpid()} | {pid for pid, _ in now.processes}
    for pid in psutil.pids():
        if pid in ours:
            continue
        with suppress(OSError):
            for link in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    target = os.readlink(f"/proc/{pid}/fd/{link}")
                    used |= {
                        path
                        for name, path in names.items()
                        if target == name or target.startswith(f"{name}/")
                    }
    return used
