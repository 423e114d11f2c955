"""The pool's monitor: a thread that looks after batches that take longer than they should.

Layer: pool. Runs in: the pool's process, in a thread of its own.
Owns: that thread (`close`).
Never: wakes up while no worker has anything in hand, and no size is to be looked after; waits for
a worker; runs a user's code.

    look ─┬─► done, but not answered for a while ──► outcomes to their owners
          ├─► a free worker, and items that wait behind a slow one ─► limit ─► taken back
          └─► an item over its timeout ─► limit ─► still at it ─► the supervisor kills, with stacks
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from procactors.model import commands as c
from procactors.pool.batch import SEEN_S, Batch, WorkerSlot
from procactors.pool.dispatch import Dispatcher, OnAnswer
from procactors.runtime.client import Client
from procactors.wire.mailbox.black_box import HANDLED, PID
from procactors.wire.result_table import FUNCTION, LOADING, SINCE

__all__ = ["Monitor"]

_log = logging.getLogger("procactors")

#: Seconds between looks: while a worker is free, at first and at most; while all are busy.
_QUICK_S, _SLOW_S = 0.005, 0.05
#: Seconds for which a batch may keep what is done to itself.
_HOLD_S = 0.03
#: Seconds of work that are not worth taking back from a worker that is just at it.
_WORTH_S = 0.02
#: Seconds more than an item for what loads a function, once: as many as a start has.
_IMPORT_S = 60.0
#: A look that is late by more than this was held up, as was perhaps the whole machine: what lies
#: before it counts against no item.
_LATE_S = 1.0


class Monitor:
    """Looks after one dispatcher's batches.

    Args:
        dispatcher: the pool's.
        scale: called at each look with the instant, under the dispatcher's lock; returns the
            seconds until it wants to be called again, None for: when something changes.
    """

    def __init__(self, dispatcher: Dispatcher, scale: Callable[[float], float | None]) -> None:
        self._dispatcher = dispatcher
        self._client = Client(dispatcher.transport)
        self._scale = scale
        self._now = dispatcher.transport.now
        #: What has this looked at again, where it is a task and no thread.
        self._call: Callable[[], None] | None = None
        # Not an Event: a signal handler that raises in its `set` may leave that locked for ever.
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._asleep = False
        self._closing = False
        self._awake_since = 0.0
        self._wait_s = _QUICK_S
        self._thread = threading.Thread(
            target=self._run, name=f"procactors-{dispatcher.name}", daemon=True
        )
        dispatcher.on_work = self.wake

    def open(self) -> None:
        """Begin."""
        beside = self._dispatcher.transport.beside
        if beside is not None:
            self._call = beside(self, f"monitor of {self._dispatcher.name}")
        else:
            self._thread.start()

    def wake(self) -> None:
        """Look soon: there is something in hand again. Costs nothing while it is awake."""
        if self._call is not None:
            self._call()
        elif self._asleep:
            self._bell.put(None)  # first: left here by an exception, it has been woken
            self._asleep = False

    def close(self) -> None:
        """End the thread."""
        self._closing = True
        self._bell.put(None)
        if self._call is not None:
            self._call()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    # -- as a task ----------------------------------------------------------------------------

    is_queued = is_running = False
    bell: object = None

    def run(self) -> float | None:
        """Take a look, for item timeouts and the pool's size; see `local.engine.Task`.

        Not for work that could be taken from one worker for another: where one thing runs at a
        time, nothing is over sooner by that. And not just to look again: time that passes for no
        reason but this would pass for ever while something waits in vain.
        """
        if self._closing:
            return None
        dispatcher, now = self._dispatcher, self._now()
        with dispatcher.lock:
            if dispatcher.doubts:
                dispatcher.clear_up()
            waits = [self._scale(now)]
            for batch in [batch for slot in dispatcher.slots for batch in slot.batches]:
                timeout = batch.timeout
                if timeout is not None and not batch.has_started:
                    waits.append(timeout)
                elif timeout is not None and (done := batch.done()) < batch.stolen_from:
                    waits.append(self._time(batch, timeout, done, now))
        return min((wait for wait in waits if wait is not None), default=math.inf)

    # -- as a thread --------------------------------------------------------------------------

    def _run(self) -> None:
        dispatcher = self._dispatcher
        wait_s: float | None = None
        due = self._now()
        while not self._closing:
            now = self._now()
            if wait_s is not None and now - due > _LATE_S:
                self._awake_since = now
            try:
                with dispatcher.lock:
                    wait_s = self._look(now)
                    self._asleep = wait_s is None
            except Exception:  # noqa: BLE001 - see below
                # So wide because the rest of the batches would be left without a monitor.
                _log.exception("the monitor of %s met an error of its own", dispatcher.name)
                wait_s = _SLOW_S
            due = now if wait_s is None else now + wait_s
            with contextlib.suppress(Empty):
                self._bell.get(timeout=None if wait_s is None else max(0.0, wait_s))
                while True:
                    self._bell.get_nowait()  # one look is enough for all

    def _look(self, now: float) -> float | None:
        """Look at everything; return the seconds until the next look."""
        dispatcher = self._dispatcher
        if dispatcher.doubts:
            dispatcher.clear_up()
        scale_s = self._scale(now)
        free = [
            slot
            for slot in dispatcher.slots
            if not slot.batches and not slot.leaving and not slot.accused
        ]
        batches = [batch for slot in dispatcher.slots for batch in slot.batches]
        if not batches:
            self._wait_s = _QUICK_S
            return scale_s
        ways = 0 if dispatcher.queue else len(free)
        wait_s = _SLOW_S
        if ways:
            # Soon at first; but a worker that is busy for hours is not looked at all the time.
            wait_s = self._wait_s = min(self._wait_s * 1.2, _SLOW_S)
        else:
            self._wait_s = _QUICK_S
        for batch in batches:
            wait_s = min(wait_s, self._look_at(batch, ways, now))
        return wait_s if scale_s is None else min(wait_s, scale_s)

    def _look_at(self, batch: Batch, ways: int, now: float) -> float:
        # In this order: an item that ends in between is seen at the next look.
        started = batch.has_started
        done = batch.done() if started else 0
        if done > batch.taken and now - batch.sent_at > _HOLD_S:
            self._dispatcher.hand_over(batch, done)
        wait_s = _SLOW_S
        if started and batch.timeout is not None and done < batch.stolen_from:
            wait_s = self._time(batch, batch.timeout, done, now)
        if ways:
            self._relieve(batch, started, done, ways, now)
        return wait_s

    def _relieve(self, batch: Batch, started: bool, done: int, ways: int, now: float) -> None:
        """Take back what waits behind an item in hand while other workers have nothing to do."""
        if batch.stolen_from < batch.count or batch.spans[0].pinned is not None:
            return  # what was left to be taken has been, or only this worker may have it
        first = done + 1 if started else 0
        if batch.limited_at is None:
            if first < batch.count and not _ends_soon(batch, done, now):
                batch.lower(first, now)
        elif now - batch.limited_at >= SEEN_S:
            first = batch.first_free()
            if first < batch.count:
                self._dispatcher.steal(batch, first, ways + 1)

    def _time(self, batch: Batch, timeout: float, done: int, now: float) -> float:
        """Look at the item in hand; return the seconds until it has to be looked at again."""
        slot = batch.slot
        words = batch.result_table.words
        since = words[SINCE]
        if (loading := words[LOADING]) or not since:
            # Being unpickled: that has no time of its own.
            if batch.suspect is None or batch.suspect[0] != (done, loading):
                batch.suspect = ((done, loading), now)
            since, began = 0, batch.suspect[1]
            if loading == FUNCTION or batch.result_table.is_blind:
                # To import its module is no item's work. Or no word of an item has come: it is on
                # its way, or its worker comes up.
                began += _IMPORT_S
        else:
            began = since / 1e9
        left = max(began, self._awake_since) + timeout - now
        if left > 0:
            return max(left, SEEN_S)
        box = self._dispatcher.transport.words(slot.ref._actor)
        if box is None:
            return _SLOW_S  # it has gone for good: its answer is on its way
        # What it is at is named together with the item: the worker may go on to its next message.
        charge = (done, since, box[PID], box[HANDLED])
        if batch.accused_of != charge:
            # Seen once, and its successors are held back: at the next look, it is still this one,
            # or has ended, and no other item is blamed.
            batch.accused_of = charge
            batch.lower(done + 1, now)
            # Word of its end may be on its way, where nobody sees the worker's marks.
            return _SLOW_S if batch.result_table.is_blind else _QUICK_S
        if not slot.accused:
            text = f"an item took longer than timeout={timeout:g} s"
            self._accuse(slot, c.Condemn(slot.ref._actor, *charge[2:], text))
        return _SLOW_S

    def _accuse(self, slot: WorkerSlot, command: c.Condemn) -> None:
        # Whatever the supervisor answers: the worker was killed, or has gone on, and works again.
        acquit = functools.partial(self._dispatcher.acquit, slot)
        self._client.submit_to(OnAnswer(acquit), command)
        slot.accused = True  # behind it: where it cannot be sent, the next look tries again


def _ends_soon(batch: Batch, done: int, now: float) -> bool:
    """Whether a batch is worth leaving alone: it is expected to end before it could be shared."""
    age_s = now - batch.sent_at
    if age_s < _WORTH_S:
        return True
    pace = batch.spans[0].owner.pace
    left_s = pace.takes_s(batch.count - done)
    return left_s is not None and left_s < _WORTH_S and age_s < 2 * _WORTH_S
