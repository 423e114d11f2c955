"""A trace context in an envelope: found again, and in nobody's way who does not ask for it."""

from __future__ import annotations

import pytest

from procactors.wire.envelope import (
    BATCH_KEY,
    CALLS,
    STREAM_KEY,
    bare,
    handler_name,
    traced,
    untraced,
)

CONTEXT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
METHODS = {
    b"": "receive",
    b":work": "work",
    b"module:Worker.work": "Worker.work",
    b"__main__:Worker.work@01234567": "Worker.work",
    BATCH_KEY + b"module:square": "square",
    STREAM_KEY + b"0123456789abcdef:module:Worker.rows": "Worker.rows",
}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_the_same_behind_its_journey(method):
    together = traced(method, CONTEXT)
    assert untraced(together) == (method, CONTEXT)
    assert bare(together) == bare(method) == method
    assert untraced(method) == (method, b"")


@pytest.mark.parametrize("method", METHODS)
def test_people_see_the_same_name(method):
    assert handler_name(method) == handler_name(traced(method, CONTEXT)) == METHODS[method]


@pytest.mark.parametrize("method", METHODS)
def test_calls_and_messages_as_values_are_told_apart(method):
    assert (method > CALLS) == (traced(method, CONTEXT) > CALLS) == bool(method)


@pytest.mark.parametrize("key", [BATCH_KEY, STREAM_KEY])
def test_what_begins_with_a_key_of_ours_still_does(key):
    method = next(one for one in METHODS if one.startswith(key))
    assert traced(method, CONTEXT).startswith(key)
