"""A program: starts actors one after the other, each up to its first reply.

Between two starts everything comes to rest, so that what is done behind a start (a spare in the
place of the one that was used, the end of the actor before) belongs to one start and no other.
"""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from time import sleep
from typing import Any

from procactors import ActorSystem
from tools.guard.first import First
from tools.guard.syscalls import mark, name_of_mark
from tools.guard.work import settle

#: Starts that are counted: the least of them is what one costs.
RUNS = 4

#: Looks, and seconds between two of them, that find nothing changed: then all are at rest.
_LOOKS, _LOOK_S = 4, 0.005


def main(spares: str, path: str) -> None:
    """Count the starts of a system with so many spares, and write that to a file."""
    settle("starts")
    starts = []
    with ActorSystem(spares=int(spares), preload=[First.__module__]) as system:
        (zygote,) = _children(os.getpid())
        for number in range(-1, RUNS):  # the first one is for what is looked up once
            _come_to_rest(zygote, int(spares))
            start = _started(system, zygote, number, int(spares))
            if number >= 0:
                starts.append(start)
        threads = sorted(int(name) for name in os.listdir("/proc/self/task"))
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"starts": starts, "zygote": zygote, "parent": threads}, file)


def _started(system: ActorSystem, zygote: int, number: int, spares: int) -> dict[str, Any]:
    """Start an actor, and have it answer once; return its number and page faults on all sides."""
    before = _faults(), _faults_of(zygote)
    child_before = {pid: _faults_of(pid) for pid in _children(zygote)}  # a spare has had some
    mark("start", number, "begin")
    ref = system.spawn(First)
    pid, faults = ref.ask(First.first, name_of_mark("start", number, "child"))
    here = _faults() - before[0]
    mark("start", number, "answered")
    _come_to_rest(zygote, spares + 1)
    mark("start", number, "end")
    there = _faults_of(zygote) - before[1]
    ref.stop()
    return {
        "child": pid,
        "number": number,
        "faults": {
            "parent": here,
            "zygote": there,
            "child": faults - child_before.get(pid, 0),
        },
    }


def _come_to_rest(zygote: int, children: int) -> None:
    """Wait until all sleep, and the zygote has as many children as it is to have."""
    seen, looks = None, 0
    while looks < _LOOKS:
        sleep(_LOOK_S)
        found = list(_states(zygote))
        is_calm = all(state.startswith("S") for state in found) and len(_children(zygote)) == (
            children
        )
        looks = looks + 1 if is_calm and found == seen else 0
        seen = found


def _states(zygote: int) -> Iterator[str]:
    """Yield what is known of all threads but this one: state, and how often each has waited."""
    threads = [f"/proc/self/task/{name}" for name in os.listdir("/proc/self/task")]
    threads.remove(f"/proc/self/task/{os.getpid()}")
    for folder in [*threads, f"/proc/{zygote}", *(f"/proc/{pid}" for pid in _children(zygote))]:
        try:
            with open(f"{folder}/status", encoding="ascii", errors="replace") as file:
                split = [line.partition(":") for line in file]
        except (FileNotFoundError, ProcessLookupError):
            continue  # reaped just now
        facts = {name: value.strip() for name, _, value in split}
        yield f"{facts['State']} {facts['voluntary_ctxt_switches']} {folder}"


def _children(pid: int) -> list[int]:
    """Return the processes that a process has started, but for multiprocessing's tracker."""
    found = []
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        for child in file.read().split():
            with (
                suppress(FileNotFoundError, ProcessLookupError),  # reaped just now
                open(f"/proc/{child}/cmdline", "rb") as command,
            ):
                if b"resource_tracker" not in command.read():
                    found.append(int(child))
    return found


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _faults_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[7])
