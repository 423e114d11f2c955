"""Alarms that raise at random moments of calls, which then must be in order."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from procactors import Actor, ActorSystem

T = TypeVar("T")


class Alarm(TimeoutError):
    """What a user's alarm raises: an `OSError` at that, as the built-in one is."""


class Stop(BaseException):
    """What a user's handler raises that wants the program to end."""


class Echo(Actor):
    def echo(self, value: Any) -> Any:
        return value


class Storm(NamedTuple):
    """What came of many calls.

    Attributes:
        rung: calls that an alarm has ended.
        answered: calls that had their own answer.
    """

    rung: int
    answered: int


@contextlib.contextmanager
def alarms(kind: type[BaseException]) -> Iterator[Callable[..., object]]:
    """Set the timer: in so many seconds, and again after so many each; 0 takes it back."""

    def ring(signum: int, frame: object) -> None:
        raise kind

    def unraised(what: Any) -> None:
        # Python drops what a handler raises on top of a `__del__` or a weak reference's callback.
        if what.exc_type is not kind:
            hook(what)

    before = signal.signal(signal.SIGALRM, ring)
    hook, sys.unraisablehook = sys.unraisablehook, unraised
    try:
        yield lambda first, again=0.0: signal.setitimer(signal.ITIMER_REAL, first, again)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        sys.unraisablehook = hook
        signal.signal(signal.SIGALRM, before)


def broken_off(
    alarm: Callable[..., object],
    kind: type[BaseException],
    first: float,
    call: Callable[[], T],
) -> tuple[bool, T | None]:
    """Call under alarms, the first after so many seconds, then one each millisecond.

    Returns whether one has ended it, and else what it has returned. No alarm is left.
    """
    is_rung, found = False, None
    try:
        try:
            alarm(first, 0.001)
            found = call()
        finally:
            alarm(0.0)
    except kind:
        is_rung = True
    while True:
        try:
            alarm(0.0)  # once more: another one may have come right before the line above
        except kind:
            is_rung = True
        else:
            return is_rung, None if is_rung else found


def storm(system: ActorSystem, how: str, kind: type[BaseException], count: int, seed: int) -> Storm:
    """Make so many calls under alarms.

    Raises:
        AssertionError: an answer is not the call's own, or something is left.
    """
    draw = random.Random(seed)
    rung = answered = 0
    with contextlib.ExitStack() as stack:
        call = CALLS[how](system, stack)
        for number in range(3):
            assert call(number) == number
        before = _open()
        with alarms(kind) as alarm:
            for number in range(count):
                first = draw.uniform(2e-5, 1e-3)
                is_rung, found = broken_off(alarm, kind, first, functools.partial(call, number))
                if is_rung:
                    rung += 1
                else:
                    assert found == number
                    answered += 1
        for number in range(3):
            assert call(number) == number
        descriptors, threads = (now - then for now, then in zip(_open(), before, strict=True))
        # A pool's second batch has a result table of its own; and of what is kept to be written
        # again, a segment has a descriptor.
        assert descriptors <= 4, f"{descriptors} descriptors more than before"
        assert threads <= 0, f"{threads} threads more than before"
    return Storm(rung, answered)


def _open() -> tuple[int, int]:
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count()


def _ask(system: ActorSystem, stack: contextlib.ExitStack) -> Callable[[int], Any]:
    actor = system.spawn(Echo)
    return lambda number: actor.ask(Echo.echo, number)


def _submit(system: ActorSystem, stack: contextlib.ExitStack) -> Callable[[int], Any]:
    actor = system.spawn(Echo)
    return lambda number: actor.submit(Echo.echo, number).result()


def _pool(system: ActorSystem, stack: contextlib.ExitStack) -> Callable[[int], Any]:
    pool = stack.enter_context(system.options(size=1).pool())
    return lambda number: pool.ask(abs, -number)


def _map(system: ActorSystem, stack: contextlib.ExitStack) -> Callable[[int], Any]:
    pool = stack.enter_context(system.options(size=1).pool())
    return lambda number: sum(pool.map(abs, [-number, -1, 1])) - 2


def _share(system: ActorSystem, stack: contextlib.ExitStack) -> Callable[[int], Any]:
    def call(number: int) -> int:
        with system.share([number]) as shared:
            (found,) = shared.get()
            return int(found)

    return call


CALLS: dict[str, Callable[[ActorSystem, contextlib.ExitStack], Callable[[int], Any]]] = {
    "ask": _ask,
    "submit": _submit,
    "pool": _pool,
    "map": _map,
    "share": _share,
}
