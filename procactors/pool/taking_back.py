"""Taking one call back from a worker that has been sent it, or ending the worker in it.

Layer: pool. Runs in: the pool's process, in the caller's thread.
Owns: nothing.
Never: holds the dispatcher's lock while it waits; says of a call that it never runs, unless so.

A call in a batch is taken back as the monitor takes items back: the batch's limit is lowered to it,
and 2 ms later the marks say whether the worker has come to it (docs/design.md, "Taking back").
"""

from __future__ import annotations

from collections.abc import Callable

from procactors.light_tuple import NamedTuple
from procactors.model import commands as c
from procactors.pool.batch import SEEN_S, Batch, Span
from procactors.pool.dispatch import Dispatcher
from procactors.runtime.client import Client
from procactors.wire.spin import pause

__all__ = ["Place", "end_worker", "hold_back", "take_back"]

#: Times that a call is looked for.
_TRIES = 100

#: Whether a span is of the call that is looked for.
IsOf = Callable[[Span], bool]


class Place(NamedTuple):
    """Where a call is that has been sent to a worker.

    Attributes:
        batch: in which it was sent.
        at: its place among the items of that.
    """

    batch: Batch
    at: int


def hold_back(dispatcher: Dispatcher, is_of: IsOf) -> Place | None:
    """Have a worker not begin a call, or tell the call's function that it is cancelled.

    Returns where it is; None: with no worker (any more).
    """
    with dispatcher.lock:
        for slot in dispatcher.slots:
            for batch in slot.batches:
                for span, at in batch.parts(0, batch.stolen_from):
                    if is_of(span):
                        batch.lower(at, dispatcher.transport.now())
                        batch.result_table.cancel(at)
                        return Place(batch, at)
    return None


def take_back(dispatcher: Dispatcher, is_of: IsOf, give_up: Callable[[], None]) -> bool:
    """Give a call up that no worker has begun; return False: one has.

    Waits for 2 ms, as a rule.

    Args:
        dispatcher: of the call's pool.
        is_of: whether a span is of the call.
        give_up: called under the dispatcher's lock when it is sure that the call is not begun.
    """
    # Again, where it has just been on its way from one worker to another.
    for _ in range(_TRIES):
        with dispatcher.lock:
            if dispatcher.has_queued(is_of):
                give_up()
                return True
            place = hold_back(dispatcher, is_of)
        if place is None:
            return False
        pause(SEEN_S)
        batch, at = place
        with dispatcher.lock:
            if batch not in batch.slot.batches or at >= batch.stolen_from:
                continue
            if at < batch.first_free():
                return False
            give_up()  # first: what is taken back may be sent again at once
            dispatcher.steal(batch, at, 1)
            return True
    return False


def end_worker(dispatcher: Dispatcher, is_of: IsOf) -> bool:
    """Kill the worker in a call that it has begun; return whether it was at it."""
    place = hold_back(dispatcher, is_of)
    if place is None:
        return False
    pause(SEEN_S)  # then it is at that call, or at none that comes behind it
    batch, at = place
    slot, transport = batch.slot, dispatcher.transport
    with dispatcher.lock:
        if batch not in slot.batches or batch.done() != at or slot.accused:
            return False
        if batch.result_table.is_blind and batch.count > 1:
            return False  # it may be at another item of the batch
        assert batch.call is not None
        command = c.KillCall(slot.ref._actor, transport.reply_number, batch.call)
        # It gets nothing new until that is known: it would be killed with it.
        slot.accused = True
    try:
        return bool(Client(transport).ask(command))
    finally:
        dispatcher.acquit(slot)
