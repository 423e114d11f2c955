"""What a look has cost, and how long the next one can wait for that.

Layer: dashboard. Runs in: the dashboard's process.
Owns: nothing.
Never: waits.
"""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time
from typing import TypeVar

__all__ = ["counted"]

T = TypeVar("T")


def counted(action: Callable[[], T]) -> tuple[T, float]:
    """Return what an action returns, and the seconds of processor time that it took.

    By the processor's time, not the clock's: on a busy machine a look is late, and costs no more.
    """
    before = thread_time()
    value = action()
    return value, thread_time() - before
