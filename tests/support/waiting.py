"""Waiting for a fact, with a limit: the only place in the tests that sleeps."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError as FutureTimeout
from typing import Any, TypeVar

from procactors.wire.endpoint import actor_path
from procactors.wire.mailbox.tokens import bytes_in

#: Seconds that something may take which is over at once on an idle machine. A watchdog, never
#: an expectation: tests run on busy machines.
SHORT_S = 30.0

#: The same for what takes a while even on an idle machine.
LONG_S = 300.0

#: Seconds by which two clocks, or a clock and a timer, may disagree. A lower bound allows for it.
CLOCK_TOLERANCE_S = 0.1

#: Seconds between looks: first, and at most. The first looks come quickly since most facts are
#: nearly there, the later ones seldom so that many waiters leave the machine to what they await.
FIRST_LOOK_S, LAST_LOOK_S = 0.001, 0.05

T = TypeVar("T")


def eventually(condition: Callable[[], T], what: str, timeout: float = SHORT_S) -> T:
    """Call `condition` until it is true, and return its value.

    Raises:
        AssertionError: after `timeout` seconds; it names `what` was awaited and what came instead.
    """
    deadline = time.monotonic() + timeout
    pause = FIRST_LOOK_S
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}, but found {value!r}")
        time.sleep(pause)
        pause = min(2 * pause, LAST_LOOK_S)
    return value


def bytes_waiting(ref: Any) -> int:
    """Return how many bytes are in an actor's pipe: the runtime's own records too."""
    pipe = os.path.join(actor_path(ref._runtime_dir, ref._actor), "pipe")
    fd = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return bytes_in(fd)
    finally:
        os.close(fd)


def within(call: Callable[..., T], *args: Any, timeout: float = SHORT_S) -> T:
    """Make a call that must be over in time, and return its value.

    Raises:
        AssertionError: it is still at it after `timeout` seconds, and goes on in its thread.
    """
    future = aside(call, *args)
    try:
        return future.result(timeout)
    except FutureTimeout:
        if future.done():  # its own error
            raise
        name = getattr(call, "__qualname__", repr(call))
        raise AssertionError(f"waited {timeout:g} s for {name}{args!r} to be over") from None


def aside(call: Callable[..., T], *args: Any) -> Future[T]:
    """Make a call that may block in a thread of its own, which no end of a test waits for."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call(*args))
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
