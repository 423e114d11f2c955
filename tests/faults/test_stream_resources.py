"""Streams where there is little room, few descriptors, little memory; and a great many of them."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Iterator
from time import process_time
from typing import Any

import psutil
import pytest

from procactors import Actor, feed
from tests.support.namespaces import running_with_mounts
from tests.support.producers import Producer, Reader, streams_in
from tests.support.programs import environment
from tests.support.scripts import run_source
from tests.support.waiting import eventually

MIB = 1 << 20

SMALL_ROOM = """
import os, sys
from procactors import Actor, ActorSystem, errors, feed

class Sized(Actor):
    def generate(self, sizes):
        for size in sizes:
            yield bytes(size)
    async def awaiting(self, sizes):
        for size in sizes:
            yield bytes(size)
    def measure(self, items):
        return [len(item) for item in items]

MIB, FITS = 2**20, [9, 2**20, 9]
TOO_LARGE = [9, 2**20, 60 * 2**20, 9]
has_more = sys.argv[1] == "more"
with ActorSystem() as system:
    sized = system.spawn(Sized)
    sized.ask(Sized.measure, [b""])
    for full in (False, True):
        # Without a page left, not even pipes have room for more than their names.
        hog = open("/dev/shm/hog", "wb", buffering=0)
        if full:
            try:
                while True:
                    hog.write(bytes(4096))
            except OSError:
                pass
        for way in (Sized.generate, Sized.awaiting, None):
            for sizes in (FITS, TOO_LARGE) if has_more or not full else (TOO_LARGE,):
                got = []
                try:
                    if way is None:
                        got = sized.ask(Sized.measure, feed(bytes(size) for size in sizes))
                    else:
                        for item in sized.stream(way, sizes):
                            got.append(len(item))
                    said = None
                except errors.StorageFull as error:
                    said = error
                expected = None if sizes is FITS or has_more else "no room for"
                print(way, full, sizes, got, said) if (
                    str(expected) not in str(said) or (expected is None and got != sizes)
                ) else None
                assert sized.ask(Sized.measure, [b"x"]) == [1]
                left = os.listdir(os.path.join(system._endpoint.path, "streams"))
                print(left) if left else None
        hog.close()
        os.unlink("/dev/shm/hog")
for folder in ("/dev/shm", os.environ["TMPDIR"]):
    print(os.listdir(folder)) if os.listdir(folder) else None
print("done", flush=True)
"""


@pytest.mark.parametrize("room", ["more", "none"])
def test_a_full_shared_memory_is_no_failure_or_ends_the_stream_with_a_clear_error(tmp_path, room):
    env = {**environment(), "TMPDIR": str(tmp_path)}
    mounts = "mount -t tmpfs -o size=32m,mode=1777 tmpfs /dev/shm"
    if room == "none":
        mounts += f"; mount -t tmpfs -o size=16m tmpfs {tmp_path}"
    with running_with_mounts(mounts, SMALL_ROOM, room, env=env) as program:
        code, out, errors = program.end()
        assert (code, out) == (0, "done\n"), out + errors
        program.await_nothing_left()


WITHOUT_DESCRIPTORS = """
import os, resource
from procactors import Actor, ActorSystem, Stream, errors, feed

class Poor(Actor):
    def __init__(self):
        self.taken = []
    def take(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        try:
            while True:
                self.taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            return len(self.taken)
    def give(self):
        while self.taken:
            os.close(self.taken.pop())
    def generate(self):
        yield from range(3)
    async def awaiting(self):
        for number in range(3):
            yield number
    def read(self, items):
        return list(items)

with ActorSystem() as system:
    poor, rich = system.options(max_restarts=100).spawn(Poor), system.spawn(Poor)
    assert list(poor.stream(Poor.generate)) == list(poor.stream(Poor.awaiting)) == [0, 1, 2]
    assert poor.ask(Poor.read, feed(range(3))) == [0, 1, 2]
    assert poor.ask(Poor.take) > 10
    for number in range(3):
        for call in (
            lambda: list(poor.stream(Poor.generate)),
            lambda: poor.ask(Poor.read, feed(range(3))),
            lambda: poor.ask(Poor.read, rich.stream(Poor.generate)),
        ):
            try:
                print("no error", call())
            except errors.StorageFull as error:
                assert "descriptor" in str(error), error
            except errors.ProcActorsError as error:
                print(type(error), error)
    poor.ask(Poor.give)
    assert list(poor.stream(Poor.generate)) == list(poor.stream(Poor.awaiting)) == [0, 1, 2]
    assert poor.ask(Poor.read, feed(range(3))) == [0, 1, 2]
    assert poor.ask(Poor.read, rich.stream(Poor.generate)) == [0, 1, 2]
    assert poor.status().incarnation == 1
    folder = os.path.join(system._endpoint.path, "streams")
    from tests.support.waiting import eventually
    eventually(lambda: not os.listdir(folder), "no file of a stream left")
print("well")
"""


def test_an_actor_without_descriptors_says_so_to_reader_and_feeder():
    assert run_source(WITHOUT_DESCRIPTORS) == "well\n"


class Heavy(Actor):
    def generate(self, count: int, size: int) -> Iterator[bytes]:
        for _ in range(count):
            yield bytes(size)

    async def awaiting(self, count: int, size: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield bytes(size)

    def measure(self, items: Iterator[bytes]) -> tuple[int, int]:
        return sum(len(item) for item in items), psutil.Process().memory_info().rss

    def memory(self) -> int:
        return psutil.Process().memory_info().rss


def on_disk(system: Any) -> int:
    """Return the bytes of items that wait in files."""
    folder, total = os.path.join(system._endpoint.path, "streams"), 0
    for name in streams_in(system):
        try:
            total += os.stat(os.path.join(folder, name)).st_size
        except FileNotFoundError:
            continue
    return total


@pytest.mark.parametrize(
    "way", [Heavy.generate, Heavy.awaiting, None], ids=["plain", "async", "fed"]
)
def test_huge_items_for_a_slow_reader_take_the_memory_of_a_few(system, way):
    """With a buffer of 2 that is two on their way and one at each side."""
    heavy = system.spawn(Heavy)
    size, most = 100 * MIB, 0
    base = heavy.ask(Heavy.memory), psutil.Process().memory_info().rss
    if way is None:
        items = (bytes(size) for _ in range(5))
        total, held = heavy.options(buffer=2).ask(Heavy.measure, feed(items))
        assert total == 5 * size
        assert held - base[0] < 3.5 * size
    else:
        for item in heavy.options(buffer=2).stream(way, 5, size):
            assert len(item) == size
            eventually(lambda: not heavy.status().in_hand or on_disk(system) >= size, "the next")
            most = max(most, on_disk(system))
        assert most <= 2 * size + MIB
        assert heavy.ask(Heavy.memory) - base[0] < 2.5 * size
    if way is not None:
        del item
    assert psutil.Process().memory_info().rss - base[1] < 2.5 * size
    eventually(lambda: not streams_in(system), "no file of a stream left")


def census(pids: list[int]) -> list[tuple[int, int]]:
    """Return (descriptors, threads) of each process."""
    return [(p.num_fds(), p.num_threads()) for p in map(psutil.Process, pids)]


@pytest.mark.parametrize("count", [600, pytest.param(10_000, marks=pytest.mark.stress)])
def test_short_streams_one_after_the_other_leave_nothing_and_get_no_slower(system, count):
    producer = system.spawn(Producer)
    pids = [os.getpid(), producer.ask(Producer.who)]

    def some(count: int) -> float:
        """Stream that often in each way; return the seconds of this process's work."""
        began = process_time()
        for number in range(count // 3):
            assert list(producer.stream(Producer.count, 3)) == [0, 1, 2]
            assert list(producer.stream(Producer.async_count, 3)) == [0, 1, 2]
            assert producer.ask(Producer.total, feed(range(number % 5))) == sum(range(number % 5))
        return process_time() - began

    some(60)
    before, memory = census(pids), [psutil.Process(pid).memory_info().rss for pid in pids]
    first = some(count // 4)
    some(count // 2)
    last = some(count // 4)
    assert not streams_in(system)
    eventually(lambda: census(pids) <= before, "no more descriptors and threads")
    for pid, was in zip(pids, memory, strict=True):
        assert psutil.Process(pid).memory_info().rss - was < 20 * MIB
    if count > 1_000:  # too short a time says nothing
        assert last < 2 * first, (first, last)


def close_at_once(streams: list[Any]) -> None:
    """Close them, each in a thread of its own."""
    threads = [threading.Thread(target=stream.close) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_two_hundred_streams_at_once_each_have_their_items(system):
    """While others are closed, sent on, and wait for their turn."""
    producers = [system.spawn(Producer) for _ in range(4)]
    concurrent = [system.options(max_concurrency=60).spawn(Many) for _ in range(4)]
    reader = system.spawn(Reader)
    for actor in producers:  # what each process keeps from its first stream on
        assert list(actor.stream(Producer.count, 1)) == [0]
    for several in concurrent:
        with several.stream(Many.rows, 0) as stream:
            assert next(stream) == (0, 0)
            assert several.status().in_hand  # a look at which keeps a file open
    assert reader.ask(Reader.read, concurrent[0].stream(Many.rows, 1), 1) == [(1, 0)]
    before = census([os.getpid()])
    streams = [concurrent[n % 4].options(buffer=3).stream(Many.rows, n) for n in range(200)]
    waiting = [producers[n % 4].stream(Producer.count, 10, n % 10) for n in range(200)]
    for turn in range(30):
        for number, stream in enumerate(streams):
            assert next(stream) == (number, turn)
    for stream in streams[::2]:
        stream.close()
    rest = streams[1::2]
    assert reader.ask(Reader.read, rest.pop(), 5) == [(199, turn) for turn in range(30, 35)]
    for number, stream in enumerate(rest):
        assert next(stream) == (2 * number + 1, 30)
    close_at_once(rest)
    for number, stream in enumerate(waiting):
        assert list(stream) == list(range(number % 10, 10))
    for actor in concurrent:
        eventually(lambda a=actor: not a.status().in_hand, "no generator left")
    eventually(lambda: not streams_in(system), "no file of a stream left")
    eventually(lambda: census([os.getpid()]) <= before, f"no more than {before}")


class Many(Actor):
    async def rows(self, number: int) -> AsyncIterator[tuple[int, int]]:
        turn = 0
        while True:
            yield number, turn
            turn += 1
