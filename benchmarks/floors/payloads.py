"""Large arguments: a kept shared map, a stock pipe, a copy in memory.

Measures: µs a payload.
How: in turn through some payloads; what receives them reads each byte, or only looks at their size.
Never: makes new pages for each, but for the stock pipe, which does.
"""

from __future__ import annotations

import mmap
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.actors import Payload, total_of, view_of
from benchmarks.floors.child import (
    END_S,
    READ_BYTES,
    child,
    encode,
    fork,
)
from benchmarks.rounds import Round, timed


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
    process = fork.Process(
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
    ours, theirs = fork.Pipe()
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
