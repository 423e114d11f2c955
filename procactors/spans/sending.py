"""The sender's spans: around what an endpoint sends, with the context put into the envelope.

Layer: spans. Runs in: parent and actor, once instrumented.
Owns: the methods of transports that it stands before (`stop_sending`).
Never: costs a process that is not instrumented anything: it is put before the methods, and is no
branch in them. Traces what the runtime sends for itself: commands to the supervisor, probes.

    tell, tell_many, forward   PRODUCER "send NAME", from the call to its return
    ask                        CLIENT "ask NAME", from the call to the answer
    submit, stream, batch      the same, in the thread that reads replies at its end
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanKind, Tracer

from procactors.errors import MailboxFull
from procactors.model.plain_text import encodable
from procactors.spans.words import (
    BATCH_COUNT,
    MESSAGE_ID,
    attributes_of,
    failed,
    failed_as,
    pack_context,
)
from procactors.wire.endpoint import Endpoint
from procactors.wire.envelope import (
    BATCH_KEY,
    TRACE,
    open_envelope,
    rebuild_message,
    traced,
    untraced,
)
from procactors.wire.pickling.codec import Encoded, decode
from procactors.wire.raised import name_of, said
from procactors.wire.record import IN_SEGMENT, Kind, parse
from procactors.wire.replies.port import Answer, PendingReply
from procactors.wire.transport import SUPERVISOR

if TYPE_CHECKING:
    from opentelemetry.context import Context

__all__ = ["start_sending", "stop_sending", "tracer_here"]

#: How the runtime calls an actor for its own sake: to learn that it has come so far.
_PROBES = frozenset({b":__sizeof__", BATCH_KEY})

#: The methods of the transports as they are.
_plain: dict[tuple[type, str], Callable[..., Any]] = {}
_tracer: Tracer | None = None


def start_sending(tracer: Tracer, *transports: type) -> None:
    """Have all that this process sends be in a span, in the trace that is current.

    Args:
        tracer: makes the spans.
        transports: classes of transports beside `Endpoint`.
    """
    global _tracer  # noqa: PLW0603 - as the methods are
    stop_sending()
    _tracer = tracer
    for kind in (Endpoint, *transports):
        for name, way in _WAYS.items():
            plain = _plain[kind, name] = getattr(kind, name)
            setattr(kind, name, functools.wraps(plain)(_standing_before(plain, way, tracer)))


def stop_sending() -> None:
    """Have all be sent as it was."""
    global _tracer  # noqa: PLW0603 - as there
    _tracer = None
    for (kind, name), plain in _plain.items():
        setattr(kind, name, plain)
    _plain.clear()


def tracer_here() -> Tracer | None:
    """Return what makes the spans of what this process sends; None: nothing is traced."""
    return _tracer


def _standing_before(
    plain: Callable[..., Any], way: Callable[..., Any], tracer: Tracer
) -> Callable[..., Any]:
    """Return what is called instead of a method of a transport."""

    # With `self` by position, as a function that is set on a class is called.
    def send(endpoint: Any, actor: int, name: str, *args: Any, **kwargs: Any) -> Any:
        if actor == SUPERVISOR:
            return plain(endpoint, actor, name, *args, **kwargs)
        send_on = functools.partial(plain, endpoint, actor, name)
        return way(tracer, send_on, name, *args, **kwargs)

    return send


# -- the ways of sending: (tracer, sends on, the actor's name, the method's own arguments) ---------


def _tell(
    tracer: Tracer,
    send_on: Callable[..., Any],
    name: str,
    method: bytes,
    encoded: Encoded,
    timeout: float | None = None,
) -> None:
    if TRACE in method:  # a dead letter's, or one of many: it has the context of its first sending
        send_on(method, encoded, timeout)
        return
    with _Sending(tracer, "send", name, method) as sending:
        send_on(sending.method, encoded, timeout)


def _tell_many(
    tracer: Tracer,
    send_on: Callable[..., Any],
    name: str,
    method: bytes,
    messages: Iterable[Encoded],
    timeout: float | None = None,
) -> None:
    count = 0

    def counted() -> Iterator[Encoded]:
        nonlocal count
        for count, one in enumerate(messages, 1):  # noqa: B007 - counted for what comes behind
            yield one

    with _Sending(tracer, "send", name, method) as sending:
        try:
            send_on(sending.method, counted(), timeout)
        finally:
            sending.span.set_attribute(BATCH_COUNT, count)


def _ask(
    tracer: Tracer,
    send_on: Callable[..., Any],
    name: str,
    method: bytes,
    *args: Any,
    **kwargs: Any,
) -> Any:
    with _Sending(tracer, "ask", name, method) as sending:
        return send_on(sending.method, *args, **kwargs)


def _submit(
    tracer: Tracer,
    send_on: Callable[..., Any],
    name: str,
    method: bytes,
    encoded: Encoded,
    pending: PendingReply,
    *args: Any,
    **kwargs: Any,
) -> None:
    if method in _PROBES:
        send_on(method, encoded, pending, *args, **kwargs)
        return
    sending = _Sending(tracer, "ask", name, method, pending)
    with sending.until_sent():
        answered = _Answered(pending, sending.span, send_on.args[0])  # type: ignore[attr-defined]
        send_on(sending.method, encoded, answered, *args, **kwargs)


def _pass_on(
    tracer: Tracer,
    send_on: Callable[..., Any],
    name: str,
    record: bytes,
    timeout: float | None = None,
) -> None:
    _, flags, body = parse(record)
    envelope = open_envelope(body)
    method, _ = untraced(envelope.method)
    with _Sending(tracer, "send", name, method) as sending:
        sent = envelope._replace(method=sending.method)
        send_on(rebuild_message(sent, flags), timeout)


_WAYS: dict[str, Callable[..., Any]] = {
    "tell": _tell,
    "tell_many": _tell_many,
    "ask": _ask,
    "submit": _submit,
    "pass_on": _pass_on,
}


class _Sending:
    """A message that is being sent, and its span, which is current meanwhile.

    Args:
        tracer: makes the span.
        operation: ``send`` or ``ask``.
        name: of the actor.
        method: how the method travels.
        work: a pool's batch, whose spans know in which contexts they were pushed; else anything.

    Attributes:
        method: how the method travels with the span's context.
        span: it is ended behind the block; one in which no place was found is no span at all,
            since an event loop tries again.
    """

    def __init__(
        self, tracer: Tracer, operation: str, name: str, method: bytes, work: Any = None
    ) -> None:
        contexts = _contexts_of(work)
        attributes = attributes_of(operation, name, method)
        if contexts:
            attributes[BATCH_COUNT] = work.count
        self.span: Span = tracer.start_span(
            f"{operation} {encodable(name)}",
            contexts[0] if contexts else None,
            SpanKind.PRODUCER if operation == "send" else SpanKind.CLIENT,
            attributes,
            [Link(trace.get_current_span(one).get_span_context()) for one in contexts[1:]],
        )
        own = self.span.get_span_context()
        self.span.set_attribute(MESSAGE_ID, trace.format_span_id(own.span_id))
        context = trace.set_span_in_context(self.span, contexts[0] if contexts else None)
        packed = pack_context(context)
        self.method = traced(method, packed) if packed else method
        self._is_ended_here = True

    def until_sent(self) -> _Sending:
        """Return itself, as a block behind which the span goes on, if nothing was raised."""
        self._is_ended_here = False
        return self

    def __enter__(self) -> _Sending:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, MailboxFull):
            return
        if error is not None:
            failed(self.span, error)
        if error is not None or self._is_ended_here:
            self.span.end()


class _Answered:
    """Stands before what takes an answer, and ends the span of its message."""

    def __init__(self, pending: PendingReply, span: Span, endpoint: Any) -> None:
        self._pending = pending
        self._span = span
        self._endpoint = endpoint

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for it."""
        return self._pending.is_awaited

    @property
    def call(self) -> int | None:
        """Id of the call."""
        return self._pending.call

    @call.setter
    def call(self, call: int | None) -> None:
        self._pending.call = call

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:
        """Take the answer, or the error that stands for it."""
        try:
            if error is not None:
                failed_as(self._span, name_of(error), said(error))
            elif answer is not None and answer.kind != Kind.RESULT:
                failed_as(self._span, *self._said(answer))
            self._span.end()
        finally:
            self._pending.deliver(answer, error)

    def _said(self, answer: Answer) -> tuple[str, str]:
        """Return the full name of the exception that an answer carries, and its text.

        Its traceback and the exception itself are not looked at: that would run a user's code.
        """
        if answer.kind == Kind.CANCEL:
            return "cancelled", "the message was not begun, since its caller had cancelled it"
        if answer.flags & IN_SEGMENT:  # to be opened once, by whom it is for
            return "_OTHER", "the handler raised an exception that is too large to be looked at"
        head, buffers, _ = self._endpoint.store.open(answer.flags, answer.value)
        value = decode(bytes(head), [bytes(one) for one in buffers], "reply")
        if isinstance(value, BaseException):  # the supervisor's: an error of ours
            return name_of(value), said(value)
        return str(value[2]).removeprefix("builtins."), str(value[3])


def _contexts_of(work: Any) -> list[Context]:
    """Return the contexts, each once, in which a batch's spans were pushed; of others none."""
    found: list[Context] = []
    for span in getattr(work, "spans", ()):
        context = getattr(span.owner.source, "trace_context", None)
        if context is not None and context not in found:
            found.append(context)
    return found
