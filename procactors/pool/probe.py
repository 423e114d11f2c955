"""A question behind a batch of which nobody knows whether it was sent.

Layer: api. Runs in: the pool's process: the station's reader thread.
Owns: nothing.
Never: waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procactors.errors import ActorDied
from procactors.wire.reply import Answer

if TYPE_CHECKING:
    from procactors.pool.batch import Batch
    from procactors.pool.dispatch import Dispatcher

__all__ = ["Probe"]


class Probe:
    """Hears from a worker behind a batch of which nobody knows whether it was sent.

    A mailbox keeps the order: when this is answered, the batch has been, or never will be. Its own
    answer finds nobody, but its sheet says how far it came.
    """

    def __init__(self, dispatcher: Dispatcher, batch: Batch) -> None:
        self._dispatcher = dispatcher
        self._batch = batch

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:
        """Take the answer from the reader thread; whatever it says, the doubt is over."""
        batch = self._batch
        gone = ActorDied("a worker ended with this item in hand, and nobody heard how")
        with self._dispatcher.lock:
            if batch in batch.member.batches:  # else it was sent, and its sheet is another's by now
                self._dispatcher.ended(batch, None, gone if batch.is_cut_off else None)
