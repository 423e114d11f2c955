"""An answer that is put off: a value that stands for the caller until somebody answers.

Layer: runtime. Runs in: any process of a system, any thread; loaded where it is used.
Owns: nothing: the slot with the message is its actor's.
Never: lets a caller wait for nobody: who holds the answer has the message in its hands table, and
one that is dropped unsent is a failure.

    A: reply_later ─► slot of A: LATER ── sent in a message ──► C: loads it
                                                                   slot of C: OWED
       slot of A is let go of  ◄──────────────── TAKEN_OVER ───────┘
                                                                C: send ─► the caller
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, cast

from procactors.errors import EncodeError, ReplyError, ResultEncodeError, StorageFull
from procactors.light_tuple import NamedTuple
from procactors.runner.loop import Loop
from procactors.runtime.forwarding import message_in_hand
from procactors.runtime.outbox import outbox_of
from procactors.wire.envelope import CALL_ID, Envelope, handler_name, rebuild_message
from procactors.wire.mailbox.hands import LATER
from procactors.wire.record import EVENT, MOVED, TAKEN_OVER, Kind, frame
from procactors.wire.replies.failures import pack_failure, short_failure
from procactors.wire.transport import MAIN, Answering, Transport, known_transport, transport_of

__all__ = ["LaterReply", "reply_later"]

_log = logging.getLogger("procactors")


class _Owed(NamedTuple):
    """Which answer it is, as it travels.

    Attributes:
        runtime_dir: the system's.
        call, reply: of the caller.
        deadline: monotonic instant until which the caller waits; 0.0: for ever.
        method: how the method travels that was called.
        name: of the actor that was called, for people.
        actor, number, turn: the actor that holds the message, and the slot of its hands table.
    """

    runtime_dir: str
    call: int
    reply: int
    deadline: float
    method: bytes
    name: str
    actor: int
    number: int
    turn: int


class LaterReply:
    """The answer to one ask or submit, which its handler has put off (`Context.reply_later`).

    Answer it once, by `send` or `fail`: in a later handler, in any thread, or in another actor, to
    which it is sent as a value. Whoever holds it answers for it: if its process dies, the caller
    gets `ActorDied`; if it is dropped unsent, a `ReplyError`. As a context manager it fails with
    what the block raises.
    """

    def __init__(self, owed: _Owed, let_go: Callable[[], None]) -> None:
        self._owed = owed
        self._let_go = let_go
        self._pid = os.getpid()
        #: What it was failed with.
        self._error: BaseException | None = None
        self._is_shared = False
        # Held for good by whoever answers: of two threads one does.
        self._turn = threading.Lock()

    @property
    def is_sent(self) -> bool:
        """Whether it was answered in this process."""
        return self._turn.locked()

    @property
    def deadline(self) -> float | None:
        """Monotonic instant until which the caller waits; None: for ever."""
        return self._owed.deadline or None

    def send(self, value: Any) -> None:
        """Answer with a value. Does not block for long; a caller that is gone is no error.

        Raises:
            ResultEncodeError: the value cannot be pickled, or there is no room for it; the caller
                gets this, too. RuntimeError: it was answered already. ForeignProcess: this is a
                forked copy of the actor.
        """
        transport = self._take()
        try:
            self._post(transport, Kind.RESULT, value)
        except (EncodeError, StorageFull) as error:
            text = f"{self._handler} ran, but its result cannot be sent: {error}"
            unsendable = ResultEncodeError(text)
            self._error = unsendable  # the caller knows it: it need not end the actor as well
            self._post_failure(transport, unsendable)
            raise unsendable from error

    def fail(self, error: Exception) -> None:
        """Answer with an exception, which is raised at the caller.

        Raises:
            TypeError: `error` is no `Exception`: a SystemExit, say, would end the caller's process.
                RuntimeError, ForeignProcess: as `send`.
        """
        if not isinstance(error, Exception):
            raise TypeError(f"fail takes an exception, not {error!r}; a value is sent by send")
        transport = self._take()
        self._error = error
        self._post_failure(transport, error)

    def __enter__(self) -> LaterReply:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What is none is the actor's end, or a cancelled task: then this is dropped, or the
        # supervisor answers.
        if isinstance(error, Exception):
            self._told(error)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.is_sent:
            raise RuntimeError(f"the answer of {self._handler} was sent: it cannot travel any more")
        # From now on another process may answer: that this object is dropped says nothing.
        self._is_shared = True
        return _load, tuple(self._owed)

    def __repr__(self) -> str:
        return f"<LaterReply of {self._handler}{' (sent)' if self.is_sent else ''}>"

    def __del__(self) -> None:
        # So wide: the process may be ending, and with it all that this needs.
        with contextlib.suppress(Exception):
            if self._is_shared or self.is_sent or self._pid != os.getpid():
                return
            text = f"{self._handler} put its answer off, and dropped it: nobody will send it"
            self.fail(ReplyError(text))

    @property
    def _handler(self) -> str:
        return f"{self._owed.name}'s {handler_name(self._owed.method)}"

    def _told(self, error: BaseException) -> bool:
        """Fail with what the handler has raised, unless sent; return whether the caller knows."""
        if isinstance(error, Exception):
            with contextlib.suppress(RuntimeError):
                self.fail(error)
        return self._error is error

    def _take(self) -> Transport:
        """Take the right to answer."""
        transport = transport_of(self._owed.runtime_dir, self._owed.name)
        transport.check_process()
        if not self._turn.acquire(blocking=False):
            raise RuntimeError(f"the answer of {self._handler} was sent already; it is sent once")
        return transport

    def _post(self, transport: Transport, kind: int, value: object) -> None:
        store, owed = transport.store, self._owed
        encoded = store.encode(value, "result")
        record = store.record(kind, CALL_ID.pack(owed.call), encoded, owed.reply)
        outbox_of(transport).post(owed.reply, record, self._let_go)

    def _post_failure(self, transport: Transport, error: BaseException) -> None:
        packed = pack_failure(error, transport.store)
        try:
            self._post(transport, Kind.FAILURE, packed)
        except (EncodeError, StorageFull) as full:
            self._post(transport, Kind.FAILURE, short_failure(error, full))


def reply_later(loop: Loop | None, transport: Transport, name: str) -> LaterReply:
    """Put the answer to the message in hand off; see `Context.reply_later`."""
    _, envelope = message_in_hand(loop, transport, "be answered later")
    assert loop is not None
    if not envelope.reply:
        raise RuntimeError(
            f"the message of {envelope.handler} was told: nobody waits for an answer to it; "
            f"ask or submit it"
        )
    method, deadline = envelope.method, envelope.deadline
    slot = loop.put_aside(LATER)
    owed = _Owed(
        transport.path, envelope.call, envelope.reply, deadline, method, name,
        transport.actor, slot.number, slot.turn,
    )  # fmt: skip
    later = LaterReply(owed, functools.partial(loop.held.let_go, slot))
    loop.on_raised = later._told  # until the handler ends: it is not dropped before
    return later


def _load(*facts: Any) -> LaterReply:
    """Return the answer that another actor has put off: from now on this process answers for it."""
    owed = _Owed(*facts)
    found = known_transport(owed.runtime_dir)
    if not hasattr(found, "on_taken_over"):
        return LaterReply(owed, _nothing)  # of no system of this process: it cannot be sent
    transport = cast("Answering", found)
    if transport.actor == owed.actor:
        return LaterReply(owed, functools.partial(_taken_over, transport, owed))
    if transport.actor == MAIN or transport.owe is None:
        # The main program has no hands table, and ends with all that wait: the actor keeps it.
        return LaterReply(owed, functools.partial(_say_taken_over, transport, owed))
    let_go = transport.owe(_record(owed))
    note = MOVED.pack(owed.call, transport.actor, 0) + f"actor {transport.actor}".encode()
    outbox_of(transport).post(owed.reply, frame(Kind.MOVED, 0, note), _nothing)
    _say_taken_over(transport, owed)
    return LaterReply(owed, let_go)


def _taken_over(transport: Answering, owed: _Owed) -> None:
    if transport.on_taken_over is not None:
        transport.on_taken_over(owed.number, owed.turn)


def _say_taken_over(transport: Answering, owed: _Owed) -> None:
    """Have the actor that holds the message let go of it."""
    event = EVENT.pack(TAKEN_OVER, owed.number, owed.turn)
    transport.send_control(owed.actor, frame(Kind.EVENT, 0, event))


def _record(owed: _Owed) -> bytes:
    """Return the message without its arguments: enough to answer for it."""
    _, call, reply, deadline, method, _, actor, *_ = owed
    return rebuild_message(Envelope(call, reply, actor, deadline, method, memoryview(b"")))


def _nothing() -> None:
    """Do nothing: no message is held for it here."""
