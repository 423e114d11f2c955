"""What forked copies drop."""

from __future__ import annotations

import os

from procactors.wire.copies import in_copies

_ran: list[int] = []


def _note():
    _ran.append(os.getpid())


def test_an_action_runs_once_in_each_copy():
    in_copies(_note)
    in_copies(_note)
    pid = os.fork()
    if not pid:
        os._exit(0 if _ran == [os.getpid()] else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert _ran == []
