"""Suspending an actor: its process stands still until it is resumed, and that is no hang.

Layer: supervision. Runs in: parent, in the supervisor's thread. Loaded with the first order.
Owns: nothing.
Never: suspends what comes up, or is to end.
"""

from __future__ import annotations

import signal

from procactors.errors import SupervisionError
from procactors.model import commands as c
from procactors.supervision.actor_record import ActorRecord, Life
from procactors.supervision.backend import ReplyTo
from procactors.supervision.core import Core

__all__ = ["go_on", "resume", "suspend"]


def suspend(core: Core, command: c.Suspend, who: ReplyTo) -> None:
    """Stop an actor's process.

    Raises:
        ActorStopped: it is over. SupervisionError: it has no process that serves.
    """
    actor = _with_process(core, command.actor)
    if actor.stop_by is not None or actor.final or actor.accused_of is not None:
        raise SupervisionError(f"{actor.name} is being ended: it cannot be suspended")
    actor.is_suspended = True  # first: no look of the watchdog may come in between
    actor.host.send(signal.SIGSTOP)
    core.reply(who, actor.host.pid)


def resume(core: Core, command: c.Resume, who: ReplyTo) -> None:
    """Let an actor's process go on.

    Raises:
        ActorStopped: it is over. SupervisionError: it has no process that serves.
    """
    actor = _with_process(core, command.actor)
    go_on(core, actor)
    core.reply(who, actor.host.pid)


def go_on(core: Core, actor: ActorRecord) -> None:
    """Let an actor's process go on; no time before this instant counts as a hang."""
    actor.host.send(signal.SIGCONT)
    actor.is_suspended, actor.resumed_at = False, core.clock()


def _with_process(core: Core, number: int) -> ActorRecord:
    actor = core.actors.get(number)
    if actor is None:
        raise SupervisionError(f"{core.past(number).name} has ended")
    if actor.host.pid is None or actor.life is not Life.UP:
        raise SupervisionError(f"{actor.name} has no process that serves now: {actor.life.value}")
    return actor
