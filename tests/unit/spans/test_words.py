"""How a context travels."""

from __future__ import annotations

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from procactors.spans.words import attributes_of, pack_context, unpack_context

SPAN = SpanContext(
    trace_id=0xAF7651916CD43DD8448EB211C80319C,
    span_id=0xB7AD6B7169203331,
    is_remote=False,
    trace_flags=TraceFlags(1),
    trace_state=TraceState([("vendor@system", "a:1")]),
)
PLAIN = SpanContext(SPAN.trace_id, SPAN.span_id, False, TraceFlags(1))


def context_of(span):
    return trace.set_span_in_context(NonRecordingSpan(span), Context())


def span_in(context):
    return trace.get_current_span(context).get_span_context()


def test_a_span_alone_is_one_header():
    packed = pack_context(context_of(PLAIN))
    assert packed == b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    there = span_in(unpack_context(packed))
    assert (there.trace_id, there.span_id, there.is_remote) == (PLAIN.trace_id, PLAIN.span_id, True)


def test_state_and_baggage_come_along_without_a_colon():
    packed = pack_context(baggage.set_baggage("tenant", "a: b", context_of(SPAN)))
    assert b":" not in packed
    context = unpack_context(packed)
    assert span_in(context).trace_state.get("vendor@system") == "a:1"
    assert baggage.get_baggage("tenant", context) == "a: b"


def test_too_much_baggage_stays_behind():
    packed = pack_context(baggage.set_baggage("tenant", "x" * 2000, context_of(SPAN)))
    assert len(packed) == 55
    assert span_in(unpack_context(packed)).span_id == SPAN.span_id


def test_baggage_without_a_span_comes_along():
    packed = pack_context(baggage.set_baggage("tenant", "a", Context()))
    assert baggage.get_baggage("tenant", unpack_context(packed)) == "a"


def test_nothing_is_nothing():
    assert pack_context(Context()) == b""
    assert not span_in(unpack_context(b"")).is_valid


@pytest.mark.parametrize("packed", [b"00-rubbish", b"\xff\xff-", b"?", b"e30", b"WzFd", b"00-"])
def test_what_cannot_be_read_is_an_empty_context(packed):
    assert not span_in(unpack_context(packed)).is_valid


def test_a_name_that_is_no_utf_8_is_told_in_escapes():
    """Else an exporter could send none of the spans of its batch."""
    assert attributes_of("ask", "é\udc80", b"m:C.f")["messaging.destination.name"] == "é\\udc80"
