"""What can be done to an actor's process without its parent, which may be stuck.

Layer: outside. Runs in: processes outside of the system.
Owns: a pidfd, for the time of one signal.
Never: signals a process whose number may be another's by now: it must have the actor's box mapped.
"""

from __future__ import annotations

import os
import signal

from procactors.outside.roster import ActorView
from procactors.wire.endpoint import actor_path

__all__ = ["kill_now"]


def kill_now(runtime_dir: str, view: ActorView) -> bool:
    """SIGKILL the process of an actor, past its supervisor; return whether it was there.

    To its supervisor that is a crash, when it comes to it: so the actor may be restarted. What the
    process has started is killed then, too.
    """
    if view.pid is None:
        return False
    try:
        pidfd = os.pidfd_open(view.pid)
    except ProcessLookupError:
        return False
    try:
        # Looked at behind the pidfd: what is found there is what the signal goes to.
        if not _has_box(view.pid, f"{actor_path(runtime_dir, view.id)}/box"):
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def _has_box(pid: int, box: str) -> bool:
    """Whether a process has mapped the box of an actor, by the kernel's word."""
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as maps:
            return any(line.rstrip("\n").endswith(box) for line in maps)
    except OSError:
        return False
