"""Why a stream's items end, where no end was sent: the producer never began, or has died.

Layer: runtime. Runs in: the reader's process; `deliver` in the thread that reads replies.
Owns: the undecoded answer to the call that has begun the stream.
Never: runs user code in the thread that reads replies.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING

from procactors.errors import ActorDied, ActorStopped, ProcActorsError, StreamBroken
from procactors.late import late
from procactors.runtime.client import Client
from procactors.wire.raised import one_line
from procactors.wire.record import Kind, frame
from procactors.wire.replies.port import Answer
from procactors.wire.streams.channel import send_aside
from procactors.wire.transport import Transport

if TYPE_CHECKING:
    from procactors.model import commands as c
else:
    c = late("procactors.model.commands")

__all__ = ["Adopted", "Answered", "Cause", "Fed"]

_log = logging.getLogger("procactors")

_WAKE = frame(Kind.NUDGE, 0, b"")
#: Seconds behind the end of an adopted stream's pipe for which the cause may still come, and
#: between looks at an actor that says nothing.
_GRACE_S, _LOOK_S = 0.5, 2.0


class Cause:
    """Tells why there are no more items.

    Attributes:
        is_known: the cause is known, and behind what is in the pipe nothing comes.
        is_final: if nobody has the pipe open for writing, that is all there is to be known.
        may_block: `look` is to be called now and then, and may block.
    """

    is_known = False
    is_final = False
    may_block = False

    def __init__(self) -> None:
        self._wakers: list[Callable[[], None]] = []

    @contextlib.contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Have `wake` called when the cause is known. Look at `is_known` inside, too."""
        self._wakers.append(wake)
        try:
            yield
        finally:
            self._wakers.remove(wake)

    def error(self) -> BaseException | None:
        """Return what the stream ends with; None: it has ended well."""
        return None

    def look(self, is_ended: bool) -> None:
        """Find out what has become of the producer."""

    def leave(self, is_closed: bool) -> None:
        """Take note that the reader has left: before the end, or at it."""

    def _wake(self) -> None:
        for wake in list(self._wakers):
            wake()


class Answered(Cause):
    """Hears it as the answer to the call with which the stream was asked for.

    Args:
        transport: of this process.
        number: the channel's.
        name: the actor's.
    """

    #: Somebody waits for it from the beginning (see `Transport.hurry`).
    is_awaited = True

    def __init__(self, transport: Transport, number: int, name: str) -> None:
        super().__init__()
        self._transport = transport
        self._number = number
        self._name = name
        self._answer: Answer | None = None
        self._error: BaseException | None = None
        self._is_left = self._is_closed = False
        #: Id of the call; None: it is not sent.
        self.call: int | None = None
        #: The reading end is another process's, who cannot hear the answer.
        self.is_moved = False

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:
        """Take the answer, or the error that stands for it."""
        self._answer, self._error = answer, error
        self.is_known = True
        if self._is_left:
            self._let_go()
        elif self.is_moved:
            self._relay()
        else:
            self._wake()
            # Who waits at the pipe looks then; else, where none is open, within a second.
            send_aside(self._transport.path, self._number, _WAKE)

    def is_wanted(self) -> bool:
        """Whether the stream is still to be sent."""
        return not self._is_left

    def error(self) -> BaseException | None:
        """Return what the stream ends with; None: it has ended well."""
        answer, self._answer = self._answer, None
        if answer is None:
            return self._error
        is_good, value = self._transport.open(answer)
        return None if is_good else value

    def leave(self, is_closed: bool) -> None:
        """Take note that the reader has left: before the end, or at it."""
        if not self._is_left:
            self._is_closed = is_closed
            self._is_left = True
        if self.is_known:
            self._let_go()

    def move(self) -> None:
        """Take note that another process reads the stream from now on."""
        self.is_moved = True
        if self.is_known:
            self._relay()

    def _relay(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and answer.kind != Kind.RESULT and not answer.flags:
            record = frame(answer.kind, 0, bytes(answer.value))
            send_aside(self._transport.path, self._number, record)
        elif answer is not None:
            self._transport.discard(answer)

    def _let_go(self) -> None:
        answer, self._answer = self._answer, None
        if answer is None or self._transport.is_copy:
            return
        if self._is_closed and answer.kind == Kind.FAILURE:
            # Not here: to decode it is to run user code.
            self._transport.run_callback(lambda: self._log(answer))
        else:
            self._transport.discard(answer)

    def _log(self, answer: Answer) -> None:
        _, error = self._transport.open(answer)
        text = "the generator of a stream of %s raised when it was closed: %s"
        _log.error(text, self._name, one_line(error))


class Adopted(Cause):
    """Asks the supervisor, as the answer goes to the process that the stream was sent from.

    That process hands it on, as a record of the channel. This is for the case that it has died.

    Args:
        transport: of this process.
        actor: id of the producer.
        name: its name.
    """

    may_block = True

    def __init__(self, transport: Transport, actor: int, name: str) -> None:
        super().__init__()
        self._transport = transport
        self._actor = actor
        self._name = name
        self._ended_at: float | None = None
        self._looked_at = monotonic()
        self._error: BaseException | None = None

    def look(self, is_ended: bool) -> None:
        """Find out what has become of the producer."""
        now = monotonic()
        if not is_ended:
            self._ended_at = None
            if now < self._looked_at + _LOOK_S:
                return
            self._looked_at = now
            if not self._is_over():
                return
            self._error = ActorStopped(f"{self._name} has stopped; the stream was not begun")
        else:
            if self._ended_at is None:
                self._ended_at = now
            if now < self._ended_at + _GRACE_S:
                return
            self._error = self._death()
        self.is_known = True
        self._wake()

    def error(self) -> BaseException | None:
        """Return what the stream ends with."""
        return self._error

    def _is_over(self) -> bool:
        try:
            status = Client(self._transport).ask(c.Describe(self._actor))
        except ProcActorsError:
            return True
        return status.reason is not None

    def _death(self) -> BaseException:
        text = f"{self._name} has ended while it was streaming"
        with contextlib.suppress(ProcActorsError):
            status = Client(self._transport).ask(c.Describe(self._actor))
            if status.last_crash is not None:
                return ActorDied(status.last_crash.brief(), status.last_crash)
        return ActorDied(text)


class Fed(Cause):
    """Knows that the process that fed the items has died, when nobody has the pipe open.

    Args:
        who: fed them.
    """

    is_final = True

    def __init__(self, who: str) -> None:
        super().__init__()
        self._who = who

    def error(self) -> BaseException | None:
        """Return what the stream ends with."""
        return StreamBroken(f"{self._who} has ended before its feed did: items are missing")
