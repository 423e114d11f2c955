"""How an answer gets to its caller where both are in one process: by the call's id.

Layer: local. Runs in: one process, any thread.
Owns: the calls that wait for their answers.
Never: runs a user's code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from procactors.local.here import Killed
from procactors.wire.envelope import CALL_ID
from procactors.wire.payload_store import PayloadStore
from procactors.wire.record import MOVED, Kind, parse
from procactors.wire.replies.port import Answer, PendingReply
from procactors.wire.replies.sender import ReplySender

if TYPE_CHECKING:
    from types import TracebackType

    from procactors.local.engine import Alarm, Engine

__all__ = ["REPLY", "Calls", "LocalReplies", "Port", "TracedAnswer"]

#: Number of the one reply port of such a system.
REPLY = 1


class TracedAnswer(Answer):
    """An answer, and the traceback of what its handler raised."""

    trace: TracebackType | None = None


class Port:
    """One ask, until it is answered.

    Attributes:
        answer: what has come; None: nothing.
        error: what stands for it.
        actor, name: who is to answer.
    """

    is_awaited = True
    call: int | None = None

    def __init__(self, engine: Engine, actor: int, name: str) -> None:
        self.waiter = engine.waiter()
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.actor = actor
        self.name = name
        #: Called when the answer is there, before the caller goes on.
        self.on_answer: Callable[[], None] = _nothing
        #: Called when another actor is to answer.
        self.on_moved: Callable[[], None] = _nothing

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:
        """Take the answer, or what stands for it."""
        self.answer, self.error = answer, error
        self.on_answer()
        self.waiter.set()


class Calls:
    """The calls of one system that wait for their answers.

    Attributes:
        pending: what each call's answer goes to.
        moved: the actor that is to answer a call now, where that is another than was asked.
    """

    def __init__(self, store: PayloadStore) -> None:
        self._store = store
        self.pending: dict[int, PendingReply] = {}
        self.moved: dict[int, int] = {}
        #: Of calls whose handlers have raised: the traceback, which one process can hand on.
        self.traces: dict[int, TracebackType] = {}
        #: Of calls that are measured: what their answer is counted by.
        self.sent: dict[int, Callable[[], None]] = {}
        #: Of calls with a deadline: what fails them then.
        self.alarms: dict[int, Alarm] = {}

    def take(self, record: bytes) -> bool:
        """Take a record that is for a caller; return whether somebody waits for it."""
        kind, flags, body = parse(record)
        if kind == Kind.MOVED:
            return self._has_moved(body, record)
        (call,) = CALL_ID.unpack_from(body)
        answered = self.sent.get(call)
        pending = self._forget(call)
        if pending is None:
            return False
        if answered is not None:
            answered()
        answer = TracedAnswer(kind, flags, bytes(body[CALL_ID.size :]))
        answer.trace = self.traces.pop(call, None)
        pending.deliver(answer, None)
        return True

    def fail(self, call: int, error: BaseException) -> None:
        """End a call with an error, if it still waits."""
        pending = self._forget(call)
        if pending is not None:
            pending.deliver(None, error)

    def drop(self, call: int) -> None:
        """Expect no answer to a call any more."""
        self._forget(call)

    def _forget(self, call: int) -> PendingReply | None:
        """Return what a call's answer goes to, which has come or will not."""
        self.moved.pop(call, None)
        self.sent.pop(call, None)
        alarm = self.alarms.pop(call, None)
        if alarm is not None:
            alarm.cancel()
        return self.pending.pop(call, None)

    def ignore(self, call: int) -> None:
        """Take the answer to a call, when it comes, for nobody."""
        if call in self.pending:
            self.pending[call] = _Ignored(self._store)

    def _has_moved(self, body: memoryview, record: bytes) -> bool:
        call, actor, _ = MOVED.unpack_from(body)
        pending = self.pending.get(call)
        if pending is None:
            return False
        self.moved[call] = actor
        if isinstance(pending, Port):
            pending.actor = actor
            pending.name = bytes(body[MOVED.size :]).decode()
            pending.on_moved()
        return True


class _Ignored:
    """Takes an answer that nobody wants."""

    is_awaited = False
    call: int | None = None

    def __init__(self, store: PayloadStore) -> None:
        self._store = store

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:
        """Let go of it."""
        if answer is not None:
            self._store.discard(answer.flags, answer.value)


class LocalReplies(ReplySender):
    """Sends answers to the callers of one system.

    Args:
        store: the system's.
        calls: its calls.
    """

    def __init__(self, store: PayloadStore, calls: Calls) -> None:
        super().__init__(store)
        self._calls = calls
        #: Of a life: it was killed, and answers nobody any more.
        self.is_dead: Callable[[], bool] = _no

    def send(self, reply: int, record: bytes, patient: bool = True) -> bool:
        """Hand a record to its caller; return whether that still waits."""
        if self.is_dead():
            raise Killed
        return self._calls.take(record)


def _nothing() -> None:
    """Nobody is to be told."""


def _no() -> bool:
    return False
