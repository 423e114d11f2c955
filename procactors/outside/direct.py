"""What can be done to an actor's process without its parent, which may be stuck.

Layer: outside. Runs in: processes outside of the system.
Owns: nothing.
Never: signals a process whose number may be another's by now: it must have the actor's box mapped.
"""

from __future__ import annotations

from procactors.outside.roster import ActorView
from procactors.process.live import LiveProcess
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
        with LiveProcess(view.pid, maps=f"{actor_path(runtime_dir, view.id)}/box") as process:
            process.kill()
    except ProcessLookupError:
        return False
    return True
