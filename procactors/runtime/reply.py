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
    InvalidStateError,
    TimeoutError as FuturesTimeout,
)
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED
from typing import Any, TypeVar

from procactors.errors import ReplyError
from procactors.wire.payload_store import LARGE
from procactors.wire.raised import said
from procactors.wire.record import Kind
from procactors.wire.replies.port import Answer
from procactors.wire.transport import Transport

__all__ = ["Reply"]

R = TypeVar("R")

_log = logging.getLogger("procactors")

#: Stands for a handler's exception until it is asked for.
_UNOPENED = ReplyError("the handler raised; this stands for it until it is decoded")

_CANCELLED = (CANCELLED, CANCELLED_AND_NOTIFIED)
_ENDED = (FINISHED, *_CANCELLED)


class Reply(Future[R]):
    """What `submit` returns: a `concurrent.futures.Future` that can also be awaited.

    Every reply ends with a result or an error that names the cause: it never waits on the dead.
    Callbacks run in one thread of the runtime's, in order, and may submit again. A reply that
    carries an exception that was never asked for is logged when it is collected, unless the system
    was left by an exception. ``cancel()`` gives up the reply, not the message.

    A signal handler of the program may raise at any line of the main thread. The base class's
    `Condition` would then stay locked now and then, and the thread that brings all replies would
    wait for it: so what the main thread calls most takes that lock's inner one, or none.
    """

    def __init__(self, endpoint: Transport, name: str) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._name = name
        self._answer: Answer | None = None
        self._asked = False
        #: The C lock in the base class's condition: no signal handler can raise inside its ``with``
        #: statement itself.
        self._guard: Any = self._condition._lock  # type: ignore[attr-defined]
        # One lock for each waiting thread, held until the thread is to look at the state again.
        self._sleepers: list[Any] = []
        # Guards the decoding: it happens once, in the first thread that asks.
        self._opening = threading.Lock()

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:
        """Take the answer from the reader thread."""
        if answer is not None:
            # The port's buffer is used again: keep a copy. A large value is only named here.
            self._answer = Answer(answer.kind, answer.flags, memoryview(bytes(answer.value)))
        try:
            if error is not None:
                self.set_exception(error)
            elif self._is_failure():
                # So that `wait(..., FIRST_EXCEPTION)` sees it; which one it is, is decoded later.
                self.set_exception(_UNOPENED)
            else:
                self.set_result(None)  # type: ignore[arg-type]  # decoded when asked for
        except InvalidStateError:  # cancelled meanwhile
            self._discard()
        self._wake()

    def done(self) -> bool:
        """Whether the reply has ended: with a result, an exception, or cancelled."""
        return self._state in _ENDED

    def cancelled(self) -> bool:
        """Whether the reply was cancelled."""
        return self._state in _CANCELLED

    def add_done_callback(self, fn: Callable[[Future[R]], object]) -> None:
        """Have `fn` called with this reply when it has ended; at once if it has."""
        with self._guard:
            if self._state not in _ENDED:
                self._done_callbacks.append(fn)  # type: ignore[attr-defined]
                return
        try:
            fn(self)
        except Exception:  # noqa: BLE001 - the callback's; as the base class has it
            _log.exception("a callback of a reply from %s raised", self._name)

    def cancel(self) -> bool:
        """Give up the reply, not the message; return whether it had not come yet."""
        with self._guard:  # reentrant
            if not super().cancel():
                return False
            if self._state == CANCELLED:
                # Now: no executor will wake those that wait for it among others (`wait`).
                self.set_running_or_notify_cancel()
        self._wake()
        return True

    def result(self, timeout: float | None = None) -> R:
        """Return the result, waiting up to `timeout` seconds; raise what the handler raised.

        Raises:
            TimeoutError: `timeout` has passed (on Python 3.10 that of `concurrent.futures`); the
                reply may still come.
            AskTimeout: the timeout set on the ref has passed; it will not.
            ReplyError: there is none. ForeignProcess: it had not come when this process was forked.
        """
        self._wait(timeout)
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
        self._wait(timeout)
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
        """Wait for the end and decode what has come.

        Raises:
            TimeoutError, CancelledError: no answer.
        """
        if self._state not in _ENDED:
            self._endpoint.check_copy()  # where no thread reads the answers
            self._sleep(timeout)
        if self._state in _CANCELLED:
            raise CancelledError
        self._open()

    def _sleep(self, timeout: float | None) -> None:
        turn = threading.Lock()
        turn.acquire()
        self._sleepers.append(turn)
        try:
            # Behind the entry: the thread that ends the reply sets its state, then goes through the
            # list.
            if self._state in _ENDED:
                return
            limit = -1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX)
            if not turn.acquire(timeout=limit) and self._state not in _ENDED:
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
        self._asked = True
        with self._opening:
            if not self._is_sealed():  # another thread has decoded it
                return
            is_good, value = self._decode()
            self._result, self._exception = (value, None) if is_good else (None, value)
            # Last: what a signal handler raises before this leaves the answer undecoded.
            self._unseal()

    def _is_sealed(self) -> bool:
        """Whether an answer waits to be decoded."""
        return self._answer is not None

    def _is_failure(self) -> bool:
        """Whether the answer that waits is an exception."""
        return self._answer is not None and self._answer.kind != Kind.RESULT

    def _is_large(self) -> bool:
        """Whether decoding the answer that waits may take milliseconds."""
        answer = self._answer
        if answer is None or not answer.flags:
            return False
        return self._endpoint.store.weight(answer.flags, answer.value) >= LARGE

    def _decode(self) -> tuple[bool, Any]:
        """Return (True, the result that waits) or (False, the exception); it is kept."""
        assert self._answer is not None
        return self._endpoint.open(self._answer)

    def _unseal(self) -> None:
        """Forget the answer: it is decoded."""
        self._answer = None

    def _discard(self) -> None:
        """Let go of the answer that waits, unread."""
        answer, self._answer = self._answer, None
        if answer is not None:
            self._endpoint.discard(answer)

    def _invoke_callbacks(self) -> None:
        if self._done_callbacks:  # type: ignore[attr-defined]
            base = super()._invoke_callbacks  # type: ignore[misc]
            self._endpoint.run_callback(base)

    def __del__(self) -> None:
        if self.__dict__.get("_asked", True) or not self._is_sealed():
            return
        if self._endpoint.is_copy:
            return  # the answer's segment is not ours to let go
        if self._is_failure() and not self._endpoint.is_abandoned:
            # Not here: this may run in the reader thread, or, as garbage is collected, on top of
            # any frame.
            self._endpoint.run_callback(self._log_unread_error)
        else:
            self._discard()

    def _log_unread_error(self) -> None:
        _, error = self._decode()
        self._unseal()
        # Its text alone: a handler that keeps the record would keep the traceback's frames.
        text = f"{type(error).__name__}({said(error)!r})"
        _log.error("a reply from %s was never looked at: %s", self._name, text)
