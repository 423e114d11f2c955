"""What the supervisor sends to a watcher: another actor has ended, or was restarted.

Layer: runtime. Runs in: parent and actor.
Owns: nothing; every class here is a value.
Never: sent by users.
"""

from __future__ import annotations

from typing import Any

from procactors.crash import ExitReason
from procactors.late_dataclass import dataclass
from procactors.runtime.ref import ActorRef

__all__ = ["Restarted", "Terminated"]


@dataclass(frozen=True)
class Terminated:
    """A watched actor has ended for good.

    Attributes:
        ref: the actor; equal to the ref that was given to ``watch``.
        reason: how it ended; of kind UNKNOWN if it ended so long ago that nothing is remembered.
        incarnation: its last life, from 1; 0 if nothing is remembered.
    """

    ref: ActorRef[Any]
    reason: ExitReason
    incarnation: int


@dataclass(frozen=True)
class Restarted:
    """A watched actor is up again in another incarnation; sent to watchers that ask for it.

    Attributes:
        ref: the actor.
        reason: how the last life that was up ended; RECYCLED if it made way by `recycle_after`.
        incarnation: the life that is up now.
    """

    ref: ActorRef[Any]
    reason: ExitReason
    incarnation: int
