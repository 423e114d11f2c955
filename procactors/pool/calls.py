"""One call to a pool: the future that its caller holds, and the same without a caller.

Layer: pool. Runs in: the pool's process.
Owns: the call's payload, and its outcome until it is asked for.
Never: decodes in the reader thread: that is user code.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures._base import PENDING, RUNNING
from typing import TYPE_CHECKING, Any, TypeVar

from procactors.crash import CrashReport
from procactors.errors import ActorDied, ReplyError
from procactors.late import late
from procactors.pool.batch import QUARANTINE, Load, Span, death_of
from procactors.pool.sizing import Pace
from procactors.pool.targets import Target
from procactors.runner.batches import CALL
from procactors.runtime.reply import ENDED, NOTHING, UNOPENED, Reply
from procactors.wire.payload_store import LARGE
from procactors.wire.raised import cause_of, one_line
from procactors.wire.result_table import FAILURE, Sealed
from procactors.wire.shm.segments import Received

if TYPE_CHECKING:
    from procactors.pool import taking_back
else:
    taking_back = late("procactors.pool.taking_back")  # where something is cancelled

__all__ = ["AskCall", "PoolReply", "TellCall"]

_log = logging.getLogger("procactors")

R = TypeVar("R")


class Call:
    """One call, from its queueing to its end (a `batch.Owner`). Subclasses use its outcome.

    Args:
        target: what is called.
        load: its arguments.
        pace: what such calls cost.
        retries: how often it is tried again when it ends its worker.
        timeout: seconds that it may take.
    """

    def __init__(
        self, target: Target, load: Load, pace: Pace, retries: int, timeout: float | None
    ) -> None:
        self.pace = pace
        self._target = target
        self._load = load
        self._retries = retries
        self._timeout = timeout
        self._deaths = 0

    @property
    def source(self) -> object:
        """A call is part of nothing but itself."""
        return self

    def span(self) -> Span:
        """Return the call as it is sent. Not kept: a cycle would hold the outcome until found."""
        target = self._target
        return Span(self, target.name, target.named, self._load, CALL, 0, 1, self._timeout)

    def begins(self, span: Span) -> bool:
        """Return whether the call is still wanted."""
        return True

    def ended(self, span: Span, at: int, outcomes: list[Any], is_plain: bool = False) -> None:
        """Pass the outcome of the call on."""
        self._free()
        self.resolve(outcomes[0])

    def died(self, span: Span, report: CrashReport) -> Span | None:
        """Try the call again, if that is allowed; else the death is its error."""
        self._deaths += 1
        if self._is_tried_again() and self._deaths <= self._retries and self._deaths < QUARANTINE:
            return span
        self.refused(span, death_of(report, self._deaths, span.timeout))
        return None

    def _is_tried_again(self) -> bool:
        return True

    def unreadable(self, span: Span, why: str) -> None:
        """Take the reason as the error of the call."""
        self.refused(span, ReplyError(why))  # of one call the worker says itself what it is

    def refused(self, span: Span, error: Exception) -> None:
        """Take the error as the outcome of the call."""
        self._free()
        self.resolve(Sealed(FAILURE, error))

    def cancel(self, span: Span) -> bool:
        """Give the call up."""
        self.refused(span, CancelledError())
        return True

    def resolve(self, outcome: Any) -> None:
        """Pass the outcome on."""
        raise NotImplementedError

    def _free(self) -> None:
        self._load.free()
        self._target.free()


class PoolReply(Reply[R]):
    """The reply to a call of a pool: what `Pool.submit` returns.

    Its ``cancel()`` is that of any `Reply`; of a call that waits at a worker behind another one, it
    takes 2 ms.
    """

    #: It has ended a worker: it has begun, though it may be tried again.
    _was_begun = False

    def cancel(self, *, kill: bool = False) -> bool:
        """Cancel the call; return whether it has not begun, and never will: see `Reply.cancel`.

        With `kill`, a worker in whose hand it is, is killed and started anew; the other calls that
        it was sent are not lost.
        """
        if self._state in ENDED:
            return self._never_runs()
        self._endpoint.check_copy()
        if self._give_up():  # no worker has it: it is still pending
            return self._never_runs()
        with self.__dict__.setdefault("_cancelling", threading.RLock()):
            if self._state in ENDED:
                return self._never_runs()
            dispatcher = self._whose
            if not self._may_have_begun:
                if not self._was_begun and taking_back.take_back(
                    dispatcher, self._is_of, self._end_cancelled
                ):
                    return self._never_runs()
                self._may_have_begun = True
            if kill and self._state == RUNNING:
                self._is_killing = True
                try:
                    if taking_back.end_worker(dispatcher, self._is_of):
                        self._end_cancelled()
                finally:
                    self._is_killing = False
            return self._never_runs()

    def want_no_more(self) -> None:
        """Give the call up: it is not begun if it has not been; else its function is told."""
        if self._state in ENDED or self._give_up():
            return
        self._may_have_begun = True  # it is not looked at
        if not self._endpoint.is_copy:
            taking_back.hold_back(self._whose, self._is_of)
        self._end_cancelled()

    def _is_of(self, span: Span) -> bool:
        owner = span.owner
        return type(owner) is AskCall and owner._reply is self

    def _end_cancelled(self) -> None:
        """End as cancelled, though a worker has been given the call."""
        with self._guard:
            if self._state == RUNNING:
                self._state = PENDING
        self._give_up()

    def begin(self) -> bool:
        """Return whether the call is still wanted; if so it is running from now on."""
        with self._guard:
            if self._state == PENDING:
                self._state = RUNNING
        return self._state == RUNNING

    def note_death(self) -> None:
        """Hear that the call has ended a worker."""
        self._was_begun = True

    def is_given_up(self) -> bool:
        """Whether the call is not to be tried again: its caller has it killed, or is gone."""
        return self._is_killing or self._state in ENDED

    def resolve(self, outcome: Any) -> None:
        """Take the outcome of the call, in any thread."""
        self._sealed = outcome
        failed = type(outcome) is Sealed and outcome.tag == FAILURE
        if failed and self._is_killing and isinstance(outcome.data, ActorDied):
            self._sealed = NOTHING
            self._end_cancelled()
            return
        self.deliver(None, UNOPENED if failed else None)

    def _decode(self, sealed: Any) -> tuple[bool, Any]:
        return sealed.open() if type(sealed) is Sealed else (True, sealed)

    def _is_large(self) -> bool:
        data = self._sealed.data if type(self._sealed) is Sealed else None
        return isinstance(data, Received) and len(data.head) >= LARGE

    def _discard(self) -> None:
        self._sealed = NOTHING


class AskCall(Call):
    """A call whose caller holds a `PoolReply`."""

    def __init__(
        self,
        reply: PoolReply[Any],
        target: Target,
        load: Load,
        pace: Pace,
        retries: int,
        timeout: float | None,
    ) -> None:
        super().__init__(target, load, pace, retries, timeout)
        self._reply = reply
        self._begun = False

    def begins(self, span: Span) -> bool:
        """Return whether the call was not cancelled; from now on it cannot be."""
        if not self._begun or self._reply.cancelled():  # cancelled on its way back from a worker
            self._begun = self._reply.begin()
            if not self._begun:
                self._free()
        return self._begun

    def cancel(self, span: Span) -> bool:
        """Cancel the future, unless a worker has had the call."""
        if self._begun or not self._reply.cancel():
            return False
        self._free()
        return True

    def _is_tried_again(self) -> bool:
        self._reply.note_death()
        return not self._reply.is_given_up()

    def resolve(self, outcome: Any) -> None:
        """Fulfil the future of the caller."""
        self._reply.resolve(outcome)


class TellCall(Call):
    """A call without a caller that waits: a failure is logged, and kept as a dead letter.

    Args:
        run_callback: runs a function in the thread for callbacks.
        lost: called with its arguments and why, when it was not handled or has failed.
    """

    def __init__(
        self,
        run_callback: Callable[[Callable[[], None]], None],
        lost: Callable[[Load, str], None],
        target: Target,
        load: Load,
        pace: Pace,
        retries: int,
        timeout: float | None,
    ) -> None:
        super().__init__(target, load, pace, retries, timeout)
        self._run_callback = run_callback
        self._lost = lost

    def ended(self, span: Span, at: int, outcomes: list[Any], is_plain: bool = False) -> None:
        """Look at the outcome of the call; keep its arguments until a failure is reported."""
        self.resolve(outcomes[0])

    def refused(self, span: Span, error: Exception) -> None:
        """Report that the call was not handled."""
        self.resolve(Sealed(FAILURE, error))

    def resolve(self, outcome: Any) -> None:
        """Report a failure of the call, in the thread for callbacks."""
        if type(outcome) is Sealed and outcome.tag == FAILURE:
            # Not here: to unpickle an exception is to run a user's code.
            self._run_callback(functools.partial(self._report, outcome))
            return
        self._free()

    def _report(self, outcome: Sealed) -> None:
        _, error = outcome.open()
        trace = getattr(cause_of(error), "text", "")
        said = one_line(error)
        _log.error("%s, told to a pool, failed: %s\n%s", self._target.shown, said, trace.rstrip())
        self._lost(self._load, said)
        self._free()
