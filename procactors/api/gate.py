"""Gates: mailboxes of one system whose messages go on to an actor of another one.

Layer: api. Runs in: the program that holds both systems; a thread for each gate.
Owns: that thread, and the mailbox, until the system ends whose mailbox it is.
Never: keeps a message: what cannot be sent on is its sender's error, or a dead letter.

    actor of this system ─► the gate's mailbox ─► thread ─► actor of the other system
             ▲                                                    │ answer, in the thread that
             └──────────────── reply pipe ◄───────────────────────┘ brings answers there
"""

from __future__ import annotations

import contextlib
import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

from procactors.errors import (
    ActorStopped,
    DecodeError,
    DeliveryError,
    EncodeError,
    NameTaken,
    ProcActorsError,
    ResultEncodeError,
    StorageFull,
    UnsupportedOnBackend,
)
from procactors.runtime.crossing import originals
from procactors.runtime.outbox import outbox_of
from procactors.runtime.reply import Reply
from procactors.wire.envelope import CALL_ID, STREAM_KEY, Envelope
from procactors.wire.pickling.codec import Encoded
from procactors.wire.pickling.plain import PICKLED
from procactors.wire.record import Kind
from procactors.wire.replies.failures import pack_failure, short_failure
from procactors.wire.transport import Transport, transport_of

if TYPE_CHECKING:
    from procactors.api.inbox import Inbox
    from procactors.runtime.ref import ActorRef

__all__ = ["Gates"]

_log = logging.getLogger("procactors")


class Gates:
    """The gates of one system.

    Args:
        system: whose actors are in other processes.
    """

    def __init__(self, system: Any) -> None:
        self._system = system
        self._gates: dict[ActorRef[Any], _Gate] = {}
        # Two threads may send the same ref at once. Held while a gate is opened.
        self._lock = threading.Lock()

    def of(self, ref: ActorRef[Any]) -> ActorRef[Any]:
        """Return the ref of this system that stands for one of another system.

        Blocks, the first time, until the supervisor has made the mailbox.

        Raises:
            ActorStopped: the system is just being stopped.
        """
        with self._lock:
            gate = self._gates.get(ref)
            if gate is None:
                self._gates[ref] = gate = _Gate(self._system, ref)
            return gate.ref


class _Gate:
    """Sends on what comes for one actor of another system."""

    def __init__(self, system: Any, original: ActorRef[Any]) -> None:
        self._original = original
        self._here: Transport = system._endpoint
        self._inbox: Inbox = _open_inbox(system, original)
        self.ref = self._inbox.ref
        self._inbox.on_call = self._send_on
        originals[self.ref._runtime_dir, self.ref._actor] = original
        name = f"procactors-gate-{self.ref.name}"
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        try:
            while True:
                with contextlib.suppress(DecodeError):  # no event comes here, so none is unreadable
                    self._inbox.receive()
        except ActorStopped:
            pass  # the system has ended
        finally:
            originals.pop((self.ref._runtime_dir, self.ref._actor), None)

    def _send_on(self, flags: int, envelope: Envelope) -> None:
        """Send one message on; its answer comes when it comes."""
        try:
            if envelope.method.startswith(STREAM_KEY):
                self._here.store.discard(flags, envelope.payload)
                raise UnsupportedOnBackend(
                    f"{self._original.name} is of another system, and a stream does not go from "
                    f"one to the other: ask for a list"
                )
            there = transport_of(self._original._runtime_dir, self._original.name)
            self._post(there, envelope, self._encoded(there, flags, envelope))
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender is told
            self._fail(envelope, error)

    def _encoded(self, there: Transport, flags: int, envelope: Envelope) -> Encoded:
        """Return the arguments, or the message, as they travel in the other system."""
        payload = envelope.payload
        if not flags and envelope.method and payload[0] != PICKLED:
            return Encoded(bytes(payload), ())  # numbers and texts, which travel alike everywhere
        value = self._here.store.load(flags, payload)
        return there.encode(value, "arguments" if envelope.method else "message")

    def _post(self, there: Transport, envelope: Envelope, encoded: Encoded) -> None:
        original = self._original
        if not envelope.reply:
            there.tell(original._actor, original.name, envelope.method, encoded)
            return
        timeout = max(0.0, envelope.deadline - monotonic()) if envelope.deadline else None
        reply: Reply[Any] = Reply(there, original)
        call, port = envelope.call, envelope.reply
        there.submit(
            original._actor, original.name, envelope.method, encoded, reply, timeout, timeout
        )
        reply.add_done_callback(lambda done: self._answer(port, call, done))

    def _answer(self, port: int, call: int, done: Any) -> None:
        """Hand an answer, or the error that stands for it, to who has asked here."""
        error = done.exception()
        if error is not None:
            self._post_failure(port, call, error)
            return
        try:
            self._put(port, call, Kind.RESULT, done.result())
        except (EncodeError, StorageFull) as full:
            text = f"{self._original.name} has answered, but the answer cannot be sent on: {full}"
            self._post_failure(port, call, ResultEncodeError(text))

    def _fail(self, envelope: Envelope, error: Exception) -> None:
        if envelope.reply:
            self._post_failure(envelope.reply, envelope.call, error)
        else:
            _log.error(
                "a message for %s of another system was not sent on: %s", self._original.name, error
            )

    def _post_failure(self, port: int, call: int, error: BaseException) -> None:
        store = self._here.store
        kind, value = Kind.FAILURE, pack_failure(error, store)
        if isinstance(error, ProcActorsError):
            kind = Kind.VERDICT
        try:
            self._put(port, call, kind, error if kind == Kind.VERDICT else value)
        except (EncodeError, StorageFull) as full:
            self._put(port, call, Kind.FAILURE, short_failure(error, full))

    def _put(self, port: int, call: int, kind: Kind, value: Any) -> None:
        store = self._here.store
        record = store.record(kind, CALL_ID.pack(call), store.encode(value, "result"), port)
        with contextlib.suppress(DeliveryError):  # who has asked is gone, and so is its system
            outbox_of(self._here).post(port, record, _nothing)


def _open_inbox(system: Any, original: ActorRef[Any]) -> Inbox:
    """Open a mailbox whose name says for whom it stands."""
    name = f"{original.name}@{original._runtime_dir.rpartition('/')[2]}"
    try:
        return system.inbox(name)  # type: ignore[no-any-return]
    except NameTaken:
        return system.inbox()  # type: ignore[no-any-return]


def _nothing() -> None:
    """Do nothing: an answer that was handed over needs no more."""
