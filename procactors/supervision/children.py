"""Children of actors that have died: their parent is asked what is to follow.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: who waits for a parent's answer.
Never: waits: the answer comes as a command. A parent that ends before it answers stops its
children, those too that wait for its word.
"""

from __future__ import annotations

import dataclasses
import random
from time import monotonic
from typing import TYPE_CHECKING

from procactors.options import Restart
from procactors.supervision import commands as c
from procactors.supervision.cell import Cell, Life, ReplyTo
from procactors.supervision.crash import ExitReason
from procactors.supervision.policy import decide

if TYPE_CHECKING:
    from procactors.supervision.supervisor import Supervisor

__all__ = ["AskParent", "Children"]


@dataclasses.dataclass(frozen=True)
class AskParent:
    """What follows from a child's death: its parent says."""

    parent: Cell


class Children:
    """The supervisor's side that asks parents about their children."""

    def __init__(self, owner: Supervisor) -> None:
        self._owner = owner
        #: By child that waits: the start that ended, how, and for how long it had run.
        self._waiting: dict[int, tuple[int, ExitReason, float]] = {}

    def decider(self, cell: Cell) -> AskParent | None:
        """Return whom to ask about an actor that died; None if nobody wants to be asked."""
        parent = self._owner.cells.get(cell.parent)
        if parent is None or not parent.decides or parent.life is not Life.UP:
            return None
        return AskParent(parent)

    def ask(self, cell: Cell, asked: AskParent, reason: ExitReason, ran_s: float) -> None:
        """Ask the parent of a parked actor."""
        self._waiting[cell.actor] = cell.start, reason, ran_s
        restarts = sum(monotonic() - at <= cell.options.within for at in cell.history.restarts)
        self._owner.deathwatch.tell_parent(asked.parent, cell, reason, restarts)

    def decided(self, command: c.DecideOnChild, who: ReplyTo) -> None:
        """Carry out what the parent has decided; of a life that is past, nothing."""
        del who  # it was told, not asked
        cell = self._owner.cells.get(command.child)
        waiting = self._waiting.pop(command.child, None)
        if cell is None or waiting is None or cell.life is not Life.DOWN:
            return
        try:
            self._carry_out(command, cell, *waiting)
        except Exception as error:  # noqa: BLE001 - so wide: its mailbox waits for what follows
            self._owner.mishaps.collapse(cell, error)

    def _carry_out(
        self, command: c.DecideOnChild, cell: Cell, start: int, reason: ExitReason, ran_s: float
    ) -> None:
        if cell.start != start or cell.incarnation != command.incarnation:
            return
        if command.directive == "resume":
            self._owner.lives.respawn(cell, 0.0)
        elif command.directive in ("stop", "escalate"):
            self._owner.lives.end(cell, reason)
        else:
            self._by_policy(cell, reason, ran_s, command.directive == "restart")

    def ended(self, cell: Cell) -> None:
        """An actor is over: nothing is to be decided any more."""
        self._waiting.pop(cell.actor, None)

    def _by_policy(self, cell: Cell, reason: ExitReason, ran_s: float, must: bool) -> None:
        options = cell.options
        if must:
            options = dataclasses.replace(options, restart=Restart.PERMANENT)
        draw = random.random()  # noqa: S311 - jitter, not a secret
        follows = decide(options, reason, cell.history, monotonic(), ran_s, draw)
        self._owner.lives.go_on(cell, reason, follows)
