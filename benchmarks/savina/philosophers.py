"""Dining philosophers: each needs both forks beside his plate, and an arbiter hands them out.

Measures: many small decisions of one actor for many others.
How: philosophers tell the table that they are hungry, the table tells them to eat; who has eaten
his meals tells the main program's inbox. Beside it, processes with a lock a fork, taken in order.
Never: a fork in two hands: the table counts the meals at which both neighbours were not eating.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.findings import Findings
from benchmarks.rounds import Effort, Round
from benchmarks.savina.bare import all_of, fork, orders, processes
from benchmarks.savina.contest import check, contest, run
from procactors import Actor, ActorRef, ActorSystem

SEATS, MEALS = 5, 200


class Table(Actor):
    """Hands out forks."""

    def __init__(self) -> None:
        self.free = [True] * SEATS
        self.hungry: dict[int, ActorRef[Philosopher]] = {}
        self.meals = 0

    def want(self, seat: int, philosopher: ActorRef[Philosopher]) -> None:
        """Let a philosopher eat as soon as both forks are free."""
        self.hungry[seat] = philosopher
        self._serve(seat)

    def put_back(self, seat: int) -> None:
        """Take both forks of a seat back."""
        self.free[seat] = self.free[(seat + 1) % SEATS] = True
        for neighbour in ((seat - 1) % SEATS, seat, (seat + 1) % SEATS):
            self._serve(neighbour)

    def take_meals(self) -> int:
        """Answer how many meals there were, and begin anew."""
        meals, self.meals = self.meals, 0
        return meals

    def _serve(self, seat: int) -> None:
        left, right = seat, (seat + 1) % SEATS
        if seat in self.hungry and self.free[left] and self.free[right]:
            self.free[left] = self.free[right] = False
            self.meals += 1
            self.hungry.pop(seat).tell(Philosopher.eat)


class Philosopher(Actor):
    """Thinks and eats."""

    def __init__(self, seat: int, table: ActorRef[Table], home: ActorRef[object]) -> None:
        self.seat = seat
        self.table = table
        self.home = home
        self.left = 0

    def dine(self, meals: int) -> None:
        """Eat so many meals."""
        self.left = meals
        self.table.tell(Table.want, self.seat, self.context.ref)

    def eat(self) -> None:
        """Eat, put both forks back, and be hungry again."""
        self.left -= 1
        self.table.tell(Table.put_back, self.seat)
        if self.left:
            self.table.tell(Table.want, self.seat, self.context.ref)
        else:
            self.home.tell(self.seat)


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Dine by an arbiter."""
    meals = effort.of(MEALS)
    with ActorSystem() as system:
        inbox, table = system.inbox(), system.spawn(Table)
        philosophers = [system.spawn(Philosopher, seat, table, inbox.ref) for seat in range(SEATS)]

        def dine() -> None:
            for philosopher in philosophers:
                philosopher.tell(Philosopher.dine, meals)
            check(sorted(inbox.receive() for _ in philosophers), list(range(SEATS)))
            check(table.ask(Table.take_meals), SEATS * meals)

        yield partial(run, dine)


def _philosopher(pipe: Connection, seat: int, forks: list[Any]) -> None:
    # The lower number first: so no circle of waiting ones comes about.
    first, second = sorted((seat, (seat + 1) % SEATS))
    for meals in orders(pipe):
        eaten = 0
        for _ in range(meals):
            with forks[first], forks[second]:
                eaten += 1
        pipe.send(eaten)


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Dine by locks."""
    meals = effort.of(MEALS)
    forks = [fork.Lock() for _ in range(SEATS)]
    with processes(SEATS, _philosopher, forks) as ends:
        yield partial(run, lambda: check(all_of(ends, meals), [meals] * SEATS))


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("dining philosophers", actors, bare, effort)
