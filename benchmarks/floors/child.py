"""What all floors share: a forked child, the message that they send, and pipes for many of them.

Measures: nothing.
How: the request is the pickled tuple of call number, method name, arguments and keywords; the reply
that of call number and result.
Never: leaves a process behind.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fcntl import F_SETPIPE_SZ, fcntl
from multiprocessing.context import ForkProcess
from typing import Any

from benchmarks.actors import Counter

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

fork = multiprocessing.get_context("fork")


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
    process = fork.Process(target=serve, args=args, daemon=daemon)
    process.start()
    try:
        yield process
    finally:
        process.join(END_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        process.close()


def whole_messages(descriptor: int, length: int) -> Iterator[bytes]:
    """Yield messages of one length, as many as each read holds, up to the pipe's end."""
    rest = b""
    while data := os.read(descriptor, 65_536):
        data = rest + data
        whole = len(data) - len(data) % length
        for at in range(0, whole, length):
            yield data[at : at + length]
        rest = data[whole:]


@contextmanager
def wide_pipes() -> Iterator[tuple[int, int, int, int]]:
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
