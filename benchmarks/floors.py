"""The floors: what bare primitives reach with the same message and the same handler.

Measures: a request and its reply, one-way messages, a process's start, a copy of memory.
How: every floor serves `Counter` from a child process forked before any thread runs; the request is
the pickled tuple of call number, method name, arguments and keywords, the reply that of call number
and result. Nothing is checked, framed or supervised: no runtime can leave more out.
Never: touches the runtime, leaves a process behind.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from time import perf_counter_ns, sleep
from typing import Any

from benchmarks.actors import Counter, Sieve, total_of, view_of
from benchmarks.rounds import Round, rate, timed

#: How long a spinning reader tries before it blocks, in ns.
SPIN_NS = 50_000

#: The largest read, in bytes: many times a message of these floors.
READ_BYTES = 4_096

#: How long a child may take to end once it was told to, in seconds.
END_S = 5.0

_fork = multiprocessing.get_context("fork")

Read = Callable[[], bytes]


def encode(call: int, by: int) -> bytes:
    """Answer the request that every floor sends: add a number."""
    return pickle.dumps((call, "add", (by,), {}), 5)


def handled(counter: Counter, request: Any) -> tuple[int, Any]:
    """Do what the request says and answer call number and result."""
    call, method, args, kwargs = request
    return call, getattr(counter, method)(*args, **kwargs)


@contextmanager
def child(serve: Callable[..., None], *args: Any, daemon: bool = True) -> Iterator[ForkProcess]:
    """Fork a process for the length of a block; its own channel tells it to end; then reap it."""
    process = _fork.Process(target=serve, args=args, daemon=daemon)
    process.start()
    try:
        yield process
    finally:
        process.join(END_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        process.close()


# -- a request and its reply through bare pipes ------------------------


def blocking(descriptor: int) -> Read:
    """Answer a read that blocks."""
    return partial(os.read, descriptor, READ_BYTES)


def spinning(descriptor: int) -> Read:
    """Answer a read that tries for up to 50 µs, without yielding, and then blocks.

    The pipe's read end is opened a second time, without blocking: the flag belongs to the open
    file, and setting it on the first one would take the blocking read away.
    """
    eager = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_NONBLOCK)

    def read() -> bytes:
        limit = perf_counter_ns() + SPIN_NS
        while True:
            try:
                return os.read(eager, READ_BYTES)
            except BlockingIOError:
                if perf_counter_ns() > limit:
                    return os.read(descriptor, READ_BYTES)

    return read


def cores_apart() -> tuple[int, int] | None:
    """Answer two usable cores, or None where there are fewer."""
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else None


@contextmanager
def kept_on(core: int | None) -> Iterator[None]:
    """Keep this thread on one core for the length of a block; None leaves it free."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _serve_pipes(
    way: Callable[[int], Read], requests: int, replies: int, core: int | None = None
) -> None:
    read, counter = way(requests), Counter()
    with kept_on(core):
        while data := read():
            request = pickle.loads(data)
            if request is None:
                break
            os.write(replies, pickle.dumps(handled(counter, request), 5))


@contextmanager
def pipe_calls(way: Callable[[int], Read], calls: int, rest_s: float = 0.0) -> Iterator[Round]:
    """Ask through two bare pipes, both sides reading in the same way.

    Two spinning processes are kept on two cores: where the scheduler puts both on one, each spins
    while the other should run, and the "floor" is higher than that of blocking reads. Blocking
    ones are left to the scheduler, as the runtime's are.

    Args:
        way: `blocking` or `spinning`.
        calls: how many a round.
        rest_s: seconds of sleep before each call, outside the measure.
    """
    (requests, to_child), (from_child, replies) = os.pipe(), os.pipe()
    here, there = (cores_apart() if way is spinning else None) or (None, None)
    with child(_serve_pipes, way, requests, replies, there):
        read, ask = way(from_child), 0

        def call() -> int:
            nonlocal ask
            ask += 1
            os.write(to_child, encode(ask, 1))
            answered, value = pickle.loads(read())
            check_same(answered, ask)
            return int(value)

        def turn() -> list[float]:
            with kept_on(here):
                return rested(call, calls, rest_s) if rest_s else timed(call, calls)

        try:
            yield turn
        finally:
            os.write(to_child, pickle.dumps(None))
    for descriptor in (requests, to_child, from_child, replies):
        os.close(descriptor)


def rested(call: Callable[[], object], calls: int, rest_s: float) -> list[float]:
    """Time each call after a rest, so that both processes are asleep when it begins."""
    took = []
    for _ in range(calls):
        sleep(rest_s)
        took += timed(call, 1)
    return took


def check_same(answered: int, asked: int) -> None:
    """Refuse a reply that belongs to another call, as any runtime has to."""
    if answered != asked:
        raise RuntimeError(f"call {asked} got the reply of call {answered}")


# -- the stock Queue ---------------------------------------------------


def _serve_queue(queue: Any, back: Connection) -> None:
    """Serve from a stock Queue; the reply goes to the request's own pipe or the common one."""
    counter = Counter()
    while (item := queue.get()) is not None:
        request, port = item
        reply = handled(counter, request)
        if port is None:
            back.send(reply)
        elif port is not False:  # False: nobody waits for this one
            port.send(reply)
            port.close()


@contextmanager
def _queue_child() -> Iterator[tuple[Any, Connection]]:
    queue, (reader, writer) = _fork.Queue(), _fork.Pipe(duplex=False)
    with child(_serve_queue, queue, writer):
        try:
            yield queue, reader
        finally:
            queue.put(None)
    queue.close()
    queue.join_thread()
    reader.close()
    writer.close()


@contextmanager
def queue_calls_reused_pipe(calls: int) -> Iterator[Round]:
    """Ask through a stock Queue, with one pipe back for all calls."""
    with _queue_child() as (queue, reader):

        def call() -> int:
            queue.put(((1, "add", (1,), {}), None))
            return int(reader.recv()[1])

        yield partial(timed, call, calls)


@contextmanager
def queue_calls_fresh_pipe(calls: int) -> Iterator[Round]:
    """Ask through a stock Queue, with a new pipe for each call, sent along in the message."""
    with _queue_child() as (queue, _):

        def call() -> int:
            reader, writer = _fork.Pipe(duplex=False)
            with reader, writer:
                queue.put(((1, "add", (1,), {}), writer))
                return int(reader.recv()[1])

        yield partial(timed, call, calls)


@contextmanager
def queue_one_way(messages: int) -> Iterator[Round]:
    """Send one way through a stock Queue, up to the last message's being handled."""
    with _queue_child() as (queue, reader):

        def send() -> None:
            for _ in range(messages - 1):
                queue.put(((1, "add", (1,), {}), False))
            queue.put(((1, "add", (1,), {}), None))
            reader.recv()

        yield partial(rate, send, messages)


def _serve_stream(requests: int, replies: int) -> None:
    """Serve one-way requests of one fixed length, as many as each read holds."""
    counter, length = Counter(), len(encode(0, 1))
    rest = b""
    while data := os.read(requests, 65_536):
        data = rest + data
        whole = len(data) - len(data) % length
        for at in range(0, whole, length):
            call, _ = handled(counter, pickle.loads(data[at : at + length]))
            if call == 1:  # the last of a round
                os.write(replies, b"!")
            elif call == 2:
                return
        rest = data[whole:]


@contextmanager
def pipe_one_way(messages: int) -> Iterator[Round]:
    """Send one way through a bare pipe, one write a message, up to the last one's being handled."""
    (requests, to_child), (from_child, replies) = os.pipe(), os.pipe()
    with child(_serve_stream, requests, replies):

        def send() -> None:
            for _ in range(messages - 1):
                os.write(to_child, encode(0, 1))
            os.write(to_child, encode(1, 1))
            os.read(from_child, 1)

        try:
            yield partial(rate, send, messages)
        finally:
            os.write(to_child, encode(2, 1))
    for descriptor in (requests, to_child, from_child, replies):
        os.close(descriptor)


# -- a process's start -------------------------------------------------


def start_to_first_reply() -> float:
    """Fork a process, send it one request, and answer how long the reply took, in ms."""
    before = perf_counter_ns()
    (requests, to_child), (from_child, replies) = os.pipe(), os.pipe()
    process = _fork.Process(target=_serve_pipes, args=(blocking, requests, replies))
    process.start()
    os.write(to_child, encode(1, 1))
    os.read(from_child, READ_BYTES)
    took = (perf_counter_ns() - before) / 1_000_000
    os.write(to_child, pickle.dumps(None))
    process.join()
    process.close()
    for descriptor in (requests, to_child, from_child, replies):
        os.close(descriptor)
    return took


def _serve_starts(orders: Connection, measuring: Connection) -> None:
    measuring.close()  # or else the end of the measuring process would never show as end of file
    while (count := orders.recv()) is not None:
        orders.send([start_to_first_reply() for _ in range(count)])


@contextmanager
def fork_starts(count: int, pause_s: float) -> Iterator[Round]:
    """Start bare forked processes from a clean process of one thread, with a pause before each.

    The measuring process itself cannot be the one that forks: the runtime under measure gives it
    threads, and a fork from a process with threads may deadlock.
    """
    ours, theirs = _fork.Pipe()
    with child(_serve_starts, theirs, ours, daemon=False):
        theirs.close()

        def start() -> list[float]:
            took: list[float] = []
            for _ in range(count):
                sleep(pause_s)
                ours.send(1)
                took += ours.recv()
            return took

        try:
            yield start
        finally:
            ours.send(None)
    ours.close()


@contextmanager
def idle_child() -> Iterator[int]:
    """Keep a forked process that has answered one request; yields its process id."""
    (requests, to_child), (from_child, replies) = os.pipe(), os.pipe()
    with child(_serve_pipes, blocking, requests, replies) as process:
        os.write(to_child, encode(1, 1))
        os.read(from_child, READ_BYTES)
        try:
            yield process.pid or 0
        finally:
            os.write(to_child, pickle.dumps(None))
    for descriptor in (requests, to_child, from_child, replies):
        os.close(descriptor)


# -- work for the processor --------------------------------------------


def _serve_work(orders: Connection) -> None:
    sieve = Sieve()
    while (order := orders.recv()) is not None:
        times, start, stop = order
        orders.send([sieve.count(start, stop) for _ in range(times)])


@contextmanager
def forked_work(processes: int, times: int, start: int, stop: int) -> Iterator[Round]:
    """Do a piece of work so many times in each of some forked processes, one order to each."""
    with ExitStack() as stack:
        ends = []
        for _ in range(processes):
            ours, theirs = _fork.Pipe()
            stack.enter_context(child(_serve_work, theirs))
            stack.callback(ours.send, None)
            ends.append(ours)

        def work() -> None:
            for end in ends:
                end.send((times, start, stop))
            for end in ends:
                end.recv()

        yield partial(timed, work, 1)


# -- a copy of memory --------------------------------------------------


@contextmanager
def memory_copies(payload: Any, calls: int, read: bool = False) -> Iterator[Round]:
    """Copy the payload's bytes to memory that is mapped; with ``read``, then read them all."""
    source = view_of(payload)
    warm = type(payload)(bytearray(source)) if not hasattr(payload, "copy") else payload.copy()
    destination = view_of(warm)

    def copy() -> int:
        destination[:] = source
        return total_of(warm) if read else 0

    yield partial(timed, copy, calls)
