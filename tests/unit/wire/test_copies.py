"""What forked copies drop."""

from __future__ import annotations

import os

from procactors.wire import copies


def test_an_action_runs_once_in_each_copy(monkeypatch):
    ran: list[int] = []
    monkeypatch.setattr(copies, "_actions", list(copies._actions))
    copies.in_copies(lambda: None)  # from here on there is something to run
    note = lambda: ran.append(os.getpid())  # noqa: E731 - one and the same
    copies.in_copies(note)
    copies.in_copies(note)
    pid = os.fork()
    if not pid:
        os._exit(0 if ran == [os.getpid()] else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert ran == []
