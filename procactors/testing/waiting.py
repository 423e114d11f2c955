"""Waiting for a fact, with a limit.

Layer: testing. Runs in: any process.
Owns: nothing.
Never: takes a quiet machine for granted: the limit is a watchdog.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

__all__ = ["eventually"]

T = TypeVar("T")

#: Seconds between looks: at first, and at most.
_FIRST_S, _LAST_S = 0.001, 0.05


def eventually(
    condition: Callable[[], T], what: str = "", *, within: float = 30.0, system: Any = None
) -> T:
    """Call `condition` until it is true, and return its value.

    Args:
        condition: looked at again and again, from this thread.
        what: is awaited, for the error.
        within: seconds; of an inline system's own time if there is one.
        system: an inline system, which runs between two looks; None: no such.

    Raises:
        AssertionError: it has not come true; the text says what it was instead.
    """
    what = what or getattr(condition, "__qualname__", repr(condition))
    if hasattr(system, "run_until_idle"):
        return _in_its_time(condition, what, within, system)
    until, pause = monotonic() + within, _FIRST_S
    idle = threading.Event()  # nobody sets it
    while not (value := condition()):
        if monotonic() >= until:
            raise AssertionError(f"waited {within:g} s for {what}, but found {value!r}")
        idle.wait(pause)
        pause = min(2 * pause, _LAST_S)
    return value


def _in_its_time(condition: Callable[[], T], what: str, within: float, system: Any) -> T:
    until = system.clock.now + within
    while True:
        system.run_until_idle()
        if value := condition():
            return value
        if system.clock.now >= until:
            raise AssertionError(
                f"waited {within:g} s of the system's own time for {what}, but found {value!r}"
            )
        system.clock.advance(_LAST_S)
