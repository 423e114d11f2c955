"""Signal handlers of a program: installed while it runs, and what was there put back.

Layer: process. Runs in: parent.
Owns: the process's handlers of SIGINT and SIGTERM during a command, or during `procactors.run`.
Never: installed by an actor system: handlers belong to the application that asks for them.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["SIGNAL_BASE", "handled_by"]

#: What a shell reports for a process that a signal ended is this and the signal's number.
SIGNAL_BASE = 128


@contextlib.contextmanager
def handled_by(
    handler: Callable[[int, FrameType | None], object], *signums: signal.Signals
) -> Iterator[None]:
    """Have a handler called for signals inside the ``with`` block.

    A signal that is ignored when the block begins stays ignored (a shell starts background
    jobs so). Outside the main thread nothing happens: Python allows no handlers there.

    Args:
        handler: called with the signal's number and the interrupted frame, in the main thread.
        signums: which signals; without any, SIGINT and SIGTERM.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for signum in signums or (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(signum) is not signal.SIG_IGN:
                before[signum] = signal.signal(signum, handler)
    try:
        yield
    finally:
        for signum, old in before.items():
            signal.signal(signum, old)
