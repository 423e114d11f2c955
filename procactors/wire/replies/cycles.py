"""Cycles of asks: actors that wait for each other for ever, seen from inside one of them.

Layer: wire. Runs in: actor, main thread, while it waits for an answer.
Owns: nothing.
Never: takes one look's word for it: an asker that has been answered, and has not run since, still
shows which actor it waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from procactors.errors import AskCycleError
from procactors.wire.mailbox.black_box import PID, WAITING_ON
from procactors.wire.procstat import stat_of

__all__ = ["LOOKS", "LOOK_S", "cycle_error", "cycle_from", "is_asleep"]

#: Looks in a row that must find the same cycle, all of it asleep, and the seconds between two. A
#: process whose answer has come is no longer asleep from the write on; behind it, it gets past the
#: few lines in which it may have to wait for a lock of its own within a look or two.
LOOKS, LOOK_S = 4, 0.01


def cycle_from(first: int, me: int, words_of: Callable[[int], memoryview | None]) -> dict[int, int]:
    """Return the cycle that an ask of `first` by `me` closes: pids by actor; empty if it does not.

    Args:
        first: the actor that is asked.
        me: the actor that asks.
        words_of: returns the black box of an actor; None if there is none.
    """
    cycle: dict[int, int] = {}
    at = first
    while at and at != me:
        if at in cycle:
            return {}  # one, but not through us: the actor that closed it gets the error
        words = words_of(at)
        try:
            cycle[at], at = (words[PID], words[WAITING_ON]) if words is not None else (0, 0)
        except ValueError:  # its mailbox was closed in this process meanwhile: it waits no more
            at = 0
    return cycle if at == me else {}


def cycle_error(
    name: str, me: int, cycle: Iterable[int], name_of: Callable[[int], str]
) -> AskCycleError:
    """Return the error of an ask that would close a cycle.

    Args:
        name: of the actor that is asked.
        me: the actor that asks.
        cycle: the other actors in it, from the one that is asked on.
        name_of: names an actor.
    """
    names = " → ".join(map(name_of, [me, *cycle, me]))
    return AskCycleError(
        f"asking {name} would wait for ever: {names} would wait for each other; "
        f"use tell, or submit and return"
    )


def is_asleep(pid: int) -> bool:
    """Say whether a process's main thread waits for something, by the kernel's word."""
    return stat_of(pid)[:1] == [b"S"]
