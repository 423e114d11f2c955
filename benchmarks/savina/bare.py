"""What the hand-written programs share: forked processes, each with a pipe to the main program.

Measures: nothing.
How: `multiprocessing` by fork, from a process without threads; None on its pipe ends a process.
Never: supervises: a process that dies leaves the others waiting, as such programs do.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from benchmarks import floors

fork = multiprocessing.get_context("fork")

Pipe, Queue, SimpleQueue = fork.Pipe, fork.Queue, fork.SimpleQueue


@contextmanager
def processes(
    count: int, serve: Callable[..., None], *args: Any, daemon: bool = True
) -> Iterator[list[Connection]]:
    """Fork processes that call ``serve(pipe, number, *args)``; yields our ends of their pipes."""
    with ExitStack() as stack:
        ends: list[Connection] = []
        for number in range(count):
            ours, theirs = Pipe()
            stack.enter_context(floors.child(serve, theirs, number, *args, daemon=daemon))
            theirs.close()
            stack.callback(ours.close)
            ends.append(ours)
        yield ends
        for end in ends:
            with suppress(OSError):  # it has ended by a way of its own
                end.send(None)


def orders(pipe: Connection) -> Iterator[Any]:
    """Yield what the main program sends, up to the None that ends the process."""
    while (order := pipe.recv()) is not None:
        yield order


def all_of(ends: list[Connection], order: object) -> list[Any]:
    """Give each process the same order, and answer what they send back."""
    for end in ends:
        end.send(order)
    return [end.recv() for end in ends]
