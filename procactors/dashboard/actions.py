"""What a page may have done to a system: stop, kill, suspend, resume, send a letter again.

Layer: dashboard. Runs in: the dashboard's process, in worker threads.
Owns: a guest for each action, while it lasts.
Never: acts on another actor than the one that was meant: each is named by its id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from procactors.errors import ProcActorsError
from procactors.model import commands as c
from procactors.outside.guest import Guest, NoAnswer, OtherVersion
from procactors.outside.systems import NoSystem

__all__ = ["ACTIONS", "Failed", "act"]

#: Seconds for which a page waits for an actor's end; that goes on all the same.
_END_S = 30.0


class Failed(Exception):
    """An action came to nothing, or its end was not seen; its text says why."""


def act(path: str, action: str, number: int) -> str:
    """Do one action; return what came of it in words.

    Blocks until it is done, for half a minute at most.

    Args:
        path: the system's runtime directory.
        action: one of `ACTIONS`.
        number: the actor's id, or the letter's number.

    Raises:
        Failed: it was not done, or not within that time.
    """
    try:
        with Guest(path) as guest:
            return ACTIONS[action](guest, number)
    except (NoAnswer, OtherVersion, NoSystem, ProcActorsError, OSError) as error:
        raise Failed(str(error)) from None


def _stop(guest: Guest, actor: int) -> str:
    return f"it is over: it {guest.ask(c.Stop(actor, None), _END_S)}"


def _kill(guest: Guest, actor: int) -> str:
    return f"it is over: it {guest.ask(c.Kill(actor), _END_S)}"


def _suspend(guest: Guest, actor: int) -> str:
    return f"process {guest.ask(c.Suspend(actor))} stands still"


def _resume(guest: Guest, actor: int) -> str:
    return f"process {guest.ask(c.Resume(actor))} goes on"


def _requeue(guest: Guest, letter: int) -> str:
    guest.ask(c.RequeueLetter(letter))
    return f"letter {letter} was sent again"


#: What can be done, by name.
ACTIONS: dict[str, Callable[[Any, int], str]] = {
    "stop": _stop,
    "kill": _kill,
    "suspend": _suspend,
    "resume": _resume,
    "requeue": _requeue,
}
