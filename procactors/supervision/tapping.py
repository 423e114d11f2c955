"""Taps: what a test has to do with the messages of an actor, or of all of them.

Layer: supervision. Runs in: parent, in the supervisor's thread. Loaded with the first of them.
Owns: nothing: hosts and backend keep what their next lives are to know.
Never: looks at a message: that is done in the actor (`runner.taps`).
"""

from __future__ import annotations

from procactors.errors import ActorStopped, InvalidSpec
from procactors.model import commands as c
from procactors.supervision.backend import ReplyTo
from procactors.supervision.core import Core

__all__ = ["tap"]


def tap(core: Core, command: c.Tap, who: ReplyTo) -> None:
    """Have actors be tapped, in the life that is and in those that come; or no more.

    Raises:
        ActorStopped: there is no such actor. InvalidSpec: it has several messages in hand at once.
    """
    if command.actor:
        core.reply(who, _tap_one(core, command))
        return
    _note(core.backend.taps, command)
    if not command.argument:
        for actor in core.actors.values():
            if command.tap in actor.host.taps:
                _note(actor.host.taps, command)
                actor.host.tap(command.tap, "")
    core.reply(who, "")


def _tap_one(core: Core, command: c.Tap) -> str:
    actor = core.actors.get(command.actor)
    if actor is None:
        if not command.argument:
            return ""  # it has ended, and its taps with it
        raise ActorStopped(f"{core.past(command.actor).name} has stopped: it takes no message")
    if actor.is_inbox and command.argument:
        raise InvalidSpec(f"{actor.name} is an inbox of the main program, and no actor")
    if command.is_alone and actor.options.max_concurrency > 1:
        raise InvalidSpec(
            f"{actor.name} has up to {actor.options.max_concurrency} messages in hand at once: "
            f"what is done behind a handler needs max_concurrency=1"
        )
    _note(actor.host.taps, command)
    actor.host.tap(command.tap, command.argument)
    return actor.name


def _note(taps: dict[str, str], command: c.Tap) -> None:
    if command.argument:
        taps[command.tap] = command.argument
    else:
        taps.pop(command.tap, None)
