"""Errors of the supervisor's own, over one actor: what becomes of it, and who is told.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: nothing; it works on the supervisor's cells.
Never: leaves anybody waiting; raises: behind it there is nobody.

Whatever raises, be it a fault of this program or a value that nobody has thought of, one of these
follows, and none of them is only a line in the log:

    a command ──────────────► its caller gets the error
    a start ────────────────► a failed start, which counts
    the end of a process ───► an end of which the cause is not known
    what follows from it ───► the actor's end for good: all who wait for it are told
    a timer ────────────────► it is tried again
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from procactors.errors import ProcActorsError, SpawnError, SupervisionError
from procactors.supervision.cell import Cell, Life
from procactors.supervision.crash import ExitKind, ExitReason

if TYPE_CHECKING:
    from procactors.supervision.supervisor import Supervisor

__all__ = ["Mishaps", "as_answer"]

_log = logging.getLogger("procactors")


class Mishaps:
    """The supervisor's side that deals with what its other sides have raised."""

    def __init__(self, owner: Supervisor) -> None:
        self._owner = owner

    def quietly(self, *steps: Callable[[], object]) -> None:
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

    def or_collapse(self, cell: Cell, step: Callable[[], object]) -> None:
        """Do what follows from the end of a life; if that raises, the actor ends for good."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - so wide: all who wait for this actor are told
            self.collapse(cell, error)

    def start_broke(self, cell: Cell, error: Exception) -> None:
        """End a life whose start was broken off by an error of ours; it counts as a failed one."""
        _log.error("%s could not be started", cell.name, exc_info=error)
        child = cell.child
        if child is not None and self._owner.watches(child.pidfd):
            # Its end is on its way, as an event like any other's.
            cell.verdict = ExitReason(ExitKind.START, None, _said(error))
            self.quietly(child.kill_group)
        else:
            self.let_go(cell)
            self._owner.lives.start_failed(cell, error)

    def let_go(self, cell: Cell) -> None:
        """End an actor's process, if it has one, whatever of it can still be told."""
        child = cell.child
        if child is None:
            return
        self.quietly(
            child.kill_group,
            lambda: self._owner.unwatch(child.pidfd),
            lambda: self._owner.watchdog.unwatch(cell),
        )
        if not child.is_reaped:  # after the SIGKILL it does not take long
            self.quietly(child.exit_code, child.let_go)
        self.quietly(child.release)

    def unknown_end(self, cell: Cell, error: Exception) -> ExitReason:
        """Return why a process ended over whose end an error was raised."""
        _log.error("the end of %s could not be looked into", cell.name, exc_info=error)
        self.let_go(cell)
        return ExitReason(ExitKind.UNKNOWN, None, _said(error))

    def collapse(self, cell: Cell, error: Exception) -> None:
        """End an actor for good over which nothing else is possible any more.

        An actor of a tree takes the tree with it, whose supervisors cannot go on either.
        """
        _log.error("the supervisor gives %s up", cell.name, exc_info=error)
        reason = ExitReason(ExitKind.UNKNOWN, None, _said(error))
        place = cell.place
        if place is not None:
            self.quietly(lambda: self._owner.branches.collapse(place, reason))
        if cell.life is not Life.OVER:
            self.let_go(cell)
            self.quietly(lambda: self._owner.lives.end(cell, reason))


def as_answer(error: Exception, starts: bool) -> ProcActorsError:
    """Return what is raised where somebody waits, for what was raised over his command.

    Args:
        error: what was raised.
        starts: whether he waits for a start.
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
    return kind(f"the supervisor could not do that: {_said(error)}")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
