"""`procactors.tracing`: one trace across a program and its actors, by OpenTelemetry (extra `otel`).

Layer: api. Runs in: parent; an actor may instrument itself alone.
Owns: what it puts before methods of this process, until `uninstrument`; the file with the set-up in
the runtime directory of each of its systems.
Never: makes a program that does not call it pay: nothing here is imported before, no method asks.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from procactors.errors import EncodeError
from procactors.pool.dispatch import Dispatcher
from procactors.process.order import trace_starts
from procactors.wire.endpoint import Endpoint
from procactors.wire.pickling.codec import join
from procactors.wire.storage import write_whole
from procactors.wire.transport import MAIN, transports

try:
    from opentelemetry import context as contexts, trace

    from procactors.spans.handling import SETUP
    from procactors.spans.sending import start_sending, stop_sending
except ImportError as error:
    raise ImportError(
        "procactors.tracing needs OpenTelemetry: pip install 'procactors[otel]'", name=error.name
    ) from error

if TYPE_CHECKING:
    from procactors.pool.batch import Span

__all__ = ["instrument", "uninstrument"]

#: The set-up that actors run; () while this process is not instrumented.
_setup: tuple[Callable[[], Any] | None, ...] = ()
# As classes whose methods are exchanged, for the type checker.
_endpoint_class: Any = Endpoint
_dispatcher_class: Any = Dispatcher
_plain_init: Any = Endpoint.__init__
_plain_push: Any = Dispatcher.push


def instrument(
    setup: Callable[[], Any] | None = None,
    *,
    tracer_provider: trace.TracerProvider | None = None,
) -> None:
    """Have messages be spans of OpenTelemetry, and the trace go on in the actors.

    Call it in the program, before or after its systems are started; again, it replaces the set-up.
    From then on all that this process sends is in a span, and so is all that its actors send and
    handle. Actors that are started from then on are instrumented from before their constructor; one
    that runs already, from the first message on that has a context.

    Args:
        setup: called once in each actor's process, to make its exporter. It returns the actor's
            tracer provider, which becomes the global one there, or None, when it has set that
            itself. It travels as an actor's class does, so it may be a function of `__main__`. It
            is not called in this process. Without it an actor has what the environment says
            (``OTEL_PYTHON_TRACER_PROVIDER``), as a rule nothing: then a trace goes through it, and
            has no spans from there. What it raises is logged, and the actor goes on. Actors of this
            process (``backend="threads"``, ``"inline"``) have this process's provider.
        tracer_provider: of this process; None: the global one, also if that is set later.

    Raises:
        EncodeError: the set-up cannot be pickled. StorageFull: there is no room for it. Then
            nothing is instrumented that was not before. TypeError: it cannot be called.
    """
    global _setup  # noqa: PLW0603 - for systems that are started later
    if setup is not None and not callable(setup):
        raise TypeError(f"setup is a function that makes a tracer provider, not {setup!r}")
    for endpoint in _endpoints():
        _lay_down(endpoint, setup)
    _setup = (setup,)
    from procactors.local.transport import LocalTransport  # not loaded where nothing is traced

    tracer = trace.get_tracer("procactors", tracer_provider=tracer_provider)
    start_sending(tracer, LocalTransport)
    _endpoint_class.__init__ = _init
    _dispatcher_class.push = _push
    trace_starts(True)


def uninstrument() -> None:
    """Have this process trace no message any more, nor the actors that are started from now on.

    Actors that run go on with traces that others send them, and begin their own, until they end.
    """
    global _setup  # noqa: PLW0603 - as there
    _setup = ()
    trace_starts(False)
    _endpoint_class.__init__ = _plain_init
    _dispatcher_class.push = _plain_push
    stop_sending()
    for endpoint in _endpoints():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(endpoint.path, SETUP))


def _endpoints() -> list[Endpoint]:
    """Return those of this process's systems; in an actor, whose system is another's, none."""
    return [one for one in transports() if isinstance(one, Endpoint) and one.actor == MAIN]


def _lay_down(endpoint: Endpoint, setup: Callable[[], Any] | None) -> None:
    """Put the set-up where the actors of a system find it."""
    encoded = endpoint.store.encode(setup, "the set-up of tracing")
    if encoded.buffers:
        raise EncodeError("the set-up of tracing holds arrays: give it what makes them")
    write_whole(os.path.join(endpoint.path, SETUP), join(encoded))


@functools.wraps(_plain_init)
def _init(endpoint: Endpoint, *args: Any, **kwargs: Any) -> None:
    _plain_init(endpoint, *args, **kwargs)
    if endpoint.actor == MAIN and _setup:
        _lay_down(endpoint, *_setup)


@functools.wraps(_plain_push)
def _push(dispatcher: Dispatcher, spans: Iterable[Span]) -> None:
    """Note in which context a pool's work has come: it is sent in whichever thread has room."""
    work = list(spans)
    for span in work:
        if not hasattr(span.owner.source, "trace_context"):  # else it is tried again
            span.owner.source.trace_context = contexts.get_current()  # type: ignore[attr-defined]
    _plain_push(dispatcher, work)
