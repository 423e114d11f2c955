"""The floors: what bare primitives reach with the same message and the same handler.

Measures: a request and its reply, one-way messages, a process's start, a copy of memory, items
given to workers.
How: every floor serves `Counter` from a child process forked before any thread runs; the request is
the pickled tuple of call number, method name, arguments and keywords, the reply that of call number
and result. Nothing is checked, framed or supervised: no runtime can leave more out.
Never: touches the runtime, leaves a process behind.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from fcntl import F_SETPIPE_SZ, fcntl
from functools import partial
from itertools import cycle
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from time import perf_counter_ns, process_time_ns, sleep
from typing import Any

from benchmarks.actors import Counter, Held, Payload, Sieve, count_to, square, total_of, view_of
from benchmarks.places import FREE, Place, cores_apart, kept_on
from benchmarks.processor import costed, used_ns
from benchmarks.rounds import Costed, Round, rate, timed

#: How long a spinning reader tries before it blocks, in ns.
SPIN_NS = 50_000

#: The largest read, in bytes: many times a message of these floors.
READ_BYTES = 4_096

#: Where call numbers and sums begin where messages are told apart by their length alone: from here
#: on, and up to 2^31, pickle writes each number in as many bytes.
FIRST = 100_000

#: Room of the pipes of pipelined calls, in bytes: as much as an unprivileged process may have, so
#: that thousands of requests fit before the first reply is read.
PIPE_BYTES = 1 << 20

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
    with child(_serve_pipes, way, requests, replies, there) as process:
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


def _whole(descriptor: int, length: int) -> Iterator[bytes]:
    """Yield messages of one length, as many as each read holds, up to the pipe's end."""
    rest = b""
    while data := os.read(descriptor, 65_536):
        data = rest + data
        whole = len(data) - len(data) % length
        for at in range(0, whole, length):
            yield data[at : at + length]
        rest = data[whole:]


def _serve_many(requests: int, replies: int) -> None:
    """Answer requests of one fixed length, one write a reply, until the pipe is closed."""
    counter = Counter(FIRST)
    for data in _whole(requests, len(encode(FIRST, 1))):
        os.write(replies, pickle.dumps(handled(counter, pickle.loads(data)), 5))


@contextmanager
def _wide_pipes() -> Iterator[tuple[int, int, int, int]]:
    """Yield a pipe there and one back, as `os.pipe` does, with room for thousands of messages."""
    there, back = os.pipe(), os.pipe()
    try:
        for descriptor in (there[1], back[1]):
            fcntl(descriptor, F_SETPIPE_SZ, PIPE_BYTES)
        yield (*there, *back)
    finally:
        for descriptor in (*there, *back):
            with suppress(OSError):  # closed already, to end the other side
                os.close(descriptor)


@contextmanager
def pipelined_pipe_calls(calls: int, place: Place = FREE) -> Iterator[Round]:
    """Ask through two bare pipes: all requests are written, one write each, then the replies read.

    A child inherits all ends, so the pipe has no end of file: it is told by its signal.
    """
    with _wide_pipes() as (requests, to_child, from_child, replies):
        process = _fork.Process(target=_serve_many, args=(requests, replies), daemon=True)
        process.start()
        place.settle(process.pid)
        length = len(pickle.dumps((FIRST, FIRST), 5))

        def work() -> None:
            for call in range(FIRST, FIRST + calls):
                os.write(to_child, encode(call, 1))
            answers = _whole(from_child, length)
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


# -- the stock Queue ---------------------------------------------------


def _serve_queue(queue: Any, back: Connection) -> None:
    """Serve from a stock Queue; the reply goes to the request's own pipe or the common one."""
    counter = Held()
    while (item := queue.get()) is not None:
        request, port = item
        reply = handled(counter, request)
        if port is None:
            back.send(reply)
        elif port is not False:  # False: nobody waits for this one
            port.send(reply)
            port.close()


@contextmanager
def queue_child() -> Iterator[tuple[Any, Connection, int | None]]:
    """Keep a process behind a stock Queue; yields the queue, the pipe back, and its id."""
    queue, (reader, writer) = _fork.Queue(), _fork.Pipe(duplex=False)
    with child(_serve_queue, queue, writer) as process:
        try:
            yield queue, reader, process.pid
        finally:
            queue.put(None)
    queue.close()
    queue.join_thread()
    reader.close()
    writer.close()


@contextmanager
def queue_calls_reused_pipe(calls: int, place: Place = FREE) -> Iterator[Round]:
    """Ask through a stock Queue, with one pipe back for all calls."""
    with queue_child() as (queue, reader, pid):
        place.settle(pid)

        def call() -> int:
            queue.put(((1, "add", (1,), {}), None))
            return int(reader.recv()[1])

        yield costed(partial(timed, call, calls), calls, [pid])


@contextmanager
def queue_calls_fresh_pipe(calls: int, place: Place = FREE) -> Iterator[Round]:
    """Ask through a stock Queue, with a new pipe for each call, sent along in the message."""
    with queue_child() as (queue, _, pid):
        place.settle(pid)

        def call() -> int:
            reader, writer = _fork.Pipe(duplex=False)
            with reader, writer:
                queue.put(((1, "add", (1,), {}), writer))
                return int(reader.recv()[1])

        yield partial(timed, call, calls)


@contextmanager
def queue_one_way(messages: int, place: Place = FREE) -> Iterator[Round]:
    """Send one way through a stock Queue, up to the last message's being handled."""
    with queue_child() as (queue, reader, pid):
        place.settle(pid)

        def send() -> None:
            for _ in range(messages - 1):
                queue.put(((1, "add", (1,), {}), False))
            queue.put(((1, "add", (1,), {}), None))
            reader.recv()

        yield costed(partial(rate, send, messages), messages, [pid])


def _serve_stream(requests: int, replies: int) -> None:
    """Serve one-way requests of one fixed length, as many as each read holds."""
    counter = Counter()
    for data in _whole(requests, len(encode(0, 1))):
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
    for number, data in enumerate(_whole(requests, len(encode(FIRST, 1))), 1):
        handled(counter, pickle.loads(data))
        if number % messages == 0:
            os.write(replies, b"!")


@contextmanager
def pipe_senders(senders: int, messages: int) -> Iterator[Round]:
    """Have processes write to one bare pipe at the same time, up to the last one's being handled.

    A write of so few bytes is one piece for the kernel: writers need no lock.
    """
    with ExitStack() as stack:
        requests, to_receiver, from_receiver, replies = stack.enter_context(_wide_pipes())
        orders = [os.pipe() for _ in range(senders)]
        for end in (end for pipe in orders for end in pipe):
            stack.callback(os.close, end)
        receiver = _fork.Process(target=_serve_counted, args=(requests, replies, messages))
        writers = [
            _fork.Process(target=_serve_senders, args=(order, to_receiver)) for order, _ in orders
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


# -- a process's start -------------------------------------------------


@contextmanager
def _started(core: int | None = None) -> Iterator[tuple[int, int]]:
    """Fork a process and send it one request; yields its id and the end to read the reply from."""
    (requests, to_child), (from_child, replies) = os.pipe(), os.pipe()
    with child(_serve_pipes, blocking, requests, replies, core) as process:
        os.write(to_child, encode(1, 1))
        try:
            yield process.pid or 0, from_child
        finally:
            os.write(to_child, pickle.dumps(None))
    for descriptor in (requests, to_child, from_child, replies):
        os.close(descriptor)


def _start_to_first_reply(core: int | None) -> tuple[float, float, float]:
    """Start one process, on one core if that is given.

    Returns:
        How long the first reply took, in ms; processor time of both sides until then, in µs.
    """
    before, here = perf_counter_ns(), process_time_ns()
    with _started(core) as (pid, from_child):
        os.read(from_child, READ_BYTES)
        took = (perf_counter_ns() - before) / 1_000_000
        there, here = used_ns(pid), process_time_ns() - here
    return took, here / 1_000, there / 1_000


def _starts_in_a_row(count: int) -> float:
    """Start processes, then read the first reply of each; answer how many that are a second."""
    before = perf_counter_ns()
    with ExitStack() as stack:
        for _, from_child in [stack.enter_context(_started()) for _ in range(count)]:
            os.read(from_child, READ_BYTES)
        took = perf_counter_ns() - before
    return count * 1_000_000_000 / took


def _serve_starts(orders: Connection, measuring: Connection) -> None:
    measuring.close()  # or else the end of the measuring process would never show as end of file
    while (order := orders.recv()) is not None:
        begin, argument = order
        orders.send(begin(argument))


@contextmanager
def _starter() -> Iterator[tuple[Connection, int | None]]:
    """Keep a clean process of one thread that starts others; yields its channel, and its id.

    The measuring process itself cannot be the one that forks: the runtime under measure gives it
    threads, and a fork from a process with threads may deadlock.
    """
    ours, theirs = _fork.Pipe()
    with child(_serve_starts, theirs, ours, daemon=False) as process:
        theirs.close()
        try:
            yield ours, process.pid
        finally:
            ours.send(None)
    ours.close()


@contextmanager
def fork_starts(count: int, pause_s: float, place: Place = FREE) -> Iterator[Round]:
    """Start bare forked processes from a clean process, with a pause before each."""
    with _starter() as (orders, pid):
        place.settle_caller(pid)

        def start() -> Costed:
            found = []
            for _ in range(count):
                sleep(pause_s)
                orders.send((_start_to_first_reply, place.core_there))
                found.append(orders.recv())
            took, here, there = (list(column) for column in zip(*found, strict=True))
            return Costed(took, sum(here) / count, sum(there) / count)

        yield start


@contextmanager
def fork_crowds(count: int) -> Iterator[Round]:
    """Start so many bare forked processes in a row, and end them all."""
    with _starter() as (orders, _):

        def start() -> list[float]:
            orders.send((_starts_in_a_row, count))
            return [orders.recv()]

        yield start


@contextmanager
def idle_child() -> Iterator[int]:
    """Keep a forked process that has answered one request; yields its process id."""
    with _started() as (pid, from_child):
        os.read(from_child, READ_BYTES)
        yield pid


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


# -- items for two workers ---------------------------------------------


def _serve_items(requests: int, replies: int) -> None:
    """Answer each item with its square: one write a reply, until killed."""
    for data in _whole(requests, len(pickle.dumps(FIRST, 5))):
        os.write(replies, pickle.dumps((square(pickle.loads(data)),), 5))


@contextmanager
def single_items(workers: int, items: int) -> Iterator[Round]:
    """Give workers one item after the other through bare pipes, one write each; read the squares.

    Squares differ in length, so the replies are counted by their pickles' ends.
    """
    with ExitStack() as stack:
        pipes = [stack.enter_context(_wide_pipes()) for _ in range(workers)]
        for requests, _, _, replies in pipes:
            process = _fork.Process(target=_serve_items, args=(requests, replies), daemon=True)
            process.start()
            stack.callback(process.join, END_S)
            stack.callback(process.terminate)
        ends = [
            (to_worker, os.fdopen(back, "rb", closefd=False)) for _, to_worker, back, _ in pipes
        ]

        def work() -> None:
            for number in range(items):
                os.write(ends[number % workers][0], pickle.dumps(FIRST + number, 5))
            for number in range(items):
                (found,) = pickle.load(ends[number % workers][1])
                if found != (FIRST + number) ** 2:
                    raise RuntimeError(f"item {number} came back as {found}")

        yield partial(rate, work, items)


def _serve_counts(requests: Connection) -> None:
    while (items := requests.recv()) is not None:
        requests.send([count_to(turns) for turns in items])


def _serve_batches(requests: Connection) -> None:
    while (numbers := requests.recv()) is not None:
        requests.send([square(number) for number in numbers])


@contextmanager
def _batch_workers(workers: int, serve: Callable[[Connection], None]) -> Iterator[list[Connection]]:
    """Keep workers, each behind a stock pipe; yields the pipes."""
    with ExitStack() as stack:
        ends = []
        for _ in range(workers):
            ours, theirs = _fork.Pipe()
            stack.enter_context(child(serve, theirs))
            stack.callback(ours.send, None)
            ends.append(ours)
        yield ends


def _shared_out(ends: list[Connection], items: list[int]) -> list[int]:
    """Send each worker its whole share as one list, and answer all results in order."""
    share = -(-len(items) // len(ends))
    for number, end in enumerate(ends):
        end.send(items[number * share : (number + 1) * share])
    return [found for end in ends for found in end.recv()]


@contextmanager
def batched_items(workers: int, items: int) -> Iterator[Round]:
    """Give each worker its whole share as one list; read lists of squares."""
    with _batch_workers(workers, _serve_batches) as ends:

        def work() -> None:
            found = _shared_out(ends, list(range(items)))
            if len(found) != items or found[-1] != (items - 1) ** 2:
                raise RuntimeError(f"expected {items} squares, found {len(found)}")

        yield partial(rate, work, items)


@contextmanager
def counted_items(workers: int, items: list[int]) -> Iterator[Round]:
    """Have workers count, each its whole share; answers how long all took, in µs."""
    with _batch_workers(workers, _serve_counts) as ends:

        def work() -> None:
            if _shared_out(ends, items) != items:
                raise RuntimeError("not every item was counted")

        yield partial(timed, work, 1)


# -- a kept shared segment ---------------------------------------------


def _serve_segment(segment: mmap.mmap, requests: int, replies: int, read: bool) -> None:
    """Read the number of bytes that a request names from the segment, each one, until killed."""
    while data := os.read(requests, READ_BYTES):
        view = memoryview(segment)[: pickle.loads(data)[2][0]]
        os.write(replies, pickle.dumps((1, _weighed(view, read)), 5))


def _weighed(view: memoryview, read: bool) -> int:
    return total_of(_as_array(view)) if read else view.nbytes


def _as_array(view: memoryview) -> Any:
    try:
        import numpy as np
    except ImportError:
        return Payload(view)
    return np.frombuffer(view, dtype=np.int64)


@contextmanager
def kept_segment(payloads: list[Any], calls: int, read: bool = True) -> Iterator[Round]:
    """Copy each payload in turn to a kept shared map, say so by a bare pipe; there it is read.

    This is the least that moves bytes to another process: one copy into pages that both sides have
    mapped, and that neither gives back.
    """
    following = cycle(payloads)
    (requests, to_child), (from_child, replies) = os.pipe(), os.pipe()
    segment = mmap.mmap(-1, view_of(payloads[0]).nbytes)
    process = _fork.Process(
        target=_serve_segment, args=(segment, requests, replies, read), daemon=True
    )
    process.start()
    expected = total_of(payloads[0]) if read else view_of(payloads[0]).nbytes

    def call() -> None:
        source = view_of(next(following))
        segment[: source.nbytes] = source
        os.write(to_child, encode(1, source.nbytes))
        _, total = pickle.loads(os.read(from_child, READ_BYTES))
        if total != expected:
            raise RuntimeError("the other side has read something else")

    try:
        yield partial(timed, call, calls)
    finally:
        process.terminate()
        process.join(END_S)
        for descriptor in (requests, to_child, from_child, replies):
            os.close(descriptor)
        segment.close()


@contextmanager
def piped_payload(payloads: list[Any], calls: int, read: bool = True) -> Iterator[Round]:
    """Send the bytes of each payload in turn through a stock pipe, and have them read there."""
    following = cycle(payloads)
    ours, theirs = _fork.Pipe()
    with child(_serve_bytes, theirs, read):

        def call() -> None:
            ours.send_bytes(view_of(next(following)))
            ours.recv()

        try:
            yield partial(timed, call, calls)
        finally:
            ours.send_bytes(b"")


def _serve_bytes(requests: Connection, read: bool) -> None:
    while data := requests.recv_bytes():
        requests.send(_weighed(memoryview(data), read))


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
