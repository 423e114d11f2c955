"""Where a process stands among programs and actors, and what an import may start in it.

Layer: process. Runs in: parent, zygote and actor.
Owns: what this process is (`become`), and the modules that have made systems.
Never: looks at anything unless a system is made: no message pays for this.

A module that makes a system when it is imported does so in each process that imports it. The
program wants that; an actor that imports it only to find a class would start the same actors again,
and each of them again. So what is made there is inert (see `procactors.api.inert`):

    program                    zygote, spare              actor
    import svc                 preload svc                unpickling names svc.Model: import svc
      ActorSystem(): live        ActorSystem(): inert       ActorSystem(): inert
                                                          a handler: ActorSystem(): live, one level
                                                          deeper; a fourth level is refused
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import weakref
from collections.abc import Iterable
from types import FrameType

from procactors.errors import SpawnError

__all__ = [
    "ACTOR",
    "ZYGOTE",
    "become",
    "check_depth",
    "drop_half_imported",
    "importer",
    "makers",
    "note_inert",
    "note_maker",
    "note_threads",
    "noted_inert",
    "one_deeper",
]

#: What a process of the runtime's own is; the main program, and what it starts, are neither.
ZYGOTE, ACTOR = "zygote", "actor"

#: Environment variable with the number of systems that a process is inside of. In the environment,
#: so that whatever an actor starts has it too: forked, spawned, or a program of its own.
_DEPTH = "PROCACTORS_DEPTH"
#: Systems within each other. Two are met: a batch job whose function uses a parallel library, a
#: service that runs such a job. A bomb of pools has the number of CPUs to this power of processes.
_MOST = 3

#: Modules that may stand between the runtime's unpickling and the code of a module.
_MACHINERY = ("importlib", "_frozen_importlib", "cloudpickle", "pickle", "zipimport")

_OURS = __name__.partition(".")[0]

_role = ""
#: Files of modules whose own code has made a system, here or in a process above this one.
_makers: set[str] = set()
#: Names of modules whose systems were made inert here, in order.
_inert: list[str] = []
#: Threads that modules have started while an actor's class was looked for.
_threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def become(role: str, makers: Iterable[str] = ()) -> None:
    """Say what this process is, and which modules have made systems in those above it."""
    global _role  # noqa: PLW0603 - a process is one thing
    _role = role
    _makers.update(makers)


def makers() -> tuple[str, ...]:
    """Return the files of modules that have made systems at import, for `become` in actors."""
    return tuple(_makers)


def one_deeper() -> dict[str, str]:
    """Return what the environment of a process must have that is inside a system of this one."""
    return {_DEPTH: str(_depth() + 1)}


def check_depth(what: str) -> None:
    """Raise SpawnError if `what` would be inside of too many systems."""
    depth = _depth()
    if depth >= _MOST:
        raise SpawnError(
            f"{what} is refused: this process is inside {depth} actor systems already, one in "
            f"another's actor, and {_MOST} are the most; start it once, in the main program, and "
            f"send refs to the actors (a program that an actor starts and that is to count from "
            f"the beginning: run it without {_DEPTH} in its environment)"
        )


def importer() -> str | None:
    """Return the name of the module for whose import alone the caller's code runs; None: no such.

    Only in processes of the runtime's own. In the zygote all code is such. In an actor it is what
    unpickling has imported; and what a handler imports only if the same module has made a system
    in a process above: that one it would be making again.
    """
    if not _role:
        return None
    module, file, unpickling = _look(sys._getframe(1))
    if _role == ZYGOTE:
        return module or "a preloaded module"
    if module and (unpickling or file in _makers):
        return module
    main = threading.main_thread().ident
    if main is None or main == threading.get_ident():
        return None
    thread = threading.current_thread()
    if thread in _threads:
        return _module_of(thread)
    # Not noted yet: the module that has started it may still be being imported.
    frame = sys._current_frames().get(main)
    module, _, unpickling = _look(frame)
    return module if unpickling else None


def drop_half_imported() -> None:
    """Forget, in a forked copy, the modules that other threads were just importing.

    Those threads are not here to finish the import and let its lock go: unpickling a class of such
    a module would wait for both for ever. It is imported anew.
    """
    for name, module in list(sys.modules.items()):
        if getattr(getattr(module, "__spec__", None), "_initializing", False):
            del sys.modules[name]
    # A lock that is not there is made when it is wanted. The interpreter itself makes only the
    # one lock of all imports anew, not those of the modules.
    importlib._bootstrap._module_locks.clear()  # type: ignore[attr-defined]
    importlib._bootstrap._blocking_on.clear()  # type: ignore[attr-defined]


def note_maker() -> None:
    """Note the module whose own code, outside of any function, makes a system now."""
    _, file, _ = _look(sys._getframe(1))
    if file:
        _makers.add(file)


def note_threads() -> None:
    """Note the threads that run now: the main thread has done nothing yet but import."""
    _threads.update(set(threading.enumerate()) - {threading.main_thread()})


def note_inert(module: str) -> None:
    """Note that a module has made something that is inert here."""
    _inert.append(module)


def noted_inert() -> list[str]:
    """Return the modules that were noted so far."""
    return list(_inert)


def _look(frame: FrameType | None) -> tuple[str, str, bool]:
    """Return (name, file, whether unpickling asked for it) of the module that is being run.

    Going up from a frame, past the runtime's own that were called to make something: the first
    that is a module's own code, and the next one of the runtime's. If what this one has called is
    the import machinery, an unpickling has asked for the module; if anything else, a handler did.
    Name and file are empty if no module is being run.
    """
    module = file = below = ""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if not _is_ours(name):
            if frame.f_code.co_name == "<module>" and not module:
                module, file = name, frame.f_code.co_filename
            below = name
        elif below:
            break
        frame = frame.f_back
    if not module:
        return "", "", False
    is_file = not file.startswith("<")  # else of a console or `-c`: any other has the same name
    unpickling = frame is not None and below.partition(".")[0] in _MACHINERY
    return module, os.path.abspath(file) if is_file else "", unpickling


def _module_of(thread: threading.Thread) -> str:
    """Return the name of the module whose code a thread runs, as far as can be seen."""
    target = getattr(thread, "_target", None)
    return str(getattr(target, "__module__", None) or type(thread).__module__)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == _OURS and not module.startswith(f"{_OURS}.examples")


def _depth() -> int:
    try:
        return int(os.environ.get(_DEPTH, "0"))
    except ValueError:  # not a number: not our value
        return 0
