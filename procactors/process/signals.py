"""Signal handlers of a command: installed while it runs, and what was there put back.

Layer: cli. Runs in: parent.
Owns: the process's handlers of SIGINT and SIGTERM during a command.
Never: installed by the runtime: handlers belong to the application, and this is one.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["handled_by"]


@contextlib.contextmanager
def handled_by(handler: Callable[[int, object], None], *signums: signal.Signals) -> Iterator[None]:
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
