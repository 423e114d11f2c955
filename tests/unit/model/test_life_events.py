"""Events, as a log shows them."""

from __future__ import annotations

import signal

import pytest

from procactors import (
    Crashed,
    DeadLettered,
    GaveUp,
    MailboxOverflow,
    Progress,
    Restarting,
    SlowHandler,
    Started,
    Stopped,
)
from procactors.crash import ExitKind, ExitReason

KILLED = ExitReason(ExitKind.SIGNAL, int(signal.SIGKILL))
SENTENCES = [
    (Started(actor="w", incarnation=2, pid=7), "w started (incarnation 2, pid 7)"),
    (
        Crashed(actor="w", incarnation=1, reason=KILLED, report=None),
        "w ended by signal SIGKILL (incarnation 1)",
    ),
    (
        Restarting(actor="w", incarnation=2, reason=KILLED, wait_s=0.5),
        "w is started again (incarnation 2) in 0.50 s: the one before ended by signal SIGKILL",
    ),
    (GaveUp(actor="w", reason="too many deaths"), "w is given up: too many deaths"),
    (
        Stopped(actor="w", reason=ExitReason(ExitKind.EXIT, 3)),
        "w has ended for good: it exited with code 3",
    ),
    (
        DeadLettered(actor="w", handler="W.go", reason="died\nTraceback", killed=True, serial=4),
        "W.go of w became dead letter 4: died",
    ),
    (
        MailboxOverflow(actor="w", sender="", capacity=5),
        "the main program met the full mailbox of w (5 messages)",
    ),
    (
        SlowHandler(actor="w", handler="W.go", busy_s=1.23, incarnation=1),
        "W.go of w has run for 1.2 s (incarnation 1)",
    ),
    (Progress(actor="w", done=3, total=10, what="W.go"), "w: W.go: 3 of 10"),
    (Progress(actor="w", done=3), "w: 3"),
]


@pytest.mark.parametrize(("event", "sentence"), SENTENCES, ids=[case[1] for case in SENTENCES])
def test_each_is_one_line(event, sentence):
    assert str(event) == sentence
    assert repr(event).startswith(f"{type(event).__name__}(actor=")
