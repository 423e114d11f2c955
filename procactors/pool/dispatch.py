"""Who gets which work: a queue that free workers draw from, and what follows from each answer.

Layer: api. Runs in: the pool's process: whoever brings work, and the station's reader thread.
Owns: the pool's sheets (`close`).
Never: runs a user's code, which may block or raise; waits for a worker.

    push ─► queue ─► a worker with room ─► batch ─► answer ─┬─► outcomes to their owners
              ▲                                             ├─► item in hand of the dead: its owner
              └────────────── what was not begun ◄──────────┘
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic

from procactors.errors import (
    ActorStopped,
    DeliveryError,
    PoolBroken,
    ProcActorsError,
)
from procactors.pool.batch import Batch
from procactors.pool.member import Member
from procactors.pool.probe import Probe
from procactors.pool.spans import Span, refuse
from procactors.pool.verdicts import NEVER_BEGUN, Verdicts
from procactors.process.batch import CALL, pack_batch
from procactors.process.loop import BATCH_KEY
from procactors.raised import by_signal
from procactors.wire.codec import Encoded
from procactors.wire.failure import load_answer
from procactors.wire.reply import Answer
from procactors.wire.sheet import SheetRoom
from procactors.wire.transport import SUPERVISOR, Transport

__all__ = ["Dispatcher"]

_log = logging.getLogger("procactors")

#: Bytes of calls that are sent together: they are to fit into one record.
_TOGETHER_BYTES = 3200
#: A message that every worker answers at once.
PROBE_KEY, PROBE = BATCH_KEY, Encoded(b"", ())
#: Longest name of what a batch calls, for people, in bytes.
_NAME_BYTES = 200


class Dispatcher:
    """The work of one pool.

    Attributes:
        name: the pool's.
        members: its workers, in the order of their numbers.
        queue: what waits for whoever is free, in the order in which it is to be sent.
        lock: guards all of this; held briefly, never while waiting. Reentrant: an owner that is
            told of an outcome may bring new work at once.
        changed: notified when a batch has ended, a worker has gone, or the queue has got shorter.
        broken: why no work is taken any more; None while it is.
        closing: no new work is taken, what was taken is finished.
    """

    def __init__(self, station: Transport, name: str, wake: Callable[[], None]) -> None:
        self.station = station
        self.name = name
        self.members: list[Member] = []
        self.queue: deque[Span] = deque()
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.broken: ProcActorsError | None = None
        self.closing = False
        self._wake = wake
        self._sheets = SheetRoom(station.home)
        self._verdicts = Verdicts()
        self._numbers = itertools.count(1)
        #: Batches of which nobody knows whether they were sent.
        self.doubts: list[Batch] = []

    @property
    def mailbox(self) -> int:
        """Number of a worker's mailbox, for payloads that any of them may read (`spans.Load`)."""
        members = self.members
        return members[0].ref._actor if members else SUPERVISOR

    # -- work comes ---------------------------------------------------------------------------

    def push(self, spans: Iterable[Span]) -> None:
        """Take work, and send what can be sent; refuse it if none is taken any more.

        Whoever brings new work looks first (`check`); what is brought again is taken to the end.
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
            if wanted is not None and wanted in self.members and not wanted.leaving:
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

    def move(self, member: Member) -> None:
        """Give what waits for one worker alone to the others. Under the lock."""
        self._enqueue(member.release(), front=True)

    def withdraw(self, wanted: Callable[[Span], bool]) -> None:
        """Drop what waits and is not `wanted`, and let workers begin no more of it."""
        with self.lock:
            for queue in (self.queue, *(member.own for member in self.members)):
                # One by one, and in place: Ctrl-C at any line of this loses nobody's work.
                for _ in range(len(queue)):
                    span = queue[0]
                    if wanted(span) or span.owner.begins(span):
                        queue.rotate(-1)
                    else:
                        queue.popleft()
            for member in self.members:
                for batch in member.batches:
                    if not any(wanted(span) for span in batch.spans):
                        batch.lower(0, monotonic())
            self.changed.notify_all()

    def cancel_waiting(self) -> None:
        """Take back what has never been sent to a worker."""
        with self.lock:
            for queue in (self.queue, *(member.own for member in self.members)):
                spans = list(queue)
                queue.clear()
                queue.extend(span for span in spans if not span.owner.cancel(span))
            self.changed.notify_all()

    # -- work goes ----------------------------------------------------------------------------

    def feed(self) -> None:
        """Send what waits to whoever has room for it. Under the lock."""
        sent = True
        while sent and (self.queue or any(member.own for member in self.members)):
            sent = False
            # Those without any work first: nobody is given a second batch before them.
            for member in sorted(self.members, key=lambda member: len(member.batches)):
                has_work = member.own or (self.queue and not member.leaving)
                if has_work and member.has_room() and member in self.members:
                    sent = self._send(member) or sent

    def _send(self, member: Member) -> bool:
        """Send a member its next batch; return whether anything has changed."""
        spans: list[Span] = []
        batch: Batch | None = None
        try:
            self._pick(member, spans)
            if not spans:
                return False
            batch = self._batch(member, spans)
            # Before it is sent: wherever a signal handler raises, also on top of what is done about
            # that below, it stays here. The keeper finds out whether it was sent.
            self.doubts.append(batch)
            self._submit(batch)
            self.doubts.remove(batch)
        except ActorStopped as error:
            self._unsend(batch)
            self._enqueue(spans, front=True)
            self.gone(member, error)
        except BaseException as error:
            if batch is not None and batch in member.batches and not self._is_refusal(error):
                batch.lower(0, monotonic())
                raise
            self._unsend(batch)
            if not self._is_refusal(error):
                self._enqueue(spans, front=True)
                raise
            refuse(spans, error)  # type: ignore[arg-type]  # a refusal is an Exception
        finally:
            self._wake()
        return True

    @staticmethod
    def _is_refusal(error: BaseException) -> bool:
        """Whether there is no room, or no descriptor; else somebody's signal handler has raised."""
        # An alarm's TimeoutError is an OSError, too.
        return isinstance(error, (DeliveryError, OSError)) and not by_signal(error)

    def _batch(self, member: Member, spans: list[Span]) -> Batch:
        sheet = self._sheets.lease()
        try:
            return Batch(self, member, spans, sheet, next(self._numbers), monotonic())
        except BaseException:
            self._sheets.give_back(sheet)
            raise

    def _submit(self, batch: Batch) -> None:
        station, ref = self.station, batch.member.ref
        packed = pack_batch(
            station.home.process,
            batch.sheet.number,
            batch.number,
            station.reply_number,
            batch.flags,
            [span.wire() for span in batch.spans],
        )
        key = BATCH_KEY + batch.spans[0].name[:_NAME_BYTES]
        batch.member.batches.append(batch)
        station.submit(ref._actor, ref.name, key, Encoded(packed, ()), batch)

    def _unsend(self, batch: Batch | None) -> None:
        if batch is not None:
            if batch in batch.member.batches:
                batch.member.batches.remove(batch)
            if batch in self.doubts:
                self.doubts.remove(batch)
            self._sheets.give_back(batch.sheet)

    def _pick(self, member: Member, spans: list[Span]) -> None:
        """Move the next spans for a member from its own queue, or the common one, to `spans`."""
        for queue in (member.own, self.queue) if not member.leaving else (member.own,):
            while queue:
                span = queue.popleft()
                if fatal := self._verdicts.fatal(span):
                    refuse([span], fatal)
                elif span.owner.begins(span):
                    spans.append(span)
                    if span.form == CALL:
                        self._join_calls(spans, queue)
                    self.changed.notify_all()
                    return
                self.changed.notify_all()

    def _join_calls(self, spans: list[Span], queue: deque[Span]) -> None:
        """Add the calls that may go in the same message as the first."""
        first = spans[0]
        most = first.owner.pace.size(len(queue) + 1, max(1, len(self.members)))
        size = first.wire_bytes
        while queue and len(spans) < most:
            span = queue[0]
            size += span.wire_bytes
            alike = span.form == CALL and (span.name, span.timeout) == (first.name, first.timeout)
            if not alike or size > _TOGETHER_BYTES:
                break
            queue.popleft()
            if span.owner.begins(span):
                spans.append(span)

    def clear_up(self) -> None:
        """Ask workers behind the batches in doubt: by then these are done. Under the lock."""
        while self.doubts:
            batch = self.doubts.pop()
            probe = Probe(self, batch)
            try:
                self.station.submit(
                    batch.member.ref._actor, batch.member.ref.name, PROBE_KEY, PROBE, probe
                )
            except (ProcActorsError, OSError) as error:
                self.ended(batch, None, error)

    # -- answers ------------------------------------------------------------------------------

    def ended(self, batch: Batch, answer: Answer | None, error: BaseException | None) -> None:
        """A worker has answered, or somebody for it. Runs in the station's reader thread."""
        verdict: object = NEVER_BEGUN if error is None else error
        if answer is not None:
            try:
                verdict = load_answer(self.station.home, answer)
            except Exception as raised:  # noqa: BLE001 - what it says is sorted out below
                verdict = raised
        member = batch.member
        with self.lock:
            if batch not in member.batches:
                return
            member.batches.remove(batch)
            done = batch.done()
            self.hand_over(batch, done)
            back = self._verdicts.follow(batch, done, verdict)
            # Nobody writes on it any more: the worker has answered, or is gone.
            self._sheets.give_back(batch.sheet)
            self._enqueue(back, front=True)
            if isinstance(verdict, ActorStopped):
                self.gone(member, verdict)
            if not member.batches:
                member.idle_since = monotonic()
            self.changed.notify_all()
            self.feed()

    def hand_over(self, batch: Batch, done: int) -> None:
        """Tell the owners of the items that are done. Under the lock."""
        start = batch.taken
        if done <= start:
            return
        outcomes, is_plain = batch.sheet.take(self.station.home, start, done)
        batch.taken = done
        for span, at in batch.parts(start, done):
            part = outcomes[at - start : at - start + len(span)]
            span.owner.ended(span, span.start, part, is_plain)

    # -- workers ------------------------------------------------------------------------------

    def join(self, members: Iterable[Member]) -> bool:
        """Take workers in; return whether there is any use for them."""
        with self.lock:
            if self.broken is not None:
                return False
            self.members.extend(members)
            self.feed()
            return True

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

    def gone(self, member: Member, error: ProcActorsError) -> None:
        """A worker is over. Under the lock."""
        if member not in self.members:
            return
        self.members.remove(member)
        self.move(member)
        self.changed.notify_all()
        if member.leaving or self.broken is not None:
            return
        if all(other.leaving for other in self.members):
            self.close(PoolBroken(f"no worker of {self.name} is left: {error}"))

    def check(self) -> None:
        """Raise PoolBroken or ActorStopped if no work is taken any more."""
        broken = self.broken
        if broken is not None:
            raise type(broken)(str(broken))  # a fresh one: it is raised to many callers

    def waiting(self) -> int:
        """Return how many spans wait for a worker, whichever it is. Under the lock."""
        return len(self.queue) + sum(len(member.own) for member in self.members)

    def check_open(self) -> None:
        """Raise also while what was taken is being finished: there is to be no new work."""
        self.check()
        if self.closing:
            raise ActorStopped(f"{self.name} is being stopped and takes no more work")

    def is_busy(self) -> bool:
        """Whether anything waits or is in hand. Under the lock."""
        return bool(self.waiting()) or any(member.batches for member in self.members)

    def unfinished(self) -> int:
        """Return how many items wait or are in hand."""
        with self.lock:
            spans = [*self.queue, *(span for member in self.members for span in member.own)]
            batches = [batch for member in self.members for batch in member.batches]
            return sum(map(len, spans)) + sum(batch.count - batch.taken for batch in batches)

    def close(self, why: ProcActorsError) -> None:
        """Take no more work; what waits is refused."""
        with self.lock:
            if self.broken is None:
                self.broken = why
            waiting = [*self.queue]
            self.queue.clear()
            for member in self.members:
                waiting += member.release()
            refuse(waiting, why)
            self.changed.notify_all()

    def end(self) -> None:
        """Remove the sheets; those that are still in use, when they come back."""
        self._sheets.close()
