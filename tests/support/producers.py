"""Actors that stream, and what reads of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from procactors import Actor, ActorRef, Stream, feed
from tests.support.faults import Fault
from tests.support.gates import Gate

_MADE = struct.Struct("=q")


def noted(path: Path) -> int:
    """Return how far `Producer.noted` is."""
    try:
        return int(_MADE.unpack(path.read_bytes())[0])
    except (FileNotFoundError, struct.error):
        return 0


class Producer(Actor):
    """Streams in all ways."""

    def __init__(self) -> None:
        self.made = 0
        self.closed = 0
        self.kept: Any = None

    def count(self, stop: int, start: int = 0) -> Iterator[int]:
        yield from range(start, stop)

    def forever(self) -> Iterator[int]:
        try:
            while True:
                yield self.made
                self.made += 1
        finally:
            self.closed += 1

    def noted(self, path: Path) -> Iterator[int]:
        """Write down how far it is, and that it was closed."""
        made = 0
        fd = os.open(path, os.O_CREAT | os.O_WRONLY)
        try:
            while True:
                made += 1
                os.pwrite(fd, _MADE.pack(made), 0)
                yield made
        finally:
            os.close(fd)
            path.with_suffix(".closed").touch()

    def values(self, values: list[Any]) -> Iterator[Any]:
        yield from values

    def sized(self, sizes: list[int]) -> Iterator[bytes]:
        for number, size in enumerate(sizes):
            yield bytes([number & 0xFF]) * size

    def same_list(self, count: int) -> Iterator[list[int]]:
        row: list[int] = []
        for number in range(count):
            row.append(number)
            yield row

    def arrays(self, count: int, size: int) -> Iterator[Any]:
        import numpy as np

        for number in range(count):
            yield np.full(size, number)

    def fail(self, after: int, how: str = "exception") -> Iterator[int]:
        yield from range(after)
        match how:
            case "exception":
                raise Fault("on purpose", 7)
            case "exit":
                raise SystemExit(3)
            case "os._exit":
                os._exit(0)
            case "SIGKILL":
                os.kill(os.getpid(), signal.SIGKILL)
            case "unpicklable":
                yield threading.Lock()
            case "abort":
                os.abort()

    def gated(self, gate: Gate, count: int = 1) -> Iterator[int]:
        yield from range(count)
        gate.wait()
        yield count

    def bad_end(self) -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            raise Fault("in its finally", 1)

    async def async_count(self, stop: int) -> AsyncIterator[int]:
        for number in range(stop):
            if not number % 100:
                await asyncio.sleep(0)
            yield number

    async def async_noted(self, path: Path) -> AsyncIterator[int]:
        """Give one item, and await for ever; note that it was closed."""
        try:
            yield 1
            await asyncio.sleep(1000)
            yield 2
        finally:
            path.with_suffix(".closed").touch()

    def who(self) -> int:
        return os.getpid()

    def plain(self, value: Any = None) -> Any:
        return value

    def how_many(self) -> tuple[int, int]:
        return self.made, self.closed

    # -- fed -----------------------------------------------------------------------------------

    def total(self, numbers: Iterator[int]) -> int:
        return sum(numbers)

    def take(self, numbers: Iterator[Any], count: int) -> list[Any]:
        return [next(numbers) for _ in range(count)]

    def lengths(self, rows: dict[str, list[Iterator[Any]]]) -> list[int]:
        return [len(list(row)) for row in rows["rows"]]

    def keep(self, numbers: Any) -> None:
        self.kept = numbers

    def has_kept(self) -> bool:
        return self.kept is not None

    def next_kept(self) -> Any:
        return next(self.kept)

    def drop_kept(self) -> None:
        self.kept = None

    def hold(self, gate: Gate, _numbers: Any = None) -> None:
        gate.wait()

    def doubled(self, numbers: Iterator[int]) -> Iterator[int]:
        for number in numbers:
            yield 2 * number

    def die(self, _numbers: Any = None) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def outcome(self, numbers: Iterator[Any]) -> tuple[list[Any], str]:
        """Read all; return what came, and the name of the error with which it ended."""
        got: list[Any] = []
        try:
            for number in numbers:
                got.append(number)  # noqa: PERF402 - what came before an error counts
        except Exception as error:
            return got, f"{type(error).__name__}: {error}"
        return got, ""


class Reader(Actor):
    """Reads what others stream."""

    def __init__(self) -> None:
        self.stream: Any = None

    def read(self, stream: Stream[Any], count: int | None = None) -> list[Any]:
        if count is None:
            return list(stream)
        return [next(stream) for _ in range(count)]

    def read_all(self, producer: ActorRef[Producer], stop: int) -> int:
        return sum(producer.stream(Producer.count, stop))

    def open(self, producer: ActorRef[Producer], method: Any, *args: Any) -> Any:
        self.stream = producer.stream(method, *args)
        return next(self.stream)

    def make(self, producer: ActorRef[Producer], stop: int) -> Stream[int]:
        stream = producer.stream(Producer.count, stop)
        next(stream)
        return stream

    def pass_on(self, stream: Stream[Any], reader: ActorRef[Reader]) -> list[Any]:
        first = next(stream)
        return [first, *reader.ask(Reader.read, stream)]

    def feed_forever(self, producer: ActorRef[Producer], path: Path) -> None:
        producer.tell(Producer.keep, feed(_slowly(path)))

    def call(self, function: Callable[[Any], Any], stream: Stream[Any]) -> Any:
        return function(stream)

    def close(self) -> None:
        self.stream.close()

    def who(self) -> int:
        return os.getpid()


def _slowly(path: Path) -> Iterator[int]:
    number = 0
    while True:
        path.write_text(str(number))
        yield number
        number += 1


class Watched:
    """An iterable that notes how far it was pulled, and that it was closed."""

    def __init__(self, stop: int = 1 << 60, fail_at: int = -1) -> None:
        self.pulled = 0
        self.is_closed = False
        self._stop = stop
        self._fail_at = fail_at

    def __call__(self) -> Iterator[int]:
        try:
            for number in range(self._stop):
                if number == self._fail_at:
                    raise Fault("while it was pulled", number)
                self.pulled += 1
                yield number
        finally:
            self.is_closed = True


def streams_in(system: Any) -> list[str]:
    """Return the names of what is left of streams in a system's directory."""
    with contextlib.suppress(FileNotFoundError):
        return os.listdir(os.path.join(system._endpoint.path, "streams"))
    return []


def settled(condition: Callable[[], Any], for_s: float = 0.3) -> Any:
    """Return what `condition` gives once it has given the same for a while."""
    last, since = condition(), time.monotonic()
    while time.monotonic() - since < for_s:
        time.sleep(0.01)
        if (now := condition()) != last:
            last, since = now, time.monotonic()
    return last
