"""The reply that is still to come: a future that can be waited for, awaited or called back.

Layer: runtime. Runs in: caller; `deliver` in the endpoint's reader thread.
Owns: the undecoded answer, and with it the answer's segment, until it is asked for.
Never: runs user code in the reader thread: unpickling is user code too.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Generator
from concurrent.futures import (
    CancelledError,
    Future,
    TimeoutError as FuturesTimeout,
)
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING, RUNNING
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from procactors.errors import ReplyError
from procactors.wire.pickling.plain import PICKLED, load_plain
from procactors.wire.raised import said
from procactors.wire.record import Kind
from procactors.wire.replies.port import BEING_SENT, Answer
from procactors.wire.spin import pause
from procactors.wire.transport import SUPERVISOR, Transport

__all__ = ["ENDED", "NOTHING", "UNOPENED", "Reply", "Whose"]

R = TypeVar("R")

_log = logging.getLogger("procactors")

#: Stands for a handler's exception until it is asked for.
UNOPENED = ReplyError("the handler raised; this stands for it until it is decoded")
#: Says that no answer waits to be decoded: none has come, or it is decoded.
NOTHING: Any = object()

_RESULT = int(Kind.RESULT)  # a plain number compares in a third of an enum's time
_CANCEL = int(Kind.CANCEL)
_VERDICT = int(Kind.VERDICT)
#: Seconds between looks whether it is sent.
_SENT_EVERY_S = 0.0005
_CANCELLED = (CANCELLED, CANCELLED_AND_NOTIFIED)
ENDED = (FINISHED, *_CANCELLED)


class Whose(Protocol):
    """Who was sent the message: a ref, or what stands for the supervisor or a pool.

    Attributes:
        name: for people.
    """

    name: str


class _Late:
    """An attribute of the base class that few replies need: it is made when it is asked for.

    A descriptor for each, no `__getattr__` for all: with one, each look at any attribute of a reply
    would take three times as long.

    Args:
        make: returns it for a reply.
    """

    def __init__(self, make: Callable[[Reply[Any]], Any]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, reply: Reply[Any] | None, owner: type) -> Any:
        if reply is None:
            return self
        # Whoever asks for one of these waits for the end, or will be called back at it. Noted
        # first: what a signal handler raises behind it loses nothing; and its state, at which
        # the thread looks next, is set before this is looked at.
        reply.is_awaited = True
        # Two threads may be here at once: they get the same one.
        made = reply.__dict__.setdefault(self._name, self._make(reply))
        if self._name == "_condition":
            # For `wait` and its like: they ask for it first, and look at the state then.
            reply._endpoint.bring(reply)
        else:
            reply._endpoint.hurry()
        return made


class Reply(Future[R]):
    """What `submit` returns: a `concurrent.futures.Future` that can also be awaited.

    Every reply ends with a result or an error that names the cause: it never waits on the dead.
    Callbacks run in one thread of the runtime's, in order, and may submit again. A reply that
    carries an exception that was never asked for is logged when it is collected, unless the system
    was left by an exception. ``cancel()`` is true if the message has not begun, and then it never
    does.

    A signal handler of the program may raise at any line of the main thread. The base class's
    `Condition` would then stay locked now and then, and the thread that brings all replies would
    wait for it: so what the main thread calls most takes that lock's inner one, or none.

    The base class's constructor is not called: it costs as much as pickling the message. What it
    sets stands on the class, or is made late (`_Late`).
    """

    _state = PENDING
    _result: Any = None
    _exception: BaseException | None = None
    #: What has come and is not decoded yet (`_decode`).
    _sealed: Any = NOTHING
    _asked = False
    is_awaited = False
    #: Id of the call; None: it is not sent. BEING_SENT: perhaps it is just now.
    call: int | None = None
    #: Who sends it has not to do it any more.
    _unwanted = False
    _may_have_begun = False
    _is_killing = False
    _guard: Any
    if TYPE_CHECKING:
        _condition: Any
        _waiters: list[Any]
        _done_callbacks: list[Callable[[Reply[R]], object]]
        #: One lock for each waiting thread, held until the thread is to look at the state again.
        _sleepers: list[Any]
    else:
        _condition = _Late(lambda reply: threading.Condition(reply._guard))
        _waiters = _Late(lambda _: [])
        _done_callbacks = _Late(lambda _: [])
        _sleepers = _Late(lambda _: [])

    def __init__(self, endpoint: Transport, whose: Whose) -> None:
        self._endpoint = endpoint
        self._whose: Any = whose
        # Guards the state; the condition has it inside. A lock in C: no signal handler can raise
        # inside its ``with`` statement itself. Reentrant: the handler may ask for this reply.
        self._guard = endpoint.make_guard()

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:  # noqa: C901 - in one piece: it is hot
        """Take the answer from the reader thread."""
        with self._guard:
            if answer is not None:
                self._sealed = answer
                if answer.kind != _RESULT:
                    if answer.kind == _CANCEL or (self._is_killing and answer.kind == _VERDICT):
                        self._skipped()
                        return
                    # So that `wait(..., FIRST_EXCEPTION)` sees it; which one it is, is decoded
                    # later.
                    error = UNOPENED
            is_late = self._state in ENDED  # cancelled meanwhile
            if not is_late:
                if error is not None:
                    self._exception = error
                # Last: who finds it ended takes no lock to look at the rest.
                self._state = FINISHED
                if self.is_awaited and "_condition" in self.__dict__:
                    self._tell_waiters()
        if is_late:
            self._discard()
        elif self.is_awaited:
            if "_sleepers" in self.__dict__:
                self._wake()
            if "_done_callbacks" in self.__dict__:
                self._invoke_callbacks()

    def _skipped(self) -> None:
        """End as cancelled: the actor has not begun the message, or was killed for it."""
        self._discard()
        self._give_up()

    def done(self) -> bool:
        """Whether the reply has ended: with a result, an exception, or cancelled."""
        if self._state in ENDED:
            return True
        self._endpoint.look()  # who asks may ask again and again
        return self._state in ENDED

    def running(self) -> bool:
        """Whether it is known here to have begun; of a message to an actor that is not known."""
        return self._state == RUNNING

    def cancelled(self) -> bool:
        """Whether the reply was cancelled."""
        return self._state in _CANCELLED

    def add_done_callback(self, fn: Callable[[Future[R]], object]) -> None:
        """Have `fn` called with this reply when it has ended; at once if it has."""
        with self._guard:
            if self._state not in ENDED:
                self._done_callbacks.append(fn)
                return
        try:
            fn(self)
        except Exception:  # noqa: BLE001 - the callback's; as the base class has it
            _log.exception("a callback of a reply from %s raised", self._whose.name)

    def cancel(self, *, kill: bool = False) -> bool:
        """Cancel the message; return whether it has not begun, and then it never does.

        True: the message still waited, and is not handled any more; the reply ends as cancelled. It
        is true again of a reply that was cancelled before, as it is of any future.

        False: it has begun, or the reply has ended. A handler that runs is told so
        (`Context.cancelled`), and the reply still brings what it returns or raises. With `kill` its
        process is killed and started anew, if the handler still runs then, and the reply ends as
        cancelled. It is also false where there is no room on the disk to cancel anything; then
        nothing is changed.

        Blocks for part of a millisecond, as a rule; in a death of the actor for 1 s at most. With
        `kill` it also waits for the supervisor's answer.

        Args:
            kill: kill the process of a handler that has begun. That counts as no restart.

        Raises:
            ForeignProcess: this is a forked copy of the process that sent the message.
        """
        if self._state in ENDED:
            return self._never_runs()
        self._endpoint.check_copy()
        if self._whose._actor == SUPERVISOR:
            return self._give_up()  # a command stands
        # One at a time: else one would find that it waits, and the next one that it has begun. A
        # lock in C, and reentrant, as `_guard`; made with the first call.
        with self.__dict__.setdefault("_cancelling", threading.RLock()):
            if self._state in ENDED:
                return self._never_runs()
            if not self._may_have_begun:
                is_taken = self._is_taken_back()
                if is_taken:
                    self._give_up()
                    return self._never_runs()
                # Ended as cancelled, it was not begun: the actor has said so.
                self._may_have_begun = is_taken is not None and self._state not in _CANCELLED
            if kill and self._may_have_begun and self._state not in ENDED:
                self._kill()
            return self._never_runs()

    def _never_runs(self) -> bool:
        """Whether it is cancelled, and was before the message had begun."""
        return self._state in _CANCELLED and not self._may_have_begun

    def _is_taken_back(self) -> bool | None:
        """Return whether the message never begins; None: that could not be found out."""
        # Shown first, looked up second, as who sends it does it the other way round.
        self._unwanted = True
        while True:
            while (call := self.call) == BEING_SENT:
                pause(_SENT_EVERY_S)
            if call is None:
                return True
            is_taken = self._endpoint.take_back(self._whose._actor, call)
            # Else that sending has failed for want of a place, and is tried again.
            if is_taken or self.call == call:
                break
        self._unwanted = bool(is_taken)
        return is_taken

    def is_wanted(self) -> bool:
        """Whether its message, if it is not sent yet, is still to be sent."""
        return not self._unwanted and self._state not in _CANCELLED

    def _kill(self) -> None:
        """Kill the process in which the handler runs, and end as cancelled, if it still does."""
        from procactors.model import commands as c  # only where it is used

        endpoint = self._endpoint
        assert self.call is not None
        actor = endpoint.who_answers(self._whose._actor, self.call)
        command = c.KillCall(actor, endpoint.reply_number, self.call)
        encoded = endpoint.encode(command)
        self._is_killing = True
        try:
            if endpoint.ask(SUPERVISOR, "the supervisor", b"", encoded):
                self._give_up()
        finally:
            self._is_killing = False

    def want_no_more(self) -> None:
        """Give up the reply, and cancel the message, whether it has begun or not; do not wait."""
        self._unwanted = True
        call = self.call
        if call is not None and self._state not in ENDED and not self._endpoint.is_copy:
            self._may_have_begun = True  # it is not looked at
            if call != BEING_SENT and self._whose._actor != SUPERVISOR:
                self._endpoint.want_no_more(self._whose._actor, call)
        self._give_up()

    def _give_up(self) -> bool:
        """End as cancelled; return whether it had not ended yet."""
        # Not by the base class: in its `Condition` a signal handler may raise behind the lock.
        with self._guard:  # reentrant
            if self._state in _CANCELLED:
                return True
            if self._state != PENDING:
                return False
            # In one step: no executor will wake those that wait for it among others (`wait`).
            self._state = CANCELLED_AND_NOTIFIED
            if self.is_awaited and "_condition" in self.__dict__:
                for waiter in self._waiters:
                    waiter.add_cancelled(self)
                self._condition.notify_all()
        self._wake()
        self._invoke_callbacks()
        return True

    def result(self, timeout: float | None = None) -> R:
        """Return the result, waiting up to `timeout` seconds; raise what the handler raised.

        Raises:
            TimeoutError: `timeout` has passed (on Python 3.10 that of `concurrent.futures`); the
                reply may still come.
            AskTimeout: the timeout set on the ref has passed; it will not.
            ReplyError: there is none. ForeignProcess: it had not come when this process was forked.
        """
        if self._state != FINISHED:
            self._wait(timeout)
        self._asked = True
        if self._sealed is not NOTHING:
            self._open()
        error = self._exception
        if error is None:
            value: Any = self._result
            return value  # type: ignore[no-any-return]
        try:
            raise error
        finally:
            # An error's traceback has this frame, and the reply has the error: no circle, with
            # which all that the caller's frames hold would wait for the garbage collector.
            del self, error

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what `result` would raise, or None."""
        if self._state != FINISHED:
            self._wait(timeout)
        self._open()
        return self._exception

    def _get_snapshot(self) -> Any:
        """Return its state as `asyncio` from Python 3.14 on asks for it: decoded."""
        if self.done():
            self._open()
        return super()._get_snapshot()  # type: ignore[misc]

    def __await__(self) -> Generator[Any, None, R]:
        if self._state != FINISHED or self._is_large():
            # Only where it is used: `asyncio` is large.
            from procactors.runtime.loop_turn import opened

            yield from opened(self)
        try:
            return self.result(0)
        finally:
            del self  # as there

    def _wait(self, timeout: float | None) -> None:
        """Wait for the end.

        Raises:
            TimeoutError, CancelledError: no answer.
        """
        if self._state not in ENDED:
            self._endpoint.check_copy()  # where no thread reads the answers
            self._sleep(timeout)
        if self._state in _CANCELLED:
            raise CancelledError

    def _sleep(self, timeout: float | None) -> None:
        turn = self._endpoint.make_lock()
        turn.acquire()
        self._sleepers.append(turn)
        try:
            # Behind the entry: the thread that ends the reply sets its state, then goes through the
            # list.
            if self._state in ENDED:
                return
            limit = -1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX)
            if not turn.acquire(timeout=limit) and self._state not in ENDED:
                raise FuturesTimeout
        finally:
            with contextlib.suppress(ValueError):
                self._sleepers.remove(turn)

    def _wake(self) -> None:
        """Wake all threads that wait."""
        for turn in list(self._sleepers):
            with contextlib.suppress(RuntimeError):  # by another thread already
                turn.release()

    def _open(self) -> None:
        """Decode what has come, unless another thread has."""
        self._asked = True
        sealed = self._sealed
        if type(sealed) is Answer:
            kind, flags, body = sealed
            if kind == _RESULT and not flags and body[0] != PICKLED:
                # No code of a user's runs: two threads may do it at once, and neither has a lock.
                self._result = load_plain(body)
                self._sealed = NOTHING
                return
        # The decoding of anything else happens once, in the first thread that asks.
        with self.__dict__.setdefault("_opening", threading.Lock()):
            sealed = self._sealed
            if sealed is NOTHING:
                return
            is_good, value = self._decode(sealed)
            if is_good:
                self._result, self._exception = value, None
            else:
                self._exception = value
            # Last: what a signal handler raises before this leaves the answer undecoded.
            self._sealed = NOTHING

    def _is_large(self) -> bool:
        """Whether decoding what has come may take milliseconds."""
        answer = self._sealed
        if answer is NOTHING:
            return False
        return self._endpoint.store.is_large(answer.flags, answer.value)

    def _decode(self, sealed: Any) -> tuple[bool, Any]:
        """Return (True, the result that has come) or (False, the exception); it is kept."""
        return self._endpoint.open(sealed)

    def _discard(self) -> None:
        """Let go of what has come, unread."""
        answer, self._sealed = self._sealed, NOTHING
        if answer is not NOTHING:
            self._endpoint.discard(answer)

    def _tell_waiters(self) -> None:
        """Tell those that wait for it among others (`concurrent.futures.wait`).

        Holds the guard since before the state was set: who comes later sees that and counts it as
        ended; told as well it would be counted twice.
        """
        for waiter in self._waiters:
            if self._exception is None:
                waiter.add_result(self)
            else:
                waiter.add_exception(self)
        self._condition.notify_all()

    def _invoke_callbacks(self) -> None:
        if self._done_callbacks:
            base = super()._invoke_callbacks  # type: ignore[misc]
            self._endpoint.run_callback(base)

    def __del__(self) -> None:
        if self._asked or self._sealed is NOTHING:
            return
        if self._endpoint.is_copy:
            return  # the answer's segment is not ours to let go
        if self._exception is UNOPENED and not self._endpoint.is_abandoned:
            # Not here: this may run in the reader thread, or, as garbage is collected, on top of
            # any frame.
            self._endpoint.run_callback(self._log_unread_error)
        else:
            self._discard()

    def _log_unread_error(self) -> None:
        _, error = self._decode(self._sealed)
        self._sealed = NOTHING
        # Its text alone: a handler that keeps the record would keep the traceback's frames.
        text = f"{type(error).__name__}({said(error)!r})"
        _log.error("a reply from %s was never looked at: %s", self._whose.name, text)
