"""Stream and feed in all directions while producers and readers are killed; then count.

Each item says which one it is, so that a gap, a repetition or a stranger's item is seen at once by
who reads it. What is counted is how the streams ended, and what was left behind.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from procactors import Actor, ActorRef, ActorSystem, Stream, errors, feed
from tests.support.producers import streams_in
from tests.support.waiting import LONG_S, SHORT_S, eventually

_OFTEN = {"max_restarts": 1_000_000, "max_deliveries": 1_000_000}
#: What a stream may end with while processes are killed around it.
_ENDS = (errors.ActorDied, errors.StreamBroken, errors.DecodeError, errors.ActorStopped)
_KINDS = ("number", "row", "dict", "text", "large", "mixed")


def make(kind: str, number: int) -> Any:
    """Return the item of that number."""
    match kind:
        case "number":
            return number
        case "row":
            return number, "a row", None
        case "dict":
            return {"number": number}
        case "text":
            return f"{number}:" + "x" * (number % 700)
        case "large":
            return [number, b"x" * (20_000 if number % 3 else 3_000)]
    return make(_KINDS[number % 5], number)


class Numbers(Actor):
    """Streams numbered items, and reads such."""

    def items(self, kind: str, stop: int) -> Iterator[Any]:
        for number in range(stop):
            yield make(kind, number)

    async def async_items(self, kind: str, stop: int) -> Any:
        for number in range(stop):
            yield make(kind, number)

    def checked(self, items: Stream[Any], kind: str, start: int, stop: int) -> int:
        """Read all; return how many came in order."""
        return check(items, kind, start, stop)

    def pull(self, ref: ActorRef[Numbers], kind: str, stop: int, buffer: int) -> int:
        return check(ref.options(buffer=buffer).stream(Numbers.items, kind, stop), kind, 0, stop)

    def leave(self, ref: ActorRef[Numbers], kind: str, stop: int) -> int:
        for number, _ in enumerate(ref.stream(Numbers.items, kind, 1 << 40)):
            if number == stop:
                return number
        raise AssertionError("an endless stream has ended")

    def echo(self, items: Stream[Any]) -> Iterator[Any]:
        yield from items

    def ping(self) -> None:
        pass


class Wrong(Exception):
    """An item that is not the next one, or an end that is none."""


def check(items: Any, kind: str, start: int, stop: int) -> int:
    """Read a stream to its end, whose items must be those from `start` to `stop`."""
    number = start
    for item in items:
        if item != make(kind, number):
            raise Wrong(f"expected item {number} of {kind}, found {item!r:.80}")
        number += 1
    if number != stop:
        raise Wrong(f"a stream of {stop} ended without an error at {number}")
    return number - start


class Run:
    """Some actors, threads that stream between all of them, and a loop that kills them."""

    def __init__(self, system: ActorSystem, seed: int, actors: int = 6, threads: int = 4) -> None:
        self._system = system
        self._chance = random.Random(seed)
        self._actors = [system.options(**_OFTEN).spawn(Numbers) for _ in range(actors)]
        self.ends: Counter[str] = Counter()
        self.wrong: list[BaseException] = []
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._stream, args=(random.Random(seed + n),))
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def kill_one(self) -> None:
        """Kill an actor at a random moment."""
        time.sleep(self._chance.uniform(0.0, 0.010))  # the moment of the kill is drawn by chance
        actor = self._chance.choice(self._actors)
        pid = eventually(lambda: actor.status().pid, "a process to kill", LONG_S)
        with suppress(ProcessLookupError):  # killed by the last round, and not yet replaced
            os.kill(pid, signal.SIGKILL)

    def finish(self) -> None:
        """Wait until all that was begun has ended; see that nothing is left."""
        self._done.set()
        until = time.monotonic() + SHORT_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
            assert not thread.is_alive(), "somebody waits for a stream that is over"
        for actor in self._actors:
            with suppress(errors.ActorDied):
                actor.ask(Numbers.ping)
            actor.ask(Numbers.ping)
        eventually(lambda: not streams_in(self._system), "no file of a stream left")
        for actor in self._actors:
            actor.stop()

    def _stream(self, chance: random.Random) -> None:
        while not self._done.is_set():
            try:
                self._stream_once(chance)
                self.ends["whole"] += 1
            except _ENDS as error:
                self.ends[type(error).__name__] += 1
            except BaseException as error:
                self.wrong.append(error)
                return

    def _stream_once(self, chance: random.Random) -> None:
        one, two, three = chance.sample(self._actors, 3)
        kind, buffer = chance.choice(_KINDS), chance.choice((1, 2, 5, 64, 300))
        stop = chance.choice((0, 1, 10, 100, 1_000))
        one = one.options(buffer=buffer)
        way = chance.choice((_read, _read_async, _pull, _leave, _move, _feed, _echo, _drop))
        way(chance, one, two, three, kind, stop)


Refs = ActorRef[Numbers]


def _read(_: random.Random, one: Refs, _two: Refs, _three: Refs, kind: str, stop: int) -> None:
    check(one.stream(Numbers.items, kind, stop), kind, 0, stop)


def _read_async(_: random.Random, one: Refs, _t: Refs, _three: Refs, kind: str, stop: int) -> None:
    check(one.stream(Numbers.async_items, kind, stop), kind, 0, stop)


def _pull(_: random.Random, one: Refs, two: Refs, _three: Refs, kind: str, stop: int) -> None:
    one.ask(Numbers.pull, two, kind, stop, 7)


def _leave(_: random.Random, one: Refs, two: Refs, _three: Refs, kind: str, stop: int) -> None:
    one.ask(Numbers.leave, two, kind, stop)


def _move(chance: random.Random, one: Refs, two: Refs, _th: Refs, kind: str, stop: int) -> None:
    taken = chance.randrange(10)
    with one.stream(Numbers.items, kind, stop + 10) as stream:
        for _ in range(taken):
            next(stream)
        two.ask(Numbers.checked, stream, kind, taken, stop + 10)


def _feed(_: random.Random, one: Refs, _two: Refs, _three: Refs, kind: str, stop: int) -> None:
    one.ask(Numbers.checked, feed(make(kind, number) for number in range(stop)), kind, 0, stop)


def _echo(_: random.Random, one: Refs, two: Refs, three: Refs, kind: str, stop: int) -> None:
    items = feed(make(kind, number) for number in range(stop))
    through = two.stream(Numbers.echo, one.stream(Numbers.echo, items))
    check(three.stream(Numbers.echo, through), kind, 0, stop)


def _drop(chance: random.Random, one: Refs, _two: Refs, _three: Refs, kind: str, _s: int) -> None:
    stream = one.stream(Numbers.items, kind, 1 << 40)
    for _ in range(chance.randrange(100)):
        next(stream)


def run(system: ActorSystem, kills: int, seed: int, limit_s: float = LONG_S) -> Counter[str]:
    """Kill actors `kills` times, or for `limit_s` seconds; return how the streams ended."""
    running = Run(system, seed)
    until = time.monotonic() + limit_s
    try:
        for _ in range(kills):
            running.kill_one()
            running.ends["kills"] += 1
            if running.wrong or time.monotonic() > until:
                break
    finally:
        running._done.set()
    running.finish()
    if running.wrong:
        raise running.wrong[0]
    return running.ends
