"""What an event is, and the one that handlers report: how far they are.

Layer: model. Runs in: parent and actor.
Owns: nothing.
Never: passes an event on; that is the hub's work (`observe.events`). What happens in the lives of
actors is in `model.life_events`, which only a program that listens loads.
"""

from __future__ import annotations

import dataclasses
from time import monotonic

from procactors.late_dataclass import dataclass

__all__ = ["Event", "Progress"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened in a system.

    Attributes:
        actor: name of the actor, pool or supervisor in which it did.
        time: when, in seconds of the monotonic clock, which all processes of a machine share.
    """

    actor: str
    time: float = dataclasses.field(default_factory=monotonic)


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """How far an actor or a map is, in steps of its own.

    Attributes:
        done: steps that are done.
        total: steps that there are; None if that is not known.
        what: the handler that reports it, or another label; empty if there is none.
    """

    done: int
    total: int | None = None
    what: str = ""

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total}"
        return f"{self.actor}: {self.what}{': ' if self.what else ''}{self.done}{of}"
