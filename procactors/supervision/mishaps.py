"""Errors of the supervisor's own: what a caller gets as its answer, and steps that stand alone.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: nothing.
Never: raises: nothing behind it could catch that.

Whatever raises, be it a fault of this program or a value that was not thought of, one of these
follows, and none of them is only a line in the log:

    a command ──────────────► its caller gets the error (`Supervision.do`)
    a start ────────────────► a failed start, which counts (`lifecycle.start_broke`)
    the end of a process ───► an end of which the cause is not known (`lifecycle.gone`)
    what follows from it ───► the actor's end for good: all that wait for it are answered
                              (`core.abandon`)
    an order of the engine ─► its outcome is brought about another way (`trees.broke`)
    a timer ────────────────► it is tried again (`Supervision.run_timers`)
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable

from procactors.errors import ProcActorsError, SpawnError, SupervisionError

__all__ = ["as_answer", "quietly", "said"]

_log = logging.getLogger("procactors")


def quietly(*steps: Callable[[], object]) -> None:
    """Take steps that do not depend on each other: each, though one before it raises.

    One that raises is tried once more: so it must be such that it may be begun twice.
    """
    for step in steps:
        for _ in range(2):
            try:
                step()
                break
            except Exception:  # noqa: BLE001 - so wide: the other steps are others' answers
                _log.exception("the supervisor met an error of its own and goes on")


def as_answer(error: Exception, starts: bool) -> ProcActorsError:
    """Return what is raised in the caller for what was raised over its command.

    Args:
        error: what was raised.
        starts: whether the caller waits for a start.
    """
    if isinstance(error, ProcActorsError):
        return error
    if isinstance(error, OSError):
        room = ""
        if error.errno == errno.ENOSPC:
            room = "; what an actor is started by has its place in the runtime directory alone: "
            room += "make room there (/dev/shm, or runtime_dir=)"
        return SpawnError(f"the supervisor could not do that: {error}{room}")
    kind = SpawnError if starts else SupervisionError
    return kind(f"the supervisor could not do that: {said(error)}")


def said(error: Exception) -> str:
    """Return an error in one line, with its kind."""
    return f"{type(error).__name__}: {error}"
