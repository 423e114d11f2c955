"""The actor's loop: one message at a time, from the mailbox to the handler to the reply.

Layer: process. Runs in: actor, main thread.
Owns: the mailbox's reader and the reply sender (`close`).
Never: imports supervision; keeps state about the message in hand anywhere but in the black box.

    take ─► decode ─► handler ─► encode ─► reply ─► done (one store) ─► free the payload

Killed before `done`, the message was in hand, and the supervisor says so to its caller (or the
next incarnation gets it); killed behind it, it is handled.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from typing import Any

from procactors.errors import (
    DecodeError,
    EncodeError,
    ProcActorsError,
    ResultEncodeError,
    StorageFull,
    UnknownMethod,
)
from procactors.process.methods import MethodTable, table_of
from procactors.wire.blackbox import CLOSED, CLOSING, DELIVERIES, PHASE
from procactors.wire.envelope import CALL_ID, Envelope, open_envelope
from procactors.wire.failure import pack_failure
from procactors.wire.home import Home
from procactors.wire.payload import Received, sweep_segments
from procactors.wire.reader import MailboxReader, Taken
from procactors.wire.record import Kind, frame
from procactors.wire.reply import ReplySender

__all__ = ["FAILED", "LEFT", "RUNNING", "STARTING", "STOPPED", "STOPPING", "Loop", "TellFailed"]

#: Values of the box's phase word; LEFT is a stop of its own will, STOPPED an ordered one.
STARTING, RUNNING, STOPPING, STOPPED, LEFT, FAILED = range(6)


class TellFailed(Exception):
    """A tell's handler raised: the actor crashes into its supervisor."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class Loop:
    """Serves one actor.

    Args:
        reader: the actor's mailbox.
        home: for decoding and encoding.
        actor: the actor's id.
        instance: the user's object.
        lost: called with (record, why) for a message that cannot be handled and wants no reply.
    """

    def __init__(
        self,
        reader: MailboxReader,
        home: Home,
        actor: int,
        instance: Any,
        lost: Callable[[bytes, str], None],
    ) -> None:
        self._reader = reader
        self._home = home
        self._actor = actor
        self._instance = instance
        self._lost = lost
        self._words = reader.box.words
        self._table: MethodTable = table_of(type(instance))
        self._bound: dict[bytes, Callable[..., Any]] = {}
        self.replies = ReplySender(home)
        #: The message in hand; None between messages.
        self.current: Envelope | None = None
        #: How often the message in hand has been begun, this time included.
        self.deliveries = 0
        #: Set by `context.stop()`.
        self.leaving = False

    def run(self) -> int:
        """Serve until stopped; return the phase in which the actor ends: STOPPED or LEFT.

        Raises:
            TellFailed: a tell's handler raised. BaseException: whatever a handler let through.
        """
        reader, words = self._reader, self._words
        stopping = False
        words[PHASE] = RUNNING
        while not self.leaving:
            taken = reader.take(0.0 if stopping else None)
            if taken is None:
                break
            if taken.kind == Kind.CALL:
                self._serve(taken)
                continue
            if taken.kind == Kind.STOP:
                stopping = True
                words[PHASE] = STOPPING
                # From here on senders are refused; what is in the pipe is still handled.
                words[CLOSED] = CLOSING
            elif taken.kind == Kind.FENCE:
                sweep_segments(self._home.path, CALL_ID.unpack_from(taken.body)[0], self._actor)
            reader.done(place=False)
        return LEFT if self.leaving else STOPPED

    def close(self) -> None:
        """Close the reader and the reply ends."""
        self.replies.close()
        self._reader.close()

    def _serve(self, taken: Taken) -> None:
        envelope = open_envelope(taken.body)
        self.current = envelope
        self.deliveries = self._words[DELIVERIES] + 1
        received: Received | None = None
        try:
            handler, args, kwargs, received = self._prepare(taken.flags, envelope)
        except ProcActorsError as error:
            self._refuse(taken, envelope, error)
        else:
            self._handle(taken, envelope, handler, args, kwargs)
        # Not in a `finally`: an exception that comes through here leaves the message in hand,
        # and the supervisor reports it.
        self.current = None
        del envelope
        taken.body.release()
        self._reader.done(place=True)
        if received is not None:
            received.consume()

    def _prepare(
        self, flags: int, envelope: Envelope
    ) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], Received | None]:
        handler = self._bound.get(envelope.method) or self._bind(envelope.method)
        try:
            head, buffers, received = self._home.open(flags, envelope.payload)
        except OSError as error:
            raise DecodeError(f"the message's payload cannot be opened: {error}") from error
        try:
            value = pickle.loads(head, buffers=buffers)
        except Exception as error:
            if received is not None:
                received.consume()
            raise DecodeError(
                f"the message could not be unpickled in the actor: {type(error).__name__}: {error}"
            ) from error
        if envelope.method:
            return handler, value[0], value[1], received
        return handler, (value,), {}, received

    def _handle(
        self,
        taken: Taken,
        envelope: Envelope,
        handler: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        try:
            result = handler(*args, **kwargs)
        except Exception as error:
            if envelope.reply:
                self._fail(envelope, error.with_traceback(_without_ours(error)))
            elif isinstance(error, TypeError) and _is_bad_call(error):
                self._refuse(taken, envelope, UnknownMethod(str(error)))
            else:
                raise TellFailed(error.with_traceback(_without_ours(error))) from error
            return
        if envelope.reply:
            self._answer(envelope, result)

    def _answer(self, envelope: Envelope, result: Any) -> None:
        try:
            self.replies.answer(envelope.reply, envelope.call, Kind.RESULT, result)
        except (EncodeError, StorageFull) as error:
            text = f"{envelope.handler} ran, but its result cannot be sent: {error}"
            self._fail(envelope, ResultEncodeError(text))

    def _fail(self, envelope: Envelope, error: BaseException) -> None:
        packed = pack_failure(error, self._home)
        self.replies.answer(envelope.reply, envelope.call, Kind.FAILURE, packed)

    def _refuse(self, taken: Taken, envelope: Envelope, error: ProcActorsError) -> None:
        """Answer for a message that cannot be handled; the actor lives on."""
        if envelope.reply:
            self._fail(envelope, error)
        else:
            # Whole again, as it lay in the pipe: the supervisor keeps it as a dead letter.
            self._lost(frame(taken.kind, taken.flags, bytes(taken.body)), str(error))

    def _bind(self, key: bytes) -> Callable[..., Any]:
        if not key:
            if not self._table.receives:
                cls = type(self._instance).__qualname__
                raise UnknownMethod(
                    f"{cls} has no receive method: it takes calls like {cls}.method, no messages"
                )
            name = "receive"
        elif key[:1] == b":":
            name = key[1:].decode()
        else:
            name = self._table.by_key.get(key, "")
        handler = getattr(self._instance, name, None) if name else None
        if not callable(handler):
            raise UnknownMethod(f"{type(self._instance).__qualname__} has no method {key.decode()}")
        # Kept only while it is the class's own: an attribute of the instance may change.
        if name not in getattr(self._instance, "__dict__", {}):
            self._bound[key] = handler
        return handler  # type: ignore[no-any-return]


def _without_ours(error: BaseException) -> Any:
    """Return the traceback from the handler's own frame on: ours would only be noise."""
    tb = error.__traceback__
    return tb.tb_next if tb is not None and tb.tb_next is not None else tb


def _is_bad_call(error: TypeError) -> bool:
    """Whether the call itself was refused: the traceback never left our own frame."""
    return error.__traceback__ is not None and error.__traceback__.tb_next is None


def describe(error: BaseException) -> tuple[str, str]:
    """Return (one line, formatted traceback) of an exception that ends the actor."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return "".join(traceback.format_exception_only(type(error), error)).strip(), text
