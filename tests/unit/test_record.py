"""Records: whole, in step, at most PIPE_BUF bytes."""

from __future__ import annotations

import select

from hypothesis import given, strategies as st

from procactors.wire.record import BODY_LIMIT, FRAME, Kind, frame


@given(kind=st.sampled_from(Kind), flags=st.integers(0, 255), size=st.integers(0, BODY_LIMIT))
def test_a_record_is_a_multiple_of_eight_and_gives_its_body_back(kind, flags, size):
    body = bytes(n % 251 for n in range(size))
    record = frame(kind, flags, body)
    length, found_kind, found_flags, padding = FRAME.unpack_from(record)
    assert length == len(record)
    assert length % 8 == 0
    assert length <= select.PIPE_BUF
    assert (found_kind, found_flags) == (kind, flags)
    assert record[FRAME.size : length - padding] == body


def test_no_length_is_zero():
    """A walk over the lengths ends at the first zero, so no record may look like one."""
    assert FRAME.unpack_from(frame(Kind.NUDGE, 0, b""))[0] == 8
