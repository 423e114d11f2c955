"""What a system has counted, as values.

Layer: metrics. Runs in: any process.
Owns: nothing.
Never: holds what changes: a snapshot stays as it was taken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from procactors.metrics.histogram import Histogram

__all__ = ["ActorMetrics", "CallMetrics", "GroupMetrics", "MethodMetrics", "Metrics"]


@dataclasses.dataclass(frozen=True)
class MethodMetrics:
    """What has come of the messages for one method.

    Attributes:
        name: ``Class.method``; ``receive`` for messages as values; what a pool's batches call;
            ``other`` for all beyond the first 63 methods of an actor.
        errors: how often its handler raised, its arguments could not be read, or its result could
            not be sent.
        items: of the pool's batches, or of the streams, that it has handled.
        handling: from the beginning to the end, for each message that was handled; of a pool's
            worker for each batch.
        waiting: from sending to the beginning: of a sample (see docs/metrics.md), so that its
            count comes near that of the messages and is not the same.
    """

    name: str
    errors: int
    items: int
    handling: Histogram
    waiting: Histogram

    @property
    def handled(self) -> int:
        """How many messages were handled."""
        return self.handling.count

    def __add__(self, other: MethodMetrics) -> MethodMetrics:
        """Return what both together have."""
        return MethodMetrics(
            self.name,
            self.errors + other.errors,
            self.items + other.items,
            self.handling + other.handling,
            self.waiting + other.waiting,
        )


@dataclasses.dataclass(frozen=True)
class CallMetrics:
    """How long a process waited for answers.

    Attributes:
        caller: the actor that asked, as its group is called; empty: the main program.
        method: ``Class.method`` of the actors that were asked.
        round_trip: from sending to the answer, of asks and submits that were answered; of a sample.
    """

    caller: str
    method: str
    round_trip: Histogram


@dataclasses.dataclass(frozen=True)
class ActorMetrics:
    """One actor, all its incarnations together.

    Attributes:
        id, name, class_name: of the actor; its class empty while it has counted nothing.
        group: what it is counted under (`GroupMetrics`).
        pid: of its process; 0 between two lives.
        incarnation: which life it is in, from 1.
        handled: messages that were handled, to the last one; the methods' may be behind that by
            those of one batch that were quick.
        expired: messages that were not begun since their callers' time was over.
        mailbox: messages that wait.
        methods: by their names.
    """

    id: int
    name: str
    class_name: str
    group: str
    pid: int
    incarnation: int
    handled: int
    expired: int
    mailbox: int
    methods: tuple[MethodMetrics, ...]

    def method(self, name: str) -> MethodMetrics | None:
        """Return the method of that name, with or without its class; None if it has not run."""
        return _method(self.methods, name)


@dataclasses.dataclass(frozen=True)
class GroupMetrics:
    """Actors that are counted together, those among them that are over included: never less.

    Attributes:
        name: an actor's own name, if the program has given it one; ``counter-*`` of actors that are
            named by their number, ``pool-*`` of the workers of a pool.
        class_name: theirs.
        actors: how many there are now.
        restarts: new incarnations.
        expired: messages that were not begun since their callers' time was over.
        mailbox: messages that wait now.
        methods: by their names.
    """

    name: str
    class_name: str
    actors: int
    restarts: int
    expired: int
    mailbox: int
    methods: tuple[MethodMetrics, ...]

    def method(self, name: str) -> MethodMetrics | None:
        """Return the method of that name, with or without its class; None if it has not run."""
        return _method(self.methods, name)

    def __add__(self, other: GroupMetrics) -> GroupMetrics:
        """Return both together."""
        return GroupMetrics(
            self.name,
            self.class_name or other.class_name,
            self.actors + other.actors,
            self.restarts + other.restarts,
            self.expired + other.expired,
            self.mailbox + other.mailbox,
            merged((*self.methods, *other.methods)),
        )


@dataclasses.dataclass(frozen=True)
class Metrics:
    """A snapshot of a system.

    Attributes:
        path: its runtime directory.
        at: when it was taken, in seconds of the monotonic clock.
        actors: the live ones, in the order in which they were made.
        ended: groups of those that are over.
        calls: round trips, by caller and method; those of callers that are over included.
        dead_letters: how many there have been.
    """

    path: str
    at: float
    actors: tuple[ActorMetrics, ...]
    ended: tuple[GroupMetrics, ...]
    calls: tuple[CallMetrics, ...]
    dead_letters: int

    def actor(self, name: str) -> ActorMetrics | None:
        """Return the live actor of that name; None if there is none."""
        return next((actor for actor in self.actors if actor.name == name), None)

    def groups(self) -> tuple[GroupMetrics, ...]:
        """Return all actors, live or over, by their groups: their counts never go down."""
        found: dict[str, GroupMetrics] = {}
        for group in (*map(_group_of, self.actors), *self.ended):
            known = found.get(group.name)
            found[group.name] = group if known is None else known + group
        return tuple(found[name] for name in sorted(found))

    def method(self, name: str) -> MethodMetrics | None:
        """Return a method of all actors together, by its name; None if it has not run."""
        each = [found for group in self.groups() if (found := group.method(name)) is not None]
        return merged(each)[0] if each else None

    def round_trip(self, name: str) -> Histogram:
        """Return the round trips of a method, of all callers together."""
        total = Histogram()
        for call in self.calls:
            if _is_named(call.method, name):
                total += call.round_trip
        return total


def merged(methods: Iterable[MethodMetrics]) -> tuple[MethodMetrics, ...]:
    """Return methods with those of one name together, by their names."""
    found: dict[str, MethodMetrics] = {}
    for method in methods:
        known = found.get(method.name)
        found[method.name] = method if known is None else known + method
    return tuple(found[name] for name in sorted(found))


def _group_of(actor: ActorMetrics) -> GroupMetrics:
    return GroupMetrics(
        actor.group,
        actor.class_name,
        1,
        max(0, actor.incarnation - 1),
        actor.expired,
        actor.mailbox,
        actor.methods,
    )


def _method(methods: Iterable[MethodMetrics], name: str) -> MethodMetrics | None:
    return next((method for method in methods if _is_named(method.name, name)), None)


def _is_named(full: str, name: str) -> bool:
    return name in (full, full.rpartition(".")[2])
