"""Whoever takes part in a stream is killed before each line of what it does about it.

The other side is told, nobody waits, what came is in order and without a gap, nothing is left.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import pytest

from procactors import Actor, ActorRef, errors, feed
from procactors.runner import async_streams, streams
from procactors.runtime import feed as feeding, handover, stream as reading, stream_move, streaming
from procactors.wire.streams import channel, items, reader, writer
from tests.support.producers import streams_in
from tests.support.waiting import SHORT_S, eventually

#: The modules before whose lines it dies.
SIDES: dict[str, list[Any]] = {
    "producer": [streams, writer, channel, items],
    "async producer": [async_streams, writer, channel],
    "reader": [streaming, reading, reader, channel, items],
    "sender on": [streaming, reading, stream_move, handover, reader, channel],
    "receiver": [stream_move, reading, reader, channel],
    "feeder": [feeding, writer, channel, items],
    "fed": [feeding, reading, reader, channel, items],
}
#: One in so many lines: a kill costs a process.
STRIDES = [29, pytest.param(5, marks=pytest.mark.stress)]
LARGE = 20_000


def rows(stop: int) -> Iterator[Any]:
    """Numbers, with a file in between."""
    for number in range(stop):
        yield number if number % 5 else (number, b"x" * LARGE)


def checked(found: Any, stop: int, start: int = 0) -> int:
    """Read to the end; each item is the next one."""
    expected = start
    for item in found:
        number = item[0] if type(item) is tuple else item
        assert number == expected, f"expected item {expected}, found {number}"
        expected += 1
    assert expected == stop, f"{expected} items of {stop}"
    return expected


def die_before_line(left: int, modules: list[str]) -> None:
    """Have this process killed before its `left`-th line in these modules."""
    files = {str(sys.modules[name].__file__) for name in modules}

    def inside(_frame: Any, event: str, _arg: Any) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return inside

    def trace(frame: Any, _event: str, _arg: Any) -> Any:
        return inside if frame.f_code.co_filename in files else None

    threading.settrace(trace)
    sys.settrace(trace)


class Side(Actor):
    """Takes each part; `arm` decides when it dies of it."""

    def arm(self, step: int, modules: list[str]) -> None:
        for name in modules:
            __import__(name)
        die_before_line(step, modules)

    def rows(self, stop: int) -> Iterator[Any]:
        yield from rows(stop)

    async def awaiting(self, stop: int) -> AsyncIterator[Any]:
        for row in rows(stop):
            yield row

    def read(self, producer: ActorRef[Side], stop: int) -> int:
        return checked(producer.options(buffer=4).stream(Side.rows, stop), stop)

    def send_on(self, producer: ActorRef[Side], receiver: ActorRef[Side], stop: int) -> int:
        stream = producer.options(buffer=4).stream(Side.rows, stop)
        first = next(stream)
        assert first[0] == 0
        return receiver.ask(Side.check, stream, stop, 1)

    def check(self, found: Iterator[Any], stop: int, start: int = 0) -> int:
        return checked(found, stop, start)

    def feed(self, receiver: ActorRef[Side], stop: int) -> int:
        return receiver.options(buffer=4).ask(Side.check, feed(rows(stop)), stop)

    def pid(self) -> int:
        return os.getpid()


class Source:
    """Rows, and whether they were closed: of a generator that has not begun, none could tell."""

    is_closed = False

    def __init__(self, stop: int) -> None:
        self._rows = rows(stop)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._rows)

    def close(self) -> None:
        self.is_closed = True


def take_part(side: str, victim: ActorRef[Side], others: list[ActorRef[Side]], stop: int) -> int:
    """Have the stream run through to its end; return how many items came."""
    one, two = others
    match side:
        case "producer":
            return checked(victim.options(buffer=4).stream(Side.rows, stop), stop)
        case "async producer":
            return checked(victim.options(buffer=4).stream(Side.awaiting, stop), stop)
        case "reader":
            return victim.ask(Side.read, one, stop)
        case "sender on":
            return victim.ask(Side.send_on, one, two, stop)
        case "receiver":
            with one.options(buffer=4).stream(Side.rows, stop) as stream:
                assert next(stream)[0] == 0
                return victim.ask(Side.check, stream, stop, 1)
        case "feeder":
            return victim.ask(Side.feed, one, stop)
        case "fed":
            source = Source(stop)
            try:
                return victim.options(buffer=4).ask(Side.check, feed(source), stop)
            except errors.ActorDied:
                eventually(lambda: source.is_closed or next(source, None) is None, "it closed")
                raise
    raise AssertionError(side)


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("side", SIDES)
def test_killed_before_any_line_the_others_are_told_and_nothing_is_left(system, side, stride, seed):
    modules = [module.__name__ for module in SIDES[side]]
    often = system.options(max_restarts=100_000)
    victim, *others = [often.spawn(Side).options(timeout=SHORT_S) for _ in range(3)]
    pids = [other.ask(Side.pid) for other in others]
    stop, deaths = 11, 0
    for step in count(seed % stride, stride):
        pid = victim.ask(Side.pid)
        victim.tell(Side.arm, step, modules)
        try:
            assert take_part(side, victim, others, stop) == stop
            break
        except (errors.ActorDied, errors.StreamBroken):
            deaths += 1
        eventually(lambda before=pid: victim.ask(Side.pid) != before, "the next life")
        eventually(lambda: not streams_in(system), "no file of a stream left")
        # Others were told: they are free, and live on.
        assert [other.ask(Side.pid) for other in others] == pids
    assert deaths > 5
