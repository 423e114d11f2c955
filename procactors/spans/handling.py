"""The handler's spans, in the actor, and where its process has its tracer from.

Layer: spans. Runs in: actor.
Owns: this process's tracer provider, which the end of the process flushes.
Never: keeps a message from being handled: a set-up that fails is logged, and nothing is exported.

An actor's process is forked from one that knows no tracer. So the program's own set-up runs here,
from the file `tracing` in the runtime directory: before the constructor where the start order says
so, and else, in an actor that was up already, before the first message with a context.
"""

from __future__ import annotations

import collections.abc
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from multiprocessing.util import Finalize
from typing import Any

from opentelemetry import context as contexts, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Tracer

from procactors.model.plain_text import encodable
from procactors.process.order import read_order
from procactors.spans.sending import start_sending, stop_sending
from procactors.spans.words import (
    DELIVERIES,
    INCARNATION,
    MESSAGE_ID,
    attributes_of,
    failed,
    unpack_context,
)
from procactors.wire.pickling.codec import decode_joined

__all__ = ["SETUP", "begin", "handled", "in_span"]

_log = logging.getLogger("procactors")

#: Name of the file with the set-up, in the runtime directory.
SETUP = "tracing"
#: Milliseconds that the spans of an actor that ends have to get out.
_FLUSH_MS = 5000


class _Here:
    """What this process is, and its tracer.

    Attributes:
        pid: of the process that began: a forked copy begins anew.
        tracer: makes the spans of handlers.
        name, incarnation: the actor's.
    """

    def __init__(self, path: str, actor: int) -> None:
        self.pid = os.getpid()
        order = read_order(f"{path}/actors/{actor}")
        self.name, self.incarnation = order.name, order.incarnation
        stop_sending()  # as the parent does it: this may be its forked copy
        self.tracer: Tracer = trace.get_tracer("procactors", tracer_provider=_provider(path))
        start_sending(self.tracer)


_here: _Here | None = None


def begin(path: str, actor: int) -> _Here:
    """Have this process make spans from now on, if it does not yet.

    Args:
        path: the runtime directory.
        actor: the id of the actor that this process is.
    """
    global _here  # noqa: PLW0603 - as the tracer provider is
    if _here is None or _here.pid != os.getpid():
        _here = _Here(path, actor)
    return _here


def _provider(path: str) -> trace.TracerProvider | None:
    """Run the program's set-up; return the provider that it has made, or None: the global one."""
    try:
        with open(os.path.join(path, SETUP), "rb") as file:
            setup = decode_joined(file.read(), "the set-up of tracing")
    except FileNotFoundError:
        return None
    if setup is None:
        return None
    _forget_provider()
    try:
        provider = setup()
    except Exception:  # noqa: BLE001 - the user's; the actor goes on without it
        _log.exception("the set-up of tracing raised: this actor exports no spans")
        return None
    if provider is not None:
        trace.set_tracer_provider(provider)
    made: Any = provider or trace.get_tracer_provider()
    # Not `atexit`, which an actor's end leaves out.
    Finalize(None, _flush, args=(made,), exitpriority=100)
    return provider  # type: ignore[no-any-return]


def _forget_provider() -> None:
    """Have this process be without a provider: a forked copy's is its parent's, with its threads.

    By the names that OpenTelemetry's own tests use; where they are others, its warning says more.
    """
    once: Any = getattr(trace, "_TRACER_PROVIDER_SET_ONCE", None)
    if getattr(trace, "_TRACER_PROVIDER", None) is not None and hasattr(once, "_done"):
        once._done = False
        trace._TRACER_PROVIDER = None


def _flush(provider: Any) -> None:
    for name, args in (("force_flush", (_FLUSH_MS,)), ("shutdown", ())):
        if callable(call := getattr(provider, name, None)):
            call(*args)


def handled(
    handler: Callable[..., Any],
    method: bytes,
    context: bytes,
    path: str,
    actor: int,
    deliveries: int,
) -> Callable[..., Any]:
    """Return what calls a handler in a span, in which the handler's own spans are.

    Args:
        handler: a method of the actor's, or what runs a stream or a batch.
        method: how it travels, without the context.
        context: the one that the message travels with.
        path: the runtime directory.
        actor: id of this actor.
        deliveries: how often the message has been begun, this time included.
    """
    try:
        here = begin(path, actor)
    except Exception:  # noqa: BLE001 - whatever is wrong, the message is to be handled
        _log.exception("this actor cannot trace")
        return handler
    who = here.name, here.incarnation
    return in_span(here.tracer, handler, method, context, who, deliveries)


def in_span(
    tracer: Tracer,
    handler: Callable[..., Any],
    method: bytes,
    context: bytes,
    who: tuple[str, int],
    deliveries: int,
) -> Callable[..., Any]:
    """Return what calls a handler in a span that the tracer makes.

    Args:
        tracer: makes the span.
        handler: a method of the actor's, or what runs a stream or a batch.
        method: how it travels, without the context.
        context: the one that the message travels with.
        who: name and incarnation of the actor.
        deliveries: how often the message has been begun, this time included.
    """
    name, incarnation = who
    attributes = attributes_of("process", name, method)
    attributes[INCARNATION], attributes[DELIVERIES] = incarnation, deliveries
    return _Handled(tracer, handler, f"process {encodable(name)}", attributes, context)


class _Handled:
    """A handler in a span.

    Args:
        tracer: makes the span.
        handler: what is called.
        name: the span's.
        attributes: the span's.
        packed: the context that the message came with.
    """

    def __init__(
        self,
        tracer: Tracer,
        handler: Callable[..., Any],
        name: str,
        attributes: dict[str, Any],
        packed: bytes,
    ) -> None:
        self._tracer = tracer
        self._handler = handler
        self._name = name
        self._attributes = attributes
        self._packed = packed

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        span, context = self._begin()
        token = contexts.attach(context)
        try:
            result = self._handler(*args, **kwargs)
        except BaseException as error:
            failed(span, error)
            span.end()
            raise
        finally:
            contexts.detach(token)
        if hasattr(type(result), "__await__"):
            return _Spanned(result, span, context)
        span.end()
        return result

    def _begin(self) -> tuple[Span, Context]:
        came = unpack_context(self._packed)
        cause = trace.get_current_span(came).get_span_context()
        parent, links = came, []
        if cause.is_valid:
            self._attributes[MESSAGE_ID] = trace.format_span_id(cause.span_id)
        if self._attributes[DELIVERIES] > 1 and cause.is_valid:
            # The life before has had its span under the same parent: this is another attempt.
            parent, links = Context(), [Link(cause)]
        span = self._tracer.start_span(
            self._name, parent, SpanKind.CONSUMER, self._attributes, links
        )
        return span, trace.set_span_in_context(span, came)


class _Spanned(collections.abc.Coroutine[Any, Any, Any]):
    """What a handler has returned to be awaited, in its span, to the end.

    The span is current in the task's context from the first step on. No `async def`: one that is
    cancelled before its first step would leave the handler's coroutine never awaited.
    """

    def __init__(self, result: Awaitable[Any], span: Span, context: Context) -> None:
        self._inner: Coroutine[Any, Any, Any] = (
            result if isinstance(result, collections.abc.Coroutine) else _awaited(result)
        )
        self._span = span
        self._context: Context | None = context

    def send(self, value: Any) -> Any:
        """Take the next step."""
        return self._step(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        """Take the next step, with an exception."""
        return self._step(self._inner.throw, *error)

    def close(self) -> None:
        """Give it up."""
        self._inner.close()
        self._span.end()

    def __await__(self) -> Any:
        return _awaited(self).__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)  # for those that show a task's place: `cr_frame`, ...

    def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        if self._context is not None:
            contexts.attach(self._context)  # for good: the context is the task's own
            self._context = None
        try:
            return step(*args)
        except StopIteration:
            self._span.end()
            raise
        except BaseException as error:
            failed(self._span, error)
            self._span.end()
            raise


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result
