"""Plain arguments: what is written without pickle, and that it comes back as from pickle."""

from __future__ import annotations

import array
import enum
import pickle
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, strategies as st

from procactors.wire.pickling.plain import (
    PICKLED,
    PLAIN,
    as_pickle,
    encode_plain,
    encode_result,
    load_plain,
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**40, max_value=10**60)
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters(), max_size=256)
    | st.binary(max_size=256)
)


class Level(enum.IntEnum):
    HIGH = 3


class Name(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int


@given(st.lists(scalars).map(tuple))
def test_plain_arguments_come_back_as_from_a_pickle(args):
    encoded = encode_plain(args)
    assert encoded is not None
    assert encoded.head[0] == PLAIN
    assert not encoded.buffers
    back = load_plain(encoded.head)
    # Their repr tells NaN, -0.0, True and 1, which are equal or never equal, from each other.
    assert repr(back) == repr(pickle.loads(pickle.dumps(args, 5)))
    assert [type(one) for one in back] == [type(one) for one in args]
    assert repr(pickle.loads(as_pickle(encoded.head))) == repr((args, {}))


@given(scalars)
def test_a_plain_result_comes_back_as_from_a_pickle(value):
    encoded = encode_result(value)
    assert encoded is not None
    assert encoded.head[0] != PICKLED
    assert not encoded.buffers
    back = load_plain(memoryview(encoded.head))
    assert repr(back) == repr(pickle.loads(pickle.dumps(value, 5)))
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        Level.HIGH,
        Name("a"),
        np.float64(1.5),
        np.arange(3),
        bytearray(b"a"),
        memoryview(b"a"),
        array.array("i", [1]),
        (1,),
        Point(1),
        [1],
        {},
        frozenset({1}),
        int,
        ...,
        test_plain_arguments_come_back_as_from_a_pickle.__code__,
        "x" * 257,
        b"x" * 257,
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_left_to_pickle(value):
    assert encode_plain((1, value)) is None
    assert encode_result(value) is None


def test_a_lone_surrogate_is_plain():
    encoded = encode_plain(("\udc80",))
    assert encoded is not None
    assert load_plain(encoded.head) == ("\udc80",)


def test_a_pickle_is_kept_as_it_is():
    head = pickle.dumps(((1,), {"by": 2}), 5)
    assert head[0] != PLAIN
    assert as_pickle(head) == head
