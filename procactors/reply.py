"""The reply that is still to come: a future that can be waited for, awaited or called back.

Layer: api. Runs in: caller; `deliver` in the station's reader thread.
Owns: the undecoded answer, and with it the answer's segment, until it is asked for.
Never: runs user code in the reader thread: unpickling is user code too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from concurrent.futures import Future, InvalidStateError
from concurrent.futures._base import CANCELLED
from typing import Any, TypeVar

from procactors.errors import ReplyError
from procactors.wire.failure import load_answer
from procactors.wire.record import Kind
from procactors.wire.reply import Answer
from procactors.wire.station import Station

__all__ = ["Reply"]

R = TypeVar("R")

_log = logging.getLogger("procactors")

#: Stands for a handler's exception until somebody asks for it.
_UNOPENED = ReplyError("the handler raised; this stands for it until it is decoded")


class Reply(Future[R]):
    """What `submit` returns: a `concurrent.futures.Future` that can also be awaited.

    Every reply ends with a result or an error that names the cause: it never waits on the dead.
    Callbacks run in one thread of the runtime's, in order, and may submit again. A reply that
    carries an exception nobody asked for is logged when it is collected, unless the system was left
    by an exception. ``cancel()`` gives up
    the reply, not the message.
    """

    def __init__(self, station: Station, name: str) -> None:
        super().__init__()
        self._station = station
        self._name = name
        self._answer: Answer | None = None
        self._asked = False
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

    def cancel(self) -> bool:
        """Give up the reply, not the message; return whether it had not come yet."""
        with self._condition:  # reentrant
            if not super().cancel():
                return False
            if self._state == CANCELLED:
                # Now: no executor will tell those who wait for it among others (`wait`).
                self.set_running_or_notify_cancel()
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
        try:
            return super().result(0)
        finally:
            # An error's traceback has this frame, and the reply has the error: no circle, with
            # which all that the caller's frames hold would wait for the garbage collector.
            del self

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what `result` would raise, or None."""
        self._wait(timeout)
        return super().exception(0)

    def _get_snapshot(self) -> Any:
        """Return its state as `asyncio` from Python 3.14 on asks for it: decoded."""
        if self.done():
            self._open()
        return super()._get_snapshot()  # type: ignore[misc]

    def __await__(self) -> Generator[Any, None, R]:
        import asyncio

        return asyncio.wrap_future(self).__await__()

    def _wait(self, timeout: float | None) -> None:
        if not self.done():
            self._station.check_copy()  # where nobody reads the answers
        super().exception(timeout)
        self._open()

    def _open(self) -> None:
        self._asked = True
        with self._opening:
            if not self._is_sealed():
                return
            self._exception: BaseException | None = None
            try:
                self._result = self._decode()
            except BaseException as error:  # noqa: BLE001 - kept, and raised to whoever asks
                self._exception = error.with_traceback(None)  # else a circle, as in `result`

    def _is_sealed(self) -> bool:
        """Whether an answer waits to be decoded."""
        return self._answer is not None

    def _is_failure(self) -> bool:
        """Whether the answer that waits is an exception."""
        return self._answer is not None and self._answer.kind != Kind.RESULT

    def _decode(self) -> Any:
        """Return the result that waits, or raise its exception; then none waits any more."""
        answer, self._answer = self._answer, None
        assert answer is not None
        return load_answer(self._station.home, answer)

    def _discard(self) -> None:
        """Let go of the answer that waits, unread."""
        answer, self._answer = self._answer, None
        if answer is not None:
            self._station.home.discard(answer.flags, answer.value)

    def _invoke_callbacks(self) -> None:
        if self._done_callbacks:  # type: ignore[attr-defined]
            base = super()._invoke_callbacks  # type: ignore[misc]
            self._station.run_callback(base)

    def __del__(self) -> None:
        if self.__dict__.get("_asked", True) or not self._is_sealed():
            return
        if self._station.is_copy:
            return  # the answer's segment is not ours to let go
        if self._is_failure() and not self._station.is_abandoned:
            # Not here: this may run in the reader thread, or, as garbage is collected, on top of
            # anybody's frames.
            self._station.run_callback(self._tell_unheard)
        else:
            self._discard()

    def _tell_unheard(self) -> None:
        try:
            self._decode()
        except BaseException as error:  # noqa: BLE001 - it is being reported right here
            # Its text alone: a handler that keeps the record would keep the traceback's frames.
            _log.error("a reply from %s was never looked at: %s", self._name, repr(error))
