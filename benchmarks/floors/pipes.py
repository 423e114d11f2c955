"""Bare pipes: a request and its reply, many requests at once, and messages one way.

Measures: µs a call, calls a second, messages a second.
How: one write a message; reads that block, or that spin first.
Never: checks more than that a reply belongs to its call.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from time import perf_counter_ns, sleep

from benchmarks.actors import Counter
from benchmarks.floors.child import (
    END_S,
    FIRST,
    READ_BYTES,
    child,
    encode,
    fork,
    handled,
    whole_messages,
    wide_pipes,
)
from benchmarks.places import FREE, Place, cores_apart, kept_on
from benchmarks.processor import costed
from benchmarks.rounds import Round, rate, timed

#: How long a spinning reader tries before it blocks, in ns.
SPIN_NS = 50_000

Read = Callable[[], bytes]


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


def serve_pipes(
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
def pipe_calls(
    way: Callable[[int], Read], calls: int, rest_s: float = 0.0, place: Place = FREE
) -> Iterator[Round]:
    """Ask through two bare pipes, both sides reading in the same way.

    Two spinning processes are kept on two cores: where the scheduler puts both on one, each spins
    while the other should run, and the "floor" is higher than that of blocking reads. Blocking
    ones are left to the scheduler, as the runtime's are.

    Args:
        way: `blocking` or `spinning`.
        calls: how many a round.
        rest_s: seconds of sleep before each call, outside the measure.
        place: the cores of both sides; spinning ones that are left free get two all the same.
    """
    (requests, to_child), (from_child, replies) = os.pipe(), os.pipe()
    apart = way is spinning and place is FREE
    here, there = (cores_apart() if apart else None) or (None, None)
    with child(serve_pipes, way, requests, replies, there) as process:
        place.settle(process.pid)
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
            yield costed(turn, calls, [process.pid])
        finally:
            os.write(to_child, pickle.dumps(None))
    for descriptor in (requests, to_child, from_child, replies):
        os.close(descriptor)


def _serve_many(requests: int, replies: int) -> None:
    """Answer requests of one fixed length, one write a reply, until the pipe is closed."""
    counter = Counter(FIRST)
    for data in whole_messages(requests, len(encode(FIRST, 1))):
        os.write(replies, pickle.dumps(handled(counter, pickle.loads(data)), 5))


@contextmanager
def pipelined_pipe_calls(calls: int, place: Place = FREE) -> Iterator[Round]:
    """Ask through two bare pipes: all requests are written, one write each, then the replies read.

    A child inherits all ends, so the pipe has no end of file: it is told by its signal.
    """
    with wide_pipes() as (requests, to_child, from_child, replies):
        process = fork.Process(target=_serve_many, args=(requests, replies), daemon=True)
        process.start()
        place.settle(process.pid)
        length = len(pickle.dumps((FIRST, FIRST), 5))

        def work() -> None:
            for call in range(FIRST, FIRST + calls):
                os.write(to_child, encode(call, 1))
            answers = whole_messages(from_child, length)
            for call in range(FIRST, FIRST + calls):
                answered, _ = pickle.loads(next(answers))
                check_same(answered, call)

        try:
            yield costed(partial(rate, work, calls), calls, [process.pid])
        finally:
            process.terminate()
            process.join(END_S)
            process.close()


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


def _serve_stream(requests: int, replies: int) -> None:
    """Serve one-way requests of one fixed length, as many as each read holds."""
    counter = Counter()
    for data in whole_messages(requests, len(encode(0, 1))):
        call, _ = handled(counter, pickle.loads(data))
        if call == 1:  # the last of a round
            os.write(replies, b"!")
        elif call == 2:
            return


@contextmanager
def pipe_one_way(messages: int, place: Place = FREE) -> Iterator[Round]:
    """Send one way through a bare pipe, one write a message, up to the last one's being handled."""
    (requests, to_child), (from_child, replies) = os.pipe(), os.pipe()
    with child(_serve_stream, requests, replies) as process:
        place.settle(process.pid)

        def send() -> None:
            for _ in range(messages - 1):
                os.write(to_child, encode(0, 1))
            os.write(to_child, encode(1, 1))
            os.read(from_child, 1)

        try:
            yield costed(partial(rate, send, messages), messages, [process.pid])
        finally:
            os.write(to_child, encode(2, 1))
    for descriptor in (requests, to_child, from_child, replies):
        os.close(descriptor)


def _serve_senders(orders: int, to_receiver: int) -> None:
    """Write as many requests as an order says, in 8 bytes; until killed."""
    while order := os.read(orders, 8):
        for _ in range(int.from_bytes(order, "little")):
            os.write(to_receiver, encode(FIRST, 1))


def _serve_counted(requests: int, replies: int, messages: int) -> None:
    """Handle requests of one fixed length; answer whenever so many have come; until killed."""
    counter = Counter(FIRST)
    for number, data in enumerate(whole_messages(requests, len(encode(FIRST, 1))), 1):
        handled(counter, pickle.loads(data))
        if number % messages == 0:
            os.write(replies, b"!")


@contextmanager
def pipe_senders(senders: int, messages: int) -> Iterator[Round]:
    """Have processes write to one bare pipe at the same time, up to the last one's being handled.

    A write of so few bytes is one piece for the kernel: writers need no lock.
    """
    with ExitStack() as stack:
        requests, to_receiver, from_receiver, replies = stack.enter_context(wide_pipes())
        orders = [os.pipe() for _ in range(senders)]
        for end in (end for pipe in orders for end in pipe):
            stack.callback(os.close, end)
        receiver = fork.Process(target=_serve_counted, args=(requests, replies, messages))
        writers = [
            fork.Process(target=_serve_senders, args=(order, to_receiver)) for order, _ in orders
        ]
        for process in (receiver, *writers):
            process.start()
            stack.callback(process.join, END_S)
            stack.callback(process.terminate)
        share = (messages // senders).to_bytes(8, "little")

        def work() -> None:
            for _, order in orders:
                os.write(order, share)
            os.read(from_receiver, 1)

        yield partial(rate, work, messages)
