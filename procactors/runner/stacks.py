"""The stacks of this process, as Python sees them: all threads, and the tasks of its event loop.

Layer: runner. Runs in: actor, main thread; parent, in the supervisor's thread.
Owns: nothing.
Never: reads a source file, or runs code of the user's.
"""

from __future__ import annotations

import marshal
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["collected"]

#: Most frames of one stack, the innermost, and most tasks.
_FRAMES, _TASKS = 200, 500
#: Version of marshal's format that every Python 3 reads: the visitor may run another one.
_FORMAT = 2

#: A line that a stack is at: file, line, function.
Place = tuple[str, int, str]


def collected(frame: FrameType | None = None) -> bytes:
    """Return all stacks, marshalled: ``{"threads": [...], "tasks": [...]}``.

    A thread is (name, ident, is it the main one, places), a task (name, places); innermost first.

    Args:
        frame: in which the calling thread was interrupted; None: where it is.
    """
    here = threading.get_ident()
    main = threading.main_thread().ident
    # Not by `threading.enumerate`: the interrupted code may hold its lock.
    named = {ident: thread.name for ident, thread in list(threading._active.items())}  # type: ignore[attr-defined]
    threads = []
    for ident, top in sys._current_frames().items():
        places = _places(frame if ident == here and frame is not None else top)
        threads.append((named.get(ident, "?"), ident, ident == main, places))
    threads.sort(key=lambda thread: (not thread[2], thread[1]))
    return marshal.dumps({"threads": threads, "tasks": _tasks()}, _FORMAT)


def _places(frame: FrameType | None) -> list[Place]:
    found: list[Place] = []
    while frame is not None and len(found) < _FRAMES:
        found.append(_place(frame))
        frame = frame.f_back
    return found


def _place(frame: FrameType) -> Place:
    code = frame.f_code
    name = getattr(code, "co_qualname", code.co_name)  # from Python 3.11 on
    return code.co_filename, frame.f_lineno or 0, name


def _tasks() -> list[tuple[str, list[Place]]]:
    """Return the tasks of this thread's event loop."""
    asyncio = sys.modules.get("asyncio")
    loop = asyncio._get_running_loop() if asyncio is not None else None
    if asyncio is None or loop is None:
        return []
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: str(task.get_name()))
    return [(str(task.get_name()), _awaits(task.get_coro())) for task in tasks[:_TASKS]]


def _awaits(coroutine: Any) -> list[Place]:
    """Return where a coroutine is, and each that it awaits; innermost first."""
    found: list[Place] = []
    while coroutine is not None and len(found) < _FRAMES:
        frame = _of(coroutine, "frame")
        if frame is not None:
            found.insert(0, _place(frame))
        coroutine = _of(coroutine, "await")
    return found


def _of(coroutine: Any, what: str) -> Any:
    """Return an attribute of a coroutine, a generator or an asynchronous generator."""
    names = {"frame": ("cr_frame", "gi_frame", "ag_frame")}
    others = ("cr_await", "gi_yieldfrom", "ag_await")
    for name in names.get(what, others):
        value = getattr(coroutine, name, None)
        if value is not None:
            return value
    return None
