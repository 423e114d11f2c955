"""Which worker gets what: a queue that free workers draw from, and what follows from answers.

Layer: pool. Runs in: the pool's process: the thread that brings work, and the one that reads
replies.
Owns: the pool's result tables (`end`).
Never: runs a user's code, which may block or raise; waits for a worker.

    push ─► queue ─► a worker with room ─► batch ─► answer ─┬─► outcomes to their owners
              ▲                                             ├─► item in hand of the dead: its owner
              └────────────── what was not begun ◄──────────┘
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable

from procactors.errors import (
    ActorDied,
    ActorStopped,
    DeliveryError,
    PoolBroken,
    ProcActorsError,
)
from procactors.pool.batch import Batch, Span, WorkerSlot, refuse
from procactors.pool.batch_policy import NEVER_BEGUN, BatchPolicy
from procactors.runner.batches import CALL, Outcome, pack_batch
from procactors.wire.envelope import BATCH_KEY
from procactors.wire.pickling.codec import Encoded
from procactors.wire.raised import by_signal
from procactors.wire.replies.port import Answer
from procactors.wire.result_table import ResultTables
from procactors.wire.transport import SUPERVISOR, Transport

__all__ = ["Dispatcher", "OnAnswer"]

#: Bytes of calls that are sent together: they are to fit into one record.
_TOGETHER_BYTES = 3200
#: A message that every worker answers at once.
_PROBE_KEY, _PROBE = BATCH_KEY, Encoded(b"", ())
#: Longest name of what a batch calls, for people, in bytes.
_NAME_BYTES = 200


class OnAnswer:
    """Calls a function when an answer has come, or an error that stands for it.

    Args:
        action: called without arguments, in the thread that reads replies.
    """

    is_awaited = True
    call: int | None = None

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:
        """Take the answer; what it says does not matter."""
        self._action()


class Dispatcher:
    """The work of one pool.

    Attributes:
        transport: of this process.
        name: the pool's.
        slots: its workers, in the order of their numbers.
        queue: what waits for any free worker, in the order in which it is to be sent.
        lock: guards all of this; held briefly, never while waiting. Reentrant: an owner that takes
            an outcome may bring new work at once.
        broken: why no work is taken any more; None while it is.
        closing: no new work is taken, what was taken is finished.
        on_work: called when a worker has been sent something, or has nothing to do any more.
        doubts: batches that were sent, or were not: a signal handler raised while they were.
    """

    def __init__(self, transport: Transport, name: str) -> None:
        self.transport = transport
        self.name = name
        self.slots: list[WorkerSlot] = []
        self.queue: deque[Span] = deque()
        self._now = transport.now
        self.lock = transport.make_guard()
        self._changed = transport.make_condition(self.lock)
        self._watchers = 0
        self.broken: ProcActorsError | None = None
        self.closing = False
        self.on_work: Callable[[], None] = lambda: None
        self.doubts: list[Batch] = []
        self._result_tables = ResultTables(transport.store)
        self._policy = BatchPolicy()
        self._numbers = itertools.count(1)

    @property
    def mailbox(self) -> int:
        """Number of a worker's mailbox, for payloads that any of them may read (`batch.Load`)."""
        slots = self.slots
        return slots[0].ref._actor if slots else SUPERVISOR

    # -- work comes ---------------------------------------------------------------------------

    def push(self, spans: Iterable[Span]) -> None:
        """Take work, and send what can be sent; refuse it if none is taken any more.

        New work is brought behind a look whether any is taken (`check_open`); what is brought again
        is taken to the end.
        """
        with self.lock:
            self._enqueue(list(spans))
            self.feed()

    def _enqueue(self, spans: list[Span], front: bool = False) -> None:
        if self.broken is not None:
            refuse(spans, self.broken)
            return
        for span in reversed(spans) if front else spans:
            queue, wanted = self.queue, span.pinned
            if wanted is not None and wanted in self.slots and not wanted.leaving:
                queue = wanted.own
            elif wanted is not None and span.is_strict:
                name = wanted.ref.name
                refuse([span], ActorStopped(f"{name} has stopped; this was not handled"))
                continue
            else:
                span.pinned = None
            if front:
                queue.appendleft(span)
            else:
                queue.append(span)

    def move(self, slot: WorkerSlot) -> None:
        """Give what waits for one worker alone to the others. Under the lock."""
        self._enqueue(slot.release(), front=True)

    def withdraw(self, source: object) -> None:
        """Drop what waits and belongs to `source`, and let workers begin no more of it."""
        with self.lock:
            for queue in (self.queue, *(slot.own for slot in self.slots)):
                # One by one, and in place: Ctrl-C at any line of this loses no other work.
                for _ in range(len(queue)):
                    span = queue[0]
                    if span.owner.source is not source or span.owner.begins(span):
                        queue.rotate(-1)
                    else:
                        queue.popleft()
            for slot in self.slots:
                for batch in slot.batches:
                    if all(span.owner.source is source for span in batch.spans):
                        batch.lower(0, self._now())
            self._notify()

    def has_queued(self, is_of: Callable[[Span], bool]) -> bool:
        """Whether such a span waits for a worker. Under the lock."""
        return any(is_of(span) for span in self.queue) or any(
            is_of(span) for slot in self.slots for span in slot.own
        )

    def cancel_waiting(self) -> None:
        """Take back what has never been sent to a worker."""
        with self.lock:
            for queue in (self.queue, *(slot.own for slot in self.slots)):
                spans = list(queue)
                queue.clear()
                queue.extend(span for span in spans if not span.owner.cancel(span))
            self._notify()

    def await_change(self, timeout: float | None = None) -> None:
        """Wait until a batch has ended, a worker has gone, or the queue has got shorter.

        Under the lock, let go while it waits.
        """
        self._watchers += 1
        try:
            self._changed.wait(timeout)
        finally:
            self._watchers -= 1

    def _notify(self) -> None:
        """Wake those that wait for a change; nobody, as a rule. Under the lock."""
        if self._watchers:
            self._changed.notify_all()

    # -- work goes ----------------------------------------------------------------------------

    def feed(self) -> None:
        """Send what waits to the workers that have room for it. Under the lock."""
        sent = True
        while sent:
            sent = False
            ready = [slot for slot in self.slots if self._wants(slot)]
            if len(ready) > 1:
                # Those without any work first: none is given a second batch before them.
                ready.sort(key=lambda slot: len(slot.batches))
            for slot in ready:
                if self._wants(slot) and slot in self.slots:
                    sent = self._send(slot) or sent

    def _wants(self, slot: WorkerSlot) -> bool:
        """Whether there is work for a worker, and room."""
        return bool(slot.own or (self.queue and not slot.leaving)) and slot.has_room()

    def _send(self, slot: WorkerSlot) -> bool:
        """Send a worker its next batch; return whether anything has changed."""
        spans: list[Span] = []
        batch: Batch | None = None
        try:
            self._pick(slot, spans)
            if not spans:
                return False
            batch = self._batch(slot, spans)
            # Before it is sent: wherever a signal handler raises, also on top of what is done about
            # that below, it stays here. The monitor has it found out whether it was sent.
            self.doubts.append(batch)
            self._submit(batch)
            self.doubts.remove(batch)
        except ActorStopped as error:
            self._unsend(batch)
            self._enqueue(spans, front=True)
            self.gone(slot, error)
        except BaseException as error:
            if batch is not None and batch in slot.batches and not self._is_refusal(error):
                batch.lower(0, self._now())
                raise
            self._unsend(batch)
            if not self._is_refusal(error):
                self._enqueue(spans, front=True)
                raise
            refuse(spans, error)  # type: ignore[arg-type]  # a refusal is an Exception
        finally:
            self.on_work()
        return True

    @staticmethod
    def _is_refusal(error: BaseException) -> bool:
        """Whether there is no room, or no descriptor; else a user's signal handler has raised."""
        # An alarm's TimeoutError is an OSError, too.
        return isinstance(error, (DeliveryError, OSError)) and not by_signal(error)

    def _batch(self, slot: WorkerSlot, spans: list[Span]) -> Batch:
        result_table = self._result_tables.lease()
        try:
            return Batch(slot, spans, result_table, next(self._numbers), self._now(), self.ended)
        except BaseException:
            self._result_tables.give_back(result_table)
            raise

    def _submit(self, batch: Batch) -> None:
        transport, ref = self.transport, batch.slot.ref
        packed = pack_batch(
            transport.store.process,
            batch.result_table.number,
            batch.number,
            transport.reply_number,
            batch.flags,
            [span.wire() for span in batch.spans],
        )
        key = BATCH_KEY + batch.spans[0].name[:_NAME_BYTES]
        batch.slot.batches.append(batch)
        transport.submit(ref._actor, ref.name, key, Encoded(packed, ()), batch)

    def _unsend(self, batch: Batch | None) -> None:
        if batch is not None:
            if batch in batch.slot.batches:
                batch.slot.batches.remove(batch)
            if batch in self.doubts:
                self.doubts.remove(batch)
            self._result_tables.give_back(batch.result_table)

    def _pick(self, slot: WorkerSlot, spans: list[Span]) -> None:
        """Move the next spans for a worker from its own queue, or the common one, to `spans`."""
        for queue in (slot.own, self.queue) if not slot.leaving else (slot.own,):
            while queue:
                span = queue.popleft()
                if fatal := self._policy.fatal(span):
                    refuse([span], fatal)
                elif span.owner.begins(span):
                    spans.append(span)
                    if queue:
                        self._join(spans, queue)
                    self._notify()
                    return
                self._notify()

    def _join(self, spans: list[Span], queue: deque[Span]) -> None:
        """Add the calls, or the chunks of the same map, that may go in the same message."""
        first = spans[0]
        pace, workers = first.owner.pace, max(1, len(self.slots))
        if first.form == CALL:
            most = pace.size(len(queue) + 1, workers)
        else:
            # None waits behind others while a worker is free for it.
            fair = -(-(len(queue) + 1) // workers)
            most = min(pace.together(len(first)), fair)
        size = first.wire_bytes
        while queue and len(spans) < most:
            span = queue[0]
            size += span.wire_bytes
            if size > _TOGETHER_BYTES or not _alike(first, span):
                break
            queue.popleft()
            if span.owner.begins(span):
                spans.append(span)

    def clear_up(self) -> None:
        """Send a probe behind each batch in doubt. Under the lock.

        A mailbox keeps the order: when the probe is answered, the batch has been, or never will be.
        """
        while self.doubts:
            batch = self.doubts.pop()
            ref, probe = batch.slot.ref, OnAnswer(functools.partial(self._clear_up, batch))
            try:
                self.transport.submit(ref._actor, ref.name, _PROBE_KEY, _PROBE, probe)
            except (ProcActorsError, OSError) as error:
                self.ended(batch, None, error)

    def _clear_up(self, batch: Batch) -> None:
        """End a batch in doubt: its answer may be lost, its result table says how far it came."""
        gone = ActorDied("a worker ended with this item in hand, and its report was lost")
        with self.lock:
            if (
                batch in batch.slot.batches
            ):  # else it was sent, and its result table is another's by now
                self.ended(batch, None, gone if batch.is_cut_off else None)

    # -- answers ------------------------------------------------------------------------------

    def ended(self, batch: Batch, answer: Answer | None, error: BaseException | None) -> None:
        """Take a worker's answer, or what stands for it. Runs in the thread that reads replies."""
        outcome: object = NEVER_BEGUN if error is None else error
        if answer is not None:
            try:
                is_good, outcome = self.transport.open(answer)
                if is_good and type(outcome) is tuple:
                    outcome = Outcome._make(outcome)
            except Exception as raised:  # noqa: BLE001 - what it says is sorted out below
                outcome = raised
        slot = batch.slot
        with self.lock:
            if batch not in slot.batches:
                return
            slot.batches.remove(batch)
            done = batch.done()
            self.hand_over(batch, done)
            back = self._policy.follow(batch, done, outcome)
            # Written on no more: the worker has answered, or is gone.
            self._result_tables.give_back(batch.result_table)
            self._enqueue(back, front=True)
            if isinstance(outcome, ActorStopped):
                self.gone(slot, outcome)
            if not slot.batches:
                slot.idle_since = self._now()
                self.on_work()
            self._notify()
            self.feed()

    def hand_over(self, batch: Batch, done: int) -> None:
        """Give the owners the outcomes of the items that are done. Under the lock."""
        start = batch.taken
        if done <= start:
            return
        outcomes, is_plain = batch.result_table.take(self.transport.store, start, done)
        batch.taken = done
        if len(outcomes) == batch.count and len(batch.spans) == 1:  # nearly every batch of a map
            span = batch.spans[0]
            span.owner.ended(span, span.start, outcomes, is_plain)
            return
        for span, at in batch.parts(start, done):
            part = outcomes[at - start : at - start + len(span)]
            span.owner.ended(span, span.start, part, is_plain)

    def steal(self, batch: Batch, start: int, ways: int) -> None:
        """Take the items from `start` on back from a worker that will not begin them.

        Args:
            batch: what the worker has.
            start: the first of them.
            ways: among how many workers they are shared.
        """
        back: list[Span] = []
        for span, _ in batch.parts(start, batch.stolen_from):
            step = -(-len(span) // max(1, ways))
            back += [
                span.part(at, min(at + step, span.stop))
                for at in range(span.start, span.stop, step)
            ]
        batch.stolen_from = start
        self._enqueue(back, front=True)
        self.feed()

    # -- workers ------------------------------------------------------------------------------

    def join(self, slots: Iterable[WorkerSlot]) -> bool:
        """Take workers in; return whether there is any use for them."""
        with self.lock:
            if self.broken is not None:
                return False
            self.slots.extend(slots)
            self.feed()
            return True

    def gone(self, slot: WorkerSlot, error: ProcActorsError) -> None:
        """Go on without a worker that is over. Under the lock."""
        if slot not in self.slots:
            return
        self.slots.remove(slot)
        self.move(slot)
        self._notify()
        if slot.leaving or self.broken is not None:
            return
        if all(other.leaving for other in self.slots):
            self.close(PoolBroken(f"no worker of {self.name} is left: {error}"))

    def acquit(self, slot: WorkerSlot) -> None:
        """Send an accused worker work again: its next incarnation has it, if it was killed."""
        with self.lock:
            slot.accused = False
            self.feed()

    def staying(self) -> list[WorkerSlot]:
        """Return the workers that are to stay, in the order of their numbers."""
        with self.lock:
            return [slot for slot in self.slots if not slot.leaving]

    # -- state and end ------------------------------------------------------------------------

    def check(self) -> None:
        """Raise PoolBroken or ActorStopped if no work is taken any more."""
        broken = self.broken
        if broken is not None:
            raise type(broken)(str(broken))  # a fresh one: it is raised to many callers

    def check_open(self) -> None:
        """Raise as `check` does, and also while the pool only finishes what it has taken."""
        self.check()
        if self.closing:
            raise ActorStopped(f"{self.name} is being stopped and takes no more work")

    def waiting(self) -> int:
        """Return how many spans wait for a worker, whichever it is. Under the lock."""
        return len(self.queue) + sum(len(slot.own) for slot in self.slots)

    def is_busy(self) -> bool:
        """Whether anything waits or is in hand. Under the lock."""
        return bool(self.waiting()) or any(slot.batches for slot in self.slots)

    def unfinished(self) -> int:
        """Return how many items wait or are in hand."""
        with self.lock:
            spans = [*self.queue, *(span for slot in self.slots for span in slot.own)]
            batches = [batch for slot in self.slots for batch in slot.batches]
            return sum(map(len, spans)) + sum(batch.count - batch.taken for batch in batches)

    def close(self, why: ProcActorsError) -> None:
        """Take no more work; what waits is refused."""
        with self.lock:
            if self.broken is None:
                self.broken = why
            waiting = [*self.queue]
            self.queue.clear()
            for slot in self.slots:
                waiting += slot.release()
            refuse(waiting, why)
            self._notify()

    def end(self) -> None:
        """Remove the result tables; those that are still in use, when they come back."""
        self._result_tables.close()


def _alike(first: Span, span: Span) -> bool:
    """Whether two spans may go in one message."""
    if span.form != first.form or span.timeout != first.timeout:
        return False
    if span.is_alone or first.is_alone:
        return False
    if span.form == CALL:
        return span.name == first.name
    # Of one map, which is withdrawn as a whole, and of one size, for which `most` was found.
    return span.owner.source is first.owner.source and len(span) <= len(first)
