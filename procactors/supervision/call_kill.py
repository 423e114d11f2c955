"""Killing an actor's process in the handler of one call, because the call's caller wishes it.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: nothing.
Never: kills for a call that is not in hand any more, as far as can be seen in the same moment.
"""

from __future__ import annotations

import signal

from procactors.crash import ExitKind, ExitReason
from procactors.model import commands as c
from procactors.supervision.backend import ReplyTo
from procactors.supervision.core import Core

__all__ = ["kill_call"]

_TEXT = "the caller of the message in hand has cancelled it, with kill=True"


def kill_call(core: Core, command: c.KillCall, who: ReplyTo) -> None:
    """Kill the process, if the call is in hand; what follows, follows by its end."""
    actor = core.actors.get(command.actor)
    call = (command.reply, command.call)
    if actor is None or actor.host.pid is None or not actor.host.has_in_hand(*call):
        core.reply(who, False)
        return
    actor.killed_call = call
    actor.accused_of = ExitReason(ExitKind.KILLED, signal.SIGKILL, _TEXT)
    actor.host.kill()
    core.reply(who, True)
