"""An actor's progress on its way to those that listen.

Layer: runtime. Runs in: actor.
Owns: nothing; the endpoint is the process's.
Never: sends while there is no listener; waits for one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from time import monotonic

from procactors.errors import ForeignProcess, ProcActorsError
from procactors.model import commands as c
from procactors.observe.throttle import Throttle
from procactors.runtime.client import Client
from procactors.wire.mailbox.black_box import LISTENED, LISTENED_PROGRESS
from procactors.wire.transport import SUPERVISOR, Transport

__all__ = ["throttle_of"]


def throttle_of(endpoint: Transport, handler: Callable[[], str]) -> Throttle:
    """Return the throttle of the progress of the actor that this process is.

    Args:
        endpoint: the process's.
        handler: names the handler of the message in hand; empty if there is none.
    """
    client = Client(endpoint)

    def send(done: int, total: int | None) -> None:
        try:
            endpoint.check_process()
            if _is_listened_to(endpoint):
                command = c.ReportProgress(endpoint.actor, done, total, monotonic(), handler())
                client.tell(command)
        except ForeignProcess:
            raise  # a forked copy is no actor: its author must see the error
        except ProcActorsError:
            pass  # the system is ending, or has no descriptor left: progress is worth no error

    throttle = Throttle(send)
    # A forked copy meets its error at the first call, not only when the next one would be due.
    os.register_at_fork(after_in_child=throttle.hurry)
    return throttle


def _is_listened_to(endpoint: Transport) -> bool:
    words = endpoint.words(SUPERVISOR)
    with contextlib.suppress(ValueError):  # its mailbox was closed in this process meanwhile
        return words is not None and bool(words[LISTENED] & LISTENED_PROGRESS)
    return False
