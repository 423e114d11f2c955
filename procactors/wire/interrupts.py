"""Telling an exception of a signal handler from one of the code that it interrupted.

Layer: wire. Runs in: parent and actor, once something has failed.
Owns: nothing.
Never: runs on the way of a good message.

A handler may raise wherever the main thread is just then (a time limit by SIGALRM): in the middle
of pickling or loading a message, which is not to blame for it.
"""

from __future__ import annotations

import signal

__all__ = ["raised_by_signal_handler"]


def raised_by_signal_handler(error: BaseException) -> bool:
    """Whether an exception passed through a function that is a signal handler now."""
    handlers = {
        getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()
    } - {None}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False
