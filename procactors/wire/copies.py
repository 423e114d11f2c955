"""What a forked copy of this process does first: it drops what is not its own.

Layer: wire. Runs in: any process.
Owns: one entry among the interpreter's own for forks, made with the first action.
Never: runs anything in a process that has nothing to drop: the zygote forks actors all the time,
and to look at each list in vain would take a tenth of what a bare fork does.
"""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["in_copies"]

_actions: list[Callable[[], None]] = []


def in_copies(action: Callable[[], None]) -> None:
    """Have an action run in each copy that is forked from now on; asked for twice, it runs once."""
    if action not in _actions:
        if not _actions:
            os.register_at_fork(after_in_child=_run)
        _actions.append(action)


def _run() -> None:
    for action in _actions:
        action()
