"""Kill actors in the midst of all kinds of messages; then compare what was counted with the boxes.

What an actor has handled is known twice: from its black box, one word for all, and from its table,
a row for each method. However often it was killed, both agree once a life has begun and served.
"""

from __future__ import annotations

import dataclasses
import os
import random
import signal
from contextlib import suppress

from procactors import Actor, ActorRef, ActorSystem, metrics
from procactors.errors import ProcActorsError
from tests.support.waiting import LONG_S, eventually

_OFTEN = {"max_restarts": 1_000_000}


class Target(Actor):
    """Methods that are quick, slow, and none of both."""

    def quick(self) -> None:
        pass

    def other(self, number: int) -> int:
        return number

    def long(self) -> int:
        return sum(range(3_000))

    def pid(self) -> int:
        return os.getpid()


@dataclasses.dataclass
class Outcome:
    """What a run found.

    Attributes:
        handled: by the boxes' count, of all actors together.
        counted: by the methods' counts.
        backwards: counts of a method that went down from one look to the next.
    """

    kills: int = 0
    handled: int = 0
    counted: int = 0
    sent: int = 0
    backwards: int = 0


def run(system: ActorSystem, kills: int, seed: int) -> Outcome:
    """Kill one of a few actors again and again, and some of them for good."""
    chance, outcome = random.Random(seed), Outcome()
    refs = [_spawned(system, chance) for _ in range(3)]
    over: list[ActorRef[Target]] = []
    before: dict[str, int] = {}
    while outcome.kills < kills:
        place = chance.randrange(len(refs))
        ref = refs[place]
        _send(ref, chance, outcome)
        pid = ref.status().pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                outcome.kills += 1
        if chance.random() < 0.05:
            ref.kill()
            over.append(ref)
            refs[place] = _spawned(system, chance)
        if not outcome.kills % 10:
            now = _methods(system)
            outcome.backwards += sum(now.get(name, 0) < count for name, count in before.items())
            before = now
    for ref in refs:
        _served(ref)
    eventually(lambda: _agree(system, [*refs, *over], outcome), "both counts to agree", LONG_S)
    return outcome


def _spawned(system: ActorSystem, chance: random.Random) -> ActorRef[Target]:
    mailbox = chance.choice((None, None, 50))
    return system.options(mailbox=mailbox, **_OFTEN).spawn(Target)


def _send(ref: ActorRef[Target], chance: random.Random, outcome: Outcome) -> None:
    with suppress(ProcActorsError):  # it is killed meanwhile: what is sent waits for the next life
        for _ in range(chance.randrange(8)):
            count = chance.choice((1, 3, 40))
            outcome.sent += count
            kind = chance.randrange(4)
            if kind == 0:
                ref.tell_many(Target.quick, [()] * count)
            elif kind == 1:
                ref.tell_many(Target.other, [(1,)] * count)
            elif kind == 2:
                ref.tell(Target.long)
            else:
                ref.ask(Target.other, 1)


def _served(ref: ActorRef[Target]) -> None:
    """Have the last life handle a message: with that it counts what the life before left."""
    while True:
        with suppress(ProcActorsError):
            ref.ask(Target.pid)
            return


def _methods(system: ActorSystem) -> dict[str, int]:
    found = metrics.snapshot(system)
    return {
        f"{group.name} {method.name}": method.handled
        for group in found.groups()
        for method in group.methods
    }


def _agree(system: ActorSystem, refs: list[ActorRef[Target]], outcome: Outcome) -> bool:
    outcome.handled = sum(ref.status().handled for ref in refs)
    outcome.counted = sum(_methods(system).values())
    return outcome.handled == outcome.counted
