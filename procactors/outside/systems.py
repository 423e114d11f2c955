"""The running systems of this user, as their runtime directories show them.

Layer: outside. Runs in: processes outside of the systems.
Owns: nothing: each look closes what it has opened.
Never: believes a directory that another user could have made or changed, or whose owner is dead.

A runtime directory is looked for where systems make them by default, and where a process of this
user holds a lock on the file `owner` of one (`/proc/locks`): so those with `runtime_dir=`, or under
another TMPDIR, are found too.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from procactors.late_dataclass import dataclass
from procactors.wire.runtime_dir import FACTS, PREFIX, check_private, is_locked, temporary_roots

__all__ = [
    "Elsewhere",
    "NoSystem",
    "Problem",
    "SystemView",
    "check_near",
    "choose",
    "find_systems",
    "is_running",
    "view_of",
]

_NAME = re.compile(rf"{PREFIX}(\d+)-[0-9a-f]+")


class Problem(Exception):
    """What keeps a process from a system that is not its own.

    Attributes:
        code: the exit code of a command that meets it.
    """

    code = 1


class NoSystem(Problem):
    """No system is meant by what the user said, or more than one; or it has ended."""

    code = 4


class Elsewhere(Problem):
    """The system's processes cannot be reached from here: its process ids are others' here."""


@dataclass(frozen=True)
class SystemView:
    """One running system.

    Attributes:
        path: its runtime directory.
        name: the name that its program gave it, or the directory's.
        pid: process id of the parent.
        python: version of its Python, as in ``3.11.7``; empty if the system does not say.
        version: version of its procactors; empty if it does not say, being older than this file.
        argv: the command line of the parent.
        cwd: its working directory when the system was made.
        started: when that was, in seconds since the epoch.
        executable: its Python.
        namespace: of its process ids (inode of ``/proc/self/ns/pid``); 0: unknown.
    """

    path: str
    name: str
    pid: int
    python: str
    version: str
    argv: tuple[str, ...]
    cwd: str
    started: float
    executable: str = ""
    namespace: int = 0

    @property
    def is_elsewhere(self) -> bool:
        """Whether its process ids are another container's: here they name others, or none."""
        return self.namespace not in (0, os.stat("/proc/self/ns/pid").st_ino)


def find_systems() -> list[SystemView]:
    """Return the running systems of this user, the oldest first."""
    paths = dict.fromkeys([*_in_usual_places(), *_by_locks()])
    found = [view for path in paths if (view := view_of(path)) is not None]
    return sorted(found, key=lambda view: (view.started, view.pid))


def choose(systems: list[SystemView], wanted: str | None) -> SystemView:
    """Return the system that a user means.

    Args:
        systems: those that there are (`find_systems`).
        wanted: a name, a process id or a runtime directory; None: the only one.

    Raises:
        NoSystem: none runs, none is meant, or more than one; the text says which there are.
    """
    if wanted is not None and os.path.isabs(wanted):
        found = [view for view in [view_of(os.path.normpath(wanted))] if view is not None]
    elif wanted is not None:
        by_name = [view for view in systems if view.name == wanted]
        found = by_name or [view for view in systems if str(view.pid) == wanted]
    else:
        found = systems
    if len(found) == 1:
        return found[0]
    if not systems and not found:
        raise NoSystem("no system of this user runs")
    if not found:
        raise NoSystem(f"no system {wanted!r} runs; there are {_listed(systems)}")
    hint = "by --system" if wanted is None else "by its process id"
    raise NoSystem(f"{len(found)} systems run; name one {hint}: {_listed(found)}")


def view_of(path: str) -> SystemView | None:
    """Return the system of a runtime directory; None: it is not ours, or runs no more."""
    if not _NAME.fullmatch(os.path.basename(path)) or not is_running(path):
        return None
    facts = _facts(path)
    name = os.path.basename(path)
    return SystemView(
        path=path,
        name=_as(str, facts.get("name"), name),
        pid=_as(int, facts.get("pid"), int(name.split("-")[1])),
        python=_as(str, facts.get("python"), ""),
        version=_as(str, facts.get("procactors"), ""),
        argv=tuple(map(str, _as(list, facts.get("argv"), []))),
        cwd=_as(str, facts.get("cwd"), ""),
        started=_as(float, facts.get("started"), 0.0),
        executable=_as(str, facts.get("executable"), ""),
        namespace=_as(int, facts.get("namespace"), 0),
    )


def check_near(view: SystemView) -> None:
    """Raise `Elsewhere` if a system's processes cannot be looked at, or signalled, from here."""
    if view.is_elsewhere:
        raise Elsewhere(
            f"the processes of {view.name} are in another PID namespace (a container), where "
            f"their numbers mean others than here: run this command there"
        )


def is_running(path: str) -> bool:
    """Return whether a runtime directory is this user's alone and its owner lives."""
    try:
        check_private(path)
        return is_locked(os.path.join(path, "owner"))
    except OSError:
        return False


def _in_usual_places() -> Iterator[str]:
    for root in dict.fromkeys(["/dev/shm", *temporary_roots()]):
        with contextlib.suppress(OSError):
            for name in os.listdir(root):
                if _NAME.fullmatch(name):
                    yield os.path.join(root, name)


def _by_locks() -> Iterator[str]:
    """Yield the runtime directories whose owners' locks the kernel shows."""
    for pid in _lockers():
        folder = f"/proc/{pid}/fd"
        with contextlib.suppress(OSError):  # not ours, or gone meanwhile
            if os.stat(folder).st_uid != os.geteuid():
                continue
            for fd in os.listdir(folder):
                with contextlib.suppress(OSError):
                    path, _, name = os.readlink(f"{folder}/{fd}").rpartition("/")
                    if name == "owner" and _NAME.fullmatch(os.path.basename(path)):
                        yield path


def _lockers() -> Iterable[int]:
    """Return the processes that hold a lock of a file exclusively."""
    found = set()
    with contextlib.suppress(OSError), open("/proc/locks", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[1:2] == ["FLOCK"] and words[3:4] == ["WRITE"] and words[4].isdecimal():
                found.add(int(words[4]))
    return found


def _facts(path: str) -> dict[str, Any]:
    """Return what a system says of itself; nothing if it is just beginning, or an older one."""
    try:
        with open(os.path.join(path, FACTS), encoding="ascii") as file:
            facts = ast.literal_eval(file.read())
    except (OSError, ValueError, SyntaxError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _as(kind: type, value: Any, otherwise: Any) -> Any:
    return value if isinstance(value, kind) else otherwise


def _listed(systems: list[SystemView]) -> str:
    return ", ".join(f"{view.name} (pid {view.pid})" for view in systems)
