"""The report of a system's stop: how each actor ended, and which messages were not handled.

Layer: supervision. Runs in: parent; counted by the supervisor's thread and by the main program's.
Owns: the counts, from the stop's first moment to its last.
Never: decides anything; looks into a message.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import signal
import threading
from collections.abc import Mapping
from time import monotonic

from procactors.crash import ExitKind, ExitReason
from procactors.late_dataclass import dataclass

__all__ = ["StopOutcome", "StopReport", "StoppedActor", "Tally"]


class StopOutcome(enum.Enum):
    """In which of the stop's phases an actor ended."""

    FINISHED = "finished its mailbox"  #: in order: the mailbox, its children, ``on_stop``
    LEFT = "left by itself"  #: it called ``context.stop()`` meanwhile
    TERMINATED = "terminated"  #: SIGTERM, shortly before the deadline
    KILLED = "killed"  #: SIGKILL, at the deadline or by an order
    CRASHED = "crashed"  #: it died of its own, and there was no time or no policy to respawn it


@dataclass(frozen=True)
class StoppedActor:
    """One actor's end in a system's stop.

    Attributes:
        name: the actor's name.
        reason: how its last incarnation ended.
        how: in which phase of the stop.
        handler: in which handler it was terminated, killed, or crashed; None if in none.
        suspended: its process was stopped (SIGSTOP, a debugger) when it was terminated or killed.
    """

    name: str
    reason: ExitReason
    how: StopOutcome
    handler: str | None = None
    suspended: bool = False

    @property
    def where(self) -> str:
        """Its name, in which handler it was, and whether its process was stopped."""
        text = f"{self.name} in {self.handler}" if self.handler else self.name
        return f"{text}, stopped by SIGSTOP or a debugger" if self.suspended else text

    def __str__(self) -> str:
        text = f"{self.name}: {self.how.value}"
        text += f" in {self.handler}" if self.handler else ""
        text += ", its process being stopped by SIGSTOP or a debugger" if self.suspended else ""
        return f"{text} ({self.reason})"


@dataclass(frozen=True)
class StopReport:
    """What came of a system's stop; true if it was clean.

    The three counts are by the name of the actor (or inbox) that should have handled the
    message, and cover the time from the first moment of the stop to its last.

    Attributes:
        seconds: how long the stop took.
        actors: the actors that it stopped, in the order in which they ended.
        unhandled: messages without a caller that became dead letters.
        refused: calls answered with `ActorStopped`: not handled.
        broken: calls answered with `ActorDied`: the actor ended with them in hand.
    """

    seconds: float
    actors: tuple[StoppedActor, ...] = ()
    unhandled: Mapping[str, int] = dataclasses.field(default_factory=dict, hash=False)
    refused: Mapping[str, int] = dataclasses.field(default_factory=dict, hash=False)
    broken: Mapping[str, int] = dataclasses.field(default_factory=dict, hash=False)

    @property
    def left(self) -> int:
        """How many messages and calls were not handled to their end."""
        counts = (self.unhandled, self.refused, self.broken)
        return sum(sum(count.values()) for count in counts)

    @property
    def clean(self) -> bool:
        """Whether every message was handled and every actor ended of its own accord."""
        return not self.left and all(actor.how in _ORDERLY for actor in self.actors)

    @property
    def headline(self) -> str:
        """The report in one line."""
        count = len(self.actors)
        text = f"stopped {count} actor{'' if count == 1 else 's'} in {self.seconds:.2f} s"
        bad = []
        for how in StopOutcome:
            ended = [actor.where for actor in self.actors if actor.how is how]
            if ended and how not in _ORDERLY:
                more = "; and others" if len(ended) > _ENDS_NAMED else ""
                bad.append(f"{len(ended)} {how.value} ({'; '.join(ended[:_ENDS_NAMED])}{more})")
        lost = [
            f"{_counted(sum(counts.values()), noun)} {what} ({_by_actor(counts)})"
            for counts, noun, what in (
                (self.unhandled, "message", "not handled"),
                (self.refused, "call", "answered with ActorStopped"),
                (self.broken, "call", "cut off with ActorDied"),
            )
            if counts
        ]
        return f"{text}: {', '.join(bad + lost) or 'everything was handled'}"

    def __bool__(self) -> bool:
        return self.clean

    def __str__(self) -> str:
        bad = [f"  {actor}" for actor in self.actors if actor.how not in _ORDERLY]
        return "\n".join([self.headline, *bad])


_ORDERLY = {StopOutcome.FINISHED, StopOutcome.LEFT}

#: Actors that a headline names; a log's line has an end.
_NAMED = 8
#: Actors that did not end in order, of which a headline names each with its handler.
_ENDS_NAMED = 4


class Tally:
    """Counts for a report from `begin` on; thread-safe, and deaf before it."""

    def __init__(self) -> None:
        # Guards the counts: the supervisor's thread and the main program's feeders both count.
        self._lock = threading.Lock()
        self._began: float | None = None
        self._actors: list[StoppedActor] = []
        self._unhandled = collections.Counter[str]()
        self._refused = collections.Counter[str]()
        self._broken = collections.Counter[str]()

    def begin(self) -> None:
        """Count from now on; only the first call has an effect."""
        with self._lock:
            if self._began is None:
                self._began = monotonic()

    def ended(
        self,
        name: str,
        reason: ExitReason,
        handler: str | None = None,
        suspended: bool = False,
    ) -> None:
        """An actor is over; see `StoppedActor`."""
        with self._lock:
            if self._began is not None:
                end = StoppedActor(name, reason, _outcome(reason), handler, suspended)
                self._actors.append(end)

    def unhandled(self, name: str) -> None:
        """A message for the actor `name` became a dead letter."""
        self._count(self._unhandled, name)

    def refused(self, name: str) -> None:
        """A call of the actor `name` was answered with `ActorStopped`."""
        self._count(self._refused, name)

    def broken(self, name: str) -> None:
        """A call that the actor `name` had in hand was answered with `ActorDied`."""
        self._count(self._broken, name)

    def report(self) -> StopReport:
        """Return what was counted so far."""
        with self._lock:
            began = monotonic() if self._began is None else self._began
            return StopReport(
                monotonic() - began,
                tuple(self._actors),
                dict(self._unhandled),
                dict(self._refused),
                dict(self._broken),
            )

    def _count(self, counter: collections.Counter[str], name: str) -> None:
        with self._lock:
            if self._began is not None:
                counter[name] += 1


def _outcome(reason: ExitReason) -> StopOutcome:
    if reason.kind is ExitKind.NORMAL:
        return StopOutcome.LEFT
    if reason.kind is ExitKind.KILLED:
        terminated = reason.code == signal.SIGTERM
        return StopOutcome.TERMINATED if terminated else StopOutcome.KILLED
    return StopOutcome.CRASHED if reason.is_abnormal else StopOutcome.FINISHED


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _by_actor(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{number} of {name}" for name, number in most[:_NAMED]]
    if len(most) > _NAMED:
        parts.append(f"and {sum(number for _, number in most[_NAMED:])} of others")
    return ", ".join(parts)
