"""What a forked copy of this process does first: it drops what is not its own.

Layer: wire. Runs in: any process.
Owns: nothing: the interpreter keeps what runs at its forks.
Never: has anything run in copies of a process that has nothing to drop: the zygote forks actors all
the time, and to look at empty lists would take a tenth of what a bare fork does.
"""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["in_copies"]

_actions: set[Callable[[], None]] = set()


def in_copies(action: Callable[[], None]) -> None:
    """Have an action run in each copy that is forked from now on; asked for twice, it runs once."""
    if action not in _actions:
        _actions.add(action)
        os.register_at_fork(after_in_child=action)
