"""Chameneos: creatures meet in pairs in a mall, and change their colours by whom they have met.

Measures: what one actor costs to which many send at the same time.
How: creatures tell the mall, the mall tells both of a pair; at the end each creature tells the main
program's inbox how often it has met. Beside it, a process that waits for many pipes.
Never: an order of the meetings: each run has another.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection, wait

from benchmarks.findings import Findings
from benchmarks.rounds import Effort, Round
from benchmarks.savina.bare import Pipe, all_of, orders, processes
from benchmarks.savina.contest import check, contest, run
from procactors import Actor, ActorRef, ActorSystem

CREATURES, MEETINGS = 6, 1_000


def changed(colour: int, other: int) -> int:
    """Answer the colour after a meeting: two of the same stay so, others take the third one."""
    return colour if colour == other else 3 - colour - other


class Mall(Actor):
    """Where creatures meet."""

    def __init__(self) -> None:
        self.left = 0
        self.waiting: tuple[int, ActorRef[Creature]] | None = None

    def open(self, meetings: int) -> None:
        """Let so many meetings happen."""
        self.left = meetings

    def enter(self, colour: int, creature: ActorRef[Creature]) -> None:
        """Wait for another, or meet the one who waits."""
        if not self.left:
            creature.tell(Creature.leave)
        elif self.waiting is None:
            self.waiting = colour, creature
        else:
            (other, first), self.waiting = self.waiting, None
            self.left -= 1
            first.tell(Creature.meet, colour)
            creature.tell(Creature.meet, other)


class Creature(Actor):
    """Goes to the mall again and again."""

    def __init__(self, colour: int, mall: ActorRef[Mall], home: ActorRef[object]) -> None:
        self.colour = colour
        self.mall = mall
        self.home = home
        self.met = 0

    def go(self) -> None:
        """Go to the mall."""
        self.mall.tell(Mall.enter, self.colour, self.context.ref)

    def meet(self, other: int) -> None:
        """Meet one of that colour, and go again."""
        self.colour = changed(self.colour, other)
        self.met += 1
        self.go()

    def leave(self) -> None:
        """Go home, since the mall is closed."""
        self.home.tell(self.met)
        self.met = 0


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Meet in an actor."""
    meetings = effort.of(MEETINGS)
    with ActorSystem() as system:
        inbox, mall = system.inbox(), system.spawn(Mall)
        creatures = [
            system.spawn(Creature, number % 3, mall, inbox.ref) for number in range(CREATURES)
        ]

        def meet() -> None:
            mall.tell(Mall.open, meetings)
            for creature in creatures:
                creature.tell(Creature.go)
            check(sum(inbox.receive() for _ in creatures), 2 * meetings)

        yield partial(run, meet)


def _creature(pipe: Connection, number: int, malls: list[tuple[Connection, Connection]]) -> None:
    colour, mall = number % 3, malls[number][0]
    for _ in orders(pipe):
        met = 0
        mall.send(colour)
        while (other := mall.recv()) is not None:
            colour = changed(colour, other)
            met += 1
            mall.send(colour)
        pipe.send(met)


def _mall(pipe: Connection, number: int, malls: list[tuple[Connection, Connection]]) -> None:
    for left in orders(pipe):
        _serve([end for _, end in malls], left)


def _serve(inside: list[Connection], left: int) -> None:
    waiting: tuple[int, Connection] | None = None
    while inside:
        for creature in wait(inside):
            assert isinstance(creature, Connection)
            colour = creature.recv()
            if not left:
                creature.send(None)
                inside.remove(creature)
            elif waiting is None:
                waiting = colour, creature
            else:
                (other, first), waiting = waiting, None
                left -= 1
                first.send(colour)
                creature.send(other)


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Meet in a process."""
    meetings = effort.of(MEETINGS)
    pipes = [Pipe() for _ in range(CREATURES)]
    with processes(1, _mall, pipes) as (mall,), processes(CREATURES, _creature, pipes) as ends:

        def meet() -> None:
            mall.send(meetings)
            check(sum(all_of(ends, "go")), 2 * meetings)

        yield partial(run, meet)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("chameneos", actors, bare, effort)
