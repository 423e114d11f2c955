"""The answers to submits: one shared port, one thread that reads it, one that calls back.

Layer: wire. Runs in: any process that submits; two threads of its own.
Owns: the shared reply port and both threads (`close`).
Never: runs user code in the reading thread: a callback that submitted again would wait for the
thread that it is in.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic
from typing import Any, Protocol

from procactors.errors import ActorStopped, AskTimeout
from procactors.wire.payload_store import PayloadStore
from procactors.wire.record import Kind
from procactors.wire.replies.port import PendingReply, ReplyPort
from procactors.wire.sampler import Sampler
from procactors.wire.storage import too_many_open

__all__ = ["HELD_S", "NOT_SENT", "ReplyReader"]

_log = logging.getLogger("procactors")

#: Seconds between two looks at whether an actor is still debugged, once a call's time is over.
HELD_S = 0.2

#: Calls on their way from which on the reader thread lets answers gather, and answers in one read
#: with which it has paid.
_MANY = 8
#: Seconds for which it does while nobody waits for one: a hundred thread switches, and a fortieth
#: of the time that an actor grants a full pipe.
_REST_S = 0.0005
#: Seconds for which it does while somebody waits. A time in vain doubles the number of times that
#: it does not, up to so many: then one that is waited for beside eight slow ones is hardly late.
_GATHER_S = 0.0001
_MOST = 127
#: Bytes in one read, a quarter of the pipe, behind which there is no rest.
_LARGE = 1 << 14

_MET = "a reply, or a callback of one, met an error, and the next are served"

#: What became of the caller's message where no descriptor was left (see `too_many_open`).
NOT_SENT = "; the message was not sent"


class Trips(Protocol):
    """Counts how long answers took: `procactors.wire.trips`."""

    def record(self, sent: int, method: bytes, sampler: Sampler, standing: int) -> None:
        """Count a call of a method that was sent at that instant, and is answered now."""


class ReplyReader:
    """The shared port of all submits, its reader thread and the callbacks' thread."""

    def __init__(self, store: PayloadStore) -> None:
        try:
            self.port = ReplyPort(store)
        except OSError as error:
            raise too_many_open("a reply pipe", error, NOT_SENT) from error
        self.pending: dict[int, PendingReply] = {}
        #: Calls that are measured: when each was sent (monotonic nanoseconds), its method, what has
        #: chosen it, and for how many it stands.
        self.sent: dict[int, tuple[int, bytes, Sampler, int]] = {}
        #: Counts how long they took.
        self.trips: Trips | None = None
        #: Calls that were cancelled and that nobody waits for: to which mailbox they were sent.
        self.unwanted: dict[int, str] = {}
        #: Calls that are just being cancelled: where their actor's log was behind the first mark.
        self.marked: dict[int, int] = {}
        #: Called with the mailbox and the id of such a call that was begun all the same.
        self.on_begun: Callable[[str, int], None] = lambda _path, _call: None
        #: Calls that have moved: from which actors to which. Each actor's moves come in order,
        #: those of different ones may not. From 0: owed.
        self.moved: dict[int, list[tuple[int, int]]] = {}
        #: Those, among these, whose callers know that they have begun, and want them no more.
        self.begun: set[int] = set()
        #: Called with such a call, or an unwanted one, and the actor that is to answer it now.
        self.on_moved: Callable[[int, int], None] = lambda _call, _actor: None
        self.port.on_moved = self._has_moved
        #: By number: what waits until all that was sent to here is handed over.
        self._marks: dict[int, Any] = {}
        self._mark_numbers = itertools.count(1)
        self.callbacks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        #: Says of an actor whether somebody debugs it, or whom it waits for.
        self.is_debugged: Callable[[int], bool] = lambda _actor: False
        self._store = store
        self._closing = False
        # Guards the deadlines, pushed by callers and popped by the reader thread.
        self._lock = threading.Lock()
        # (deadline, call, error, actor, timeout, whether the actor was debugged at the last look)
        self._deadlines: list[tuple[float, int, AskTimeout, int, float, bool]] = []
        #: Somebody waits for an answer, since the last read.
        self._hurried = False
        self._resting = False
        # Times in a row that gathering has not paid, and times that are left out for it.
        self._misses = self._skip = 0
        # Held by the reader thread, but for a moment in which it is to end its rest.
        self._alarm = threading.Lock()
        self._alarm.acquire()
        self._threads = [
            threading.Thread(target=target, name=f"procactors-{name}", daemon=True)
            for name, target in (("replies", self._read), ("callbacks", self._call_back))
        ]

    def start(self) -> None:
        """Start the threads; again, if a signal handler has raised while they were started."""
        for thread in self._threads:
            if thread.ident is None:
                thread.start()

    def close(self) -> None:
        """End both threads; what is still awaited ends with an error."""
        self._closing = True
        self.port.wake()
        self.hurry()
        self.callbacks.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        while count := self.port.read(0.0):  # what came while the thread was ending
            self._deliver(count)
        self.port.retire()
        error = ActorStopped("the system was stopped while this reply was awaited")
        for pending in self.pending.values():
            pending.deliver(None, error)
        self.pending.clear()

    def call_back_rest(self) -> None:
        """Run the callbacks that came while the threads ended, in the thread that ends them."""
        while not self.callbacks.empty():
            callback = self.callbacks.get()
            if callback is not None:
                _guarded(callback)
        self.callbacks.put(None)  # for the callbacks' thread, if this is one of its callbacks

    def expire(
        self, call: int, deadline: float, timeout: float, actor: int, error: AskTimeout
    ) -> None:
        """Give a call up at its deadline.

        Args:
            call: its id.
            deadline: by the monotonic clock.
            timeout: seconds that it waits again behind a debugger of the actor's.
            actor: that is to answer it.
            error: what its caller gets.
        """
        with self._lock:
            heapq.heappush(self._deadlines, (deadline, call, error, actor, timeout, False))
            is_first = self._deadlines[0][1] == call
        if is_first:
            self.port.wake()  # it waits for a later one, or for ever

    def catch_up(self, timeout: float) -> bool:
        """Wait until all answers that were sent by now are handed over; False: not in time.

        It takes longer than that where a signal handler calls this on top of a frame for whose lock
        the reader thread waits.
        """
        number, turn = next(self._mark_numbers), threading.Lock()
        turn.acquire()
        self._marks[number] = turn
        try:
            self.port.on_mark = self._met
            if not self.port.mark(number, timeout):
                return False
            self.hurry()
            return turn.acquire(timeout=timeout)
        finally:
            self._marks.pop(number, None)

    def _has_moved(self, call: int, actor: int, source: int) -> None:
        # In this order: who gives a call up, or finds that it has begun, does it the other way
        # round, and of both one sees the other.
        if call in self.pending or call in self.unwanted:
            self.moved.setdefault(call, []).append((source, actor))
            if call in self.unwanted or call in self.begun:
                _guarded(self.on_moved, call, actor)

    def forget_moved(self, call: int) -> None:
        """Forget where a call was to be answered: it is over."""
        self.moved.pop(call, None)
        self.begun.discard(call)

    def _met(self, number: int) -> None:
        turn = self._marks.get(number)
        if turn is not None:
            turn.release()

    def hurry(self) -> None:
        """Have answers handed over as they come: somebody waits for one."""
        self._hurried = True
        if self._resting:
            with contextlib.suppress(RuntimeError):  # another thread has just done it
                self._alarm.release()

    def _read(self) -> None:
        count = 0
        while not self._closing:
            # A pipe that fills quickly is emptied as quickly: its senders wait for that.
            is_rested = len(self.pending) >= _MANY and count < _LARGE and self._rest()
            self._hurried = False
            count = self.port.read(self._give_up_late())
            taken = self._deliver(count)
            if is_rested:
                self._misses = 0 if taken >= _MANY else min(_MOST, self._misses * 2 or 1)
                self._skip = self._misses

    def _rest(self) -> bool:
        """Let answers gather; return whether they did while somebody waited for one.

        To take each as it comes would cost a switch to this thread and one to the thread that
        waits, or, where none does, the program, which is sending its next calls, the interpreter's
        lock as often.
        """
        self._resting = True
        # Behind the note: who hurries sees that, or is seen here.
        is_over = self._hurried or self._alarm.acquire(timeout=_REST_S)
        self._resting = False
        # With so many on their way one that is waited for is not hurried at the cost of all: but
        # only as long as many come at once.
        if not is_over:
            return False
        if self._skip:
            self._skip -= 1
            return False
        self._alarm.acquire(timeout=_GATHER_S)  # nobody releases it now
        return True

    def _deliver(self, count: int) -> int:
        """Hand over what is in the `count` bytes just read; return how many answers were."""
        pop, sent, taken = self.pending.pop, self.sent, 0
        for call, answer in self.port.answers(count):
            taken += 1
            waiter = pop(call, None)
            if sent and (begun := sent.pop(call, None)) is not None and self.trips is not None:
                self.trips.record(*begun)
            if self.moved:
                self.forget_moved(call)
            if waiter is None:
                self._store.discard(answer.flags, answer.value)
                if self.unwanted and (path := self.unwanted.pop(call, "")):
                    if answer.kind == Kind.CANCEL:
                        continue  # the actor has said so itself
                    _guarded(self.on_begun, path, call)
                continue
            try:
                waiter.deliver(answer, None)
            except BaseException:  # noqa: BLE001 - as in `_guarded`, without its call
                _log.exception(_MET)
        return taken

    def _give_up_late(self) -> float | None:
        """End the calls whose deadline has passed; return the next deadline."""
        while True:
            with self._lock:
                if not self._deadlines:
                    return None
                deadline, call, error, actor, timeout, was_held = self._deadlines[0]
                if deadline > monotonic():
                    return deadline
                heapq.heappop(self._deadlines)
            if call in self.pending and self._is_put_off(call, error, actor, timeout, was_held):
                continue
            waiter = self.pending.pop(call, None)
            self.sent.pop(call, None)
            if waiter is not None:
                self.forget_moved(call)
                _guarded(waiter.deliver, None, error)

    def _is_put_off(
        self, call: int, error: AskTimeout, actor: int, timeout: float, was_held: bool
    ) -> bool:
        """Give a call more time while its actor is debugged, and all of it anew behind that."""
        is_held = self.is_debugged(actor)
        if not is_held and not was_held:
            return False
        until = monotonic() + (min(HELD_S, timeout) if is_held else timeout)
        with self._lock:
            heapq.heappush(self._deadlines, (until, call, error, actor, timeout, is_held))
        return True

    def _call_back(self) -> None:
        while True:
            callback = self.callbacks.get()
            if callback is None:
                return
            _guarded(callback)
            del callback  # what it holds is not kept until the next one comes


def _guarded(action: Callable[..., None], *args: Any) -> None:
    try:
        action(*args)
    except BaseException:  # noqa: BLE001 - see below
        # So wide because all the other replies of this process wait for this thread, too.
        _log.exception(_MET)
