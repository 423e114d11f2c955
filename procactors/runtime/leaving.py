"""How a ``with`` block is left: with its work done, or broken off.

Layer: runtime. Runs in: parent and actor.
Owns: nothing.
Never: decides what is stopped: systems, pools and executors do.
"""

from __future__ import annotations

from typing import TypeGuard

__all__ = ["UNWIND_S", "is_broken_off"]

#: Seconds between SIGTERM and SIGKILL for a handler that runs when a block is left by an error.
UNWIND_S = 1.0


def is_broken_off(error: BaseException | None) -> TypeGuard[BaseException]:
    """Whether a ``with`` block that is left by `error` is left before its work is done.

    Not by ``sys.exit()`` with code 0: that is how a program ends that is done.
    """
    return error is not None and not (isinstance(error, SystemExit) and not error.code)
