"""The words of the spans, by OpenTelemetry's conventions for messaging, and how a context travels.

Layer: spans. Runs in: parent and actor, where messages are traced.
Owns: nothing; pure functions, but for the propagator that the environment names.
Never: makes a message fail: a context that is too long travels without what is not needed.

    https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.trace import Status, StatusCode

from procactors.model.plain_text import encodable
from procactors.wire.envelope import bare, handler_name
from procactors.wire.raised import name_of, said

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = [
    "BATCH_COUNT",
    "DELIVERIES",
    "ERROR_TYPE",
    "INCARNATION",
    "MESSAGE_ID",
    "attributes_of",
    "failed",
    "failed_as",
    "pack_context",
    "unpack_context",
]

BATCH_COUNT = "messaging.batch.message_count"
MESSAGE_ID = "messaging.message.id"
ERROR_TYPE = "error.type"
#: Ours: which life of the actor handled it, and how often the message has been begun.
INCARNATION, DELIVERIES = "procactors.actor.incarnation", "procactors.message.deliveries"

#: The one key that a W3C context has to have; its value has neither ``:`` nor ``{``.
_PARENT = "traceparent"
#: Most bytes of a context in an envelope: a record has 4096 for all.
_MOST_BYTES = 1024


def attributes_of(operation: str, destination: str, method: bytes) -> dict[str, Any]:
    """Return what a span says of a message.

    Args:
        operation: ``send``, ``ask`` or ``process``.
        destination: name of the actor.
        method: how the method travels.
    """
    return {
        "messaging.system": "procactors",
        "messaging.operation.name": operation,
        "messaging.operation.type": "process" if operation == "process" else "send",
        "messaging.destination.name": encodable(destination),
        "procactors.handler": handler_name(bare(method)),
    }


def pack_context(context: Context) -> bytes:
    """Return a context as it travels, by the propagator; empty if there is nothing to be said.

    Beyond 1 KiB, as with much baggage, it is what `traceparent` says alone.
    """
    carrier: dict[str, str] = {}
    propagate.inject(carrier, context)
    parent = carrier.get(_PARENT, "")
    if len(carrier) > bool(parent):
        packed = base64.urlsafe_b64encode(json.dumps(carrier).encode())
        if len(packed) <= _MOST_BYTES:
            return packed
    return parent.encode()


def unpack_context(packed: bytes) -> Context:
    """Return a context that has come; of what cannot be read, an empty one."""
    carrier: Any = None
    try:
        # No JSON begins, in base 64, with the two digits of a version and a hyphen.
        if packed[2:3] == b"-":
            carrier = {_PARENT: packed.decode()}
        else:
            carrier = json.loads(base64.urlsafe_b64decode(packed))
    except ValueError:
        pass
    return propagate.extract(carrier if isinstance(carrier, dict) else {}, Context())


def failed(span: Span, error: BaseException) -> None:
    """Have a span say what was raised."""
    span.record_exception(error)
    failed_as(span, name_of(error), said(error))


def failed_as(span: Span, name: str, text: str) -> None:
    """Have a span say what was raised elsewhere: an exception's full name and text."""
    span.set_attribute(ERROR_TYPE, name)
    span.set_status(Status(StatusCode.ERROR, text))
