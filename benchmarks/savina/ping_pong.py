"""Ping-pong: two actors, one message to and fro between them at a time.

Measures: what a message costs that is answered before the next one goes.
How: `Ping` asks `Pong`; beside it, two processes with a pipe between them.
Never: two messages under way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection

from benchmarks.findings import Findings
from benchmarks.rounds import Effort, Round
from benchmarks.savina.bare import Pipe, all_of, orders, processes
from benchmarks.savina.contest import check, contest, run
from procactors import Actor, ActorRef, ActorSystem

PINGS = 2_000


class Pong(Actor):
    """Answers."""

    def ping(self, number: int) -> int:
        """Return the ball."""
        return number


class Ping(Actor):
    """Begins."""

    def __init__(self, pong: ActorRef[Pong]) -> None:
        self.pong = pong

    def play(self, pings: int) -> int:
        """Play so many balls; answer how many came back as they went."""
        return sum(self.pong.ask(Pong.ping, number) == number for number in range(pings))


@contextmanager
def actors(effort: Effort) -> Iterator[Round]:
    """Play between two actors."""
    pings = effort.of(PINGS)
    with ActorSystem() as system:
        ping = system.spawn(Ping, system.spawn(Pong))
        yield partial(run, lambda: check(ping.ask(Ping.play, pings), pings))


def _player(pipe: Connection, number: int, ends: tuple[Connection, Connection]) -> None:
    other = ends[number]
    for pings in orders(pipe):
        if number:
            for _ in range(pings):
                other.send(other.recv())
            pipe.send(pings)
        else:
            came_back = 0
            for ball in range(pings):
                other.send(ball)
                came_back += other.recv() == ball
            pipe.send(came_back)


@contextmanager
def bare(effort: Effort) -> Iterator[Round]:
    """Play between two processes with a pipe."""
    pings = effort.of(PINGS)
    with processes(2, _player, Pipe()) as players:
        yield partial(run, lambda: check(all_of(players, pings), [pings, pings]))


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    return contest("ping-pong", actors, bare, effort)
