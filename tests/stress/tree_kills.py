"""A tree under random kills, and what a model says must be left of it.

The model is small on purpose. A child comes back from anything if it is permanent or transient;
a temporary one is gone after its first death, and with a restart of its siblings. So in the end
every actor of the tree that is not temporary is up, in a life at least as high as its own deaths
make it, and no supervisor has given up for good. `Report` says what was done and what was seen.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from dataclasses import dataclass, field
from time import monotonic

from procactors import ActorSystem, ExitKind, Restart, Strategy, Supervisor, SupervisorRef, spec
from procactors.errors import ActorStopped, DeliveryError
from tests.support.actors import Crasher

#: Ways of dying: faults that the actor commits itself, and signals from outside.
WITHIN = ("exception", "segfault", "os._exit(7)", "sys.exit(3)")
OUTSIDE = (signal.SIGKILL, signal.SIGSTOP)

#: Seconds between two blows: about as many as two cores can restart, groups and all.
PAUSE_S = 0.03

#: Seconds after which a stopped actor counts as hung.
HANG_S = 0.5


#: Seconds for a start: one that is stopped while it comes up has only this to end it.
START_S = 5.0


@dataclass
class Report:
    """What a run did to its tree."""

    actors: int = 0
    kills: int = 0
    by_way: dict[str, int] = field(default_factory=dict)
    restarts: int = 0


def build(rng: random.Random, levels: int, width: int, leaves: int) -> Supervisor:
    """Return a tree: `levels` of supervisors, each with `width` of them below, and at the end
    groups of `leaves` actors.
    """
    strategy = rng.choice((Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE))
    if levels > 1:
        below = [build(rng, levels - 1, width, leaves) for _ in range(width)]
        # Restarts of whole subtrees are to be seen, the end of the whole tree is not.
        return Supervisor(*below, strategy=strategy, max_restarts=100_000, within=1000.0)
    actors = [
        spec(Crasher).options(
            restart=rng.choice((Restart.PERMANENT, Restart.TRANSIENT)),
            handle_timeout=HANG_S,
            start_timeout=START_S,
            stop_timeout=2.0,
        )
        for _ in range(leaves)
    ]
    return Supervisor(*actors, strategy=strategy, max_restarts=rng.choice((3, 100_000)), within=1.0)


def actors_of(tree: SupervisorRef) -> list[str]:
    """Return the names of all actors of a tree, in start order."""
    names = []
    for child in tree.children():
        if isinstance(child.ref, SupervisorRef):
            names += actors_of(child.ref)
        else:
            names.append(child.name)
    return names


def run(seed: int, seconds: float, levels: int = 5, width: int = 2, leaves: int = 13) -> Report:
    """Kill at random for so long; then see that all are up, answer, and nothing else is there."""
    rng = random.Random(seed)
    report = Report()
    with ActorSystem(stop_timeout=60.0) as system:
        tree = system.supervise(build(rng, levels, width, leaves))
        names = actors_of(tree)
        refs = {name: system[name] for name in names}
        report.actors = len(names)
        deadline, pause = monotonic() + seconds, threading.Event()
        while monotonic() < deadline:
            _harm(rng, refs[rng.choice(names)], report)
            pause.wait(PAUSE_S)
        # What was stopped and has no message gets one, so that it is found to be hung.
        answers = {name: ref.submit(Crasher.pid) for name, ref in refs.items()}
        for name, answer in answers.items():
            while answer.exception() is not None:  # lost with a life: in hand, or behind a crash
                assert not isinstance(answer.exception(), DeliveryError), (name, answer.exception())
                answer = refs[name].submit(Crasher.pid)  # noqa: PLW2901 - the next try
        assert actors_of(tree) == names
        assert {ref.name for ref in system.actors()} == set(names)
        statuses = [ref.status() for ref in refs.values()]
        assert all(status.reason is None for status in statuses)
        report.restarts = sum(status.restarts for status in statuses)
        assert report.restarts > 0
        assert tree.stop().kind is ExitKind.STOPPED
        assert system.actors() == []
    return report


def _harm(rng: random.Random, ref, report: Report) -> None:
    if rng.random() < 0.5:
        way = rng.choice(WITHIN)
        try:
            ref.tell(Crasher.crash, way)
        except ActorStopped as error:
            raise AssertionError(f"{ref.name} has ended for good") from error
    else:
        number = rng.choice(OUTSIDE)
        way = number.name
        pid = ref.status().pid
        if pid is None:
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
    report.kills += 1
    report.by_way[way] = report.by_way.get(way, 0) + 1
