"""Under what an actor is counted: with others where a program may make any number of them.

Layer: metrics. Runs in: parent, and where metrics are read.
Owns: nothing.
Never: gives two actors that live at the same time, and have names of their own, one group.

A label of Prometheus must not take ever new values. So an actor is counted under its name only if
that is one that the program has given it: the number of such names is the program's affair.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from procactors.wire.envelope import BATCH_KEY, handler_name
from procactors.wire.meter_table import as_bytes

__all__ = ["IS_UNSEEN", "LIVES", "TRIPS", "group_of", "method_name", "total_key"]

#: In a key of the totals, in the place of a method: what is none's (errors are restarts, items are
#: messages that expired). Before a method: the round trips to it.
LIVES, TRIPS = b"\1", b"\2"

#: The key of messages that are the runtime's own: a pool's question whether a worker is there.
IS_UNSEEN = BATCH_KEY

_NUMBER = re.compile(r"-\d+$")
_OWN_POOL = re.compile(r"-pool-\d+$")


def group_of(actor: int, name: str, keys: Iterable[bytes]) -> str:
    """Return the group of an actor.

    Args:
        actor: its id.
        name: its name.
        keys: of the methods that it has run.
    """
    if name.endswith(f"-{actor}"):
        return _NUMBER.sub("-*", name)
    if any(key[:1] == BATCH_KEY for key in keys):  # a pool's worker
        name = _NUMBER.sub("", name)
        return _NUMBER.sub("-*", name) if _OWN_POOL.search(name) else f"{name}-*"
    return name


def method_name(key: bytes) -> str:
    """Return what a method is called, by its key."""
    return handler_name(key)


def total_key(group: str, class_name: str, method: bytes) -> bytes:
    """Return the key of a row of the totals of actors that are over."""
    return b"\0".join((as_bytes(group), as_bytes(class_name), method))
