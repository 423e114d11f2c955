"""Records: whole, in step, at most PIPE_BUF bytes."""

from __future__ import annotations

import select

from hypothesis import given, strategies as st

from procactors.wire.record import (
    BODY_LIMIT,
    FRAME,
    MOST_STANDING,
    STAMP,
    Kind,
    frame,
    parse,
    parse_all,
    stamp_of,
    stamped,
    whole_records,
)


@given(kind=st.sampled_from(Kind), flags=st.integers(0, 255), size=st.integers(0, BODY_LIMIT))
def test_a_record_is_a_multiple_of_eight_and_gives_its_body_back(kind, flags, size):
    body = bytes(n % 251 for n in range(size))
    record = frame(kind, flags, body)
    assert FRAME.unpack_from(record)[0] == len(record)
    assert len(record) % 8 == 0
    assert len(record) <= select.PIPE_BUF
    assert parse(record) == (kind, flags, body)
    assert parse(b"12345678" + record, 8) == (kind, flags, body)


def test_no_length_is_zero():
    """A walk over the lengths ends at the first zero, so no record may look like one."""
    assert FRAME.unpack_from(frame(Kind.NUDGE, 0, b""))[0] == 8


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_records_one_behind_the_other_are_told_apart(bodies):
    records = [frame(Kind.ITEM, at, body) for at, body in enumerate(bodies)]
    data = b"".join(records)
    assert list(whole_records(data)) == records
    assert list(parse_all(data)) == [parse(record) for record in records]
    assert [bytes(record.body) for record in parse_all(data)] == bodies


@given(
    size=st.integers(0, BODY_LIMIT),
    now=st.integers(0, 1 << 55),
    standing=st.integers(1, MOST_STANDING),
)
def test_a_stamp_changes_nothing_of_what_a_record_says(size, now, standing):
    body = bytes(n % 251 for n in range(size))
    plain = frame(Kind.CALL, 3, body)
    record = stamped(plain, now, standing)
    assert parse(record) == parse(plain)
    assert len(record) <= select.PIPE_BUF
    if len(plain) + STAMP > select.PIPE_BUF:
        assert record == plain
    else:
        assert FRAME.unpack_from(record)[3] >= STAMP
        assert list(whole_records(record + plain)) == [record, plain]
        assert stamp_of(memoryview(plain + record), len(plain + record)) == (now, standing)
