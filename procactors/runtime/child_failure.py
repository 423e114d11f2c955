"""What the supervisor tells an actor of a child that died, and what the actor may answer.

Layer: runtime. Runs in: actor.
Owns: nothing; every class here is a value.
Never: sent by users: the supervisor asks.
"""

from __future__ import annotations

import enum
from typing import Any

from procactors.crash import ExitReason
from procactors.errors import InvalidSpec
from procactors.late_dataclass import dataclass
from procactors.runtime.ref import ActorRef

__all__ = ["ChildFailure", "Directive"]


class Directive(enum.Enum):
    """What `Actor.on_child_failure` answers (the words are Akka's).

    RESUME: the child goes on with its mailbox in a new process; nothing is counted, nothing is
    waited for. RESTART: the same, but counted in its window, with its backoff; one restart too
    many and it stays down. STOP: it stays down. ESCALATE: it stays down, and this actor crashes
    in turn: its own parent or policy decides on it.
    """

    RESUME = "resume"
    RESTART = "restart"
    STOP = "stop"
    ESCALATE = "escalate"

    @staticmethod
    def of(answer: Any) -> Directive | None:
        """Return the directive that a hook's answer means; None: the child's own policy.

        Raises:
            InvalidSpec: it means none.
        """
        if answer is None or isinstance(answer, Directive):
            return answer
        words = [directive.value for directive in Directive]
        if answer not in words:
            raise InvalidSpec(
                f"on_child_failure returns a Directive, one of {words}, or None, not {answer!r}"
            )
        return Directive(answer)


@dataclass(frozen=True)
class ChildFailure:
    """A child's process has died; its mailbox is kept until its parent has decided.

    Attributes:
        ref: the child.
        reason: how it ended.
        incarnation: the life that ended.
        restarts: its restarts inside its window so far, this one not counted.
    """

    ref: ActorRef[Any]
    reason: ExitReason
    incarnation: int
    restarts: int
