"""The codec: values to bytes and back, or an error that names the part at fault."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import pickle
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from procactors.errors import DecodeError, EncodeError
from procactors.wire.pickling.codec import decode, encode, join, split
from tests.support.faults import BreaksWhenLoaded, BreaksWhenPickled

RUNTIME_DIR = "/nowhere"  # only definitions that are no module's are written there

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


def roundtrip(value: Any) -> Any:
    encoded = encode(RUNTIME_DIR, value)
    return decode(*split(memoryview(join(encoded))))


@given(values)
def test_any_value_comes_back_equal(value):
    assert decode(*encode(RUNTIME_DIR, value)) == value
    assert roundtrip(value) == value


@given(st.lists(st.integers(0, 3_000), max_size=5))
def test_buffers_come_back_whole_writable_and_aligned(sizes):
    back = roundtrip([np.arange(size, dtype=np.float64) for size in sizes])
    assert [array.tolist() for array in back] == [list(range(size)) for size in sizes]
    assert all(array.flags.writeable and array.flags.aligned for array in back)


def test_large_arrays_travel_out_of_band():
    encoded = encode(RUNTIME_DIR, np.zeros(100_000))
    assert len(encoded.head) < 1_000
    assert [buffer.nbytes for buffer in encoded.buffers] == [800_000]
    assert encoded.size == len(encoded.head) + 800_000


def test_a_plain_value_is_plain_pickle():
    assert encode(RUNTIME_DIR, {"a": 1}).head == pickle.dumps({"a": 1}, 5)


def test_a_text_that_mentions_main_is_only_a_false_alarm():
    assert roundtrip(["__main__", b"__mp_main__"]) == ["__main__", b"__mp_main__"]


@dataclasses.dataclass
class Holder:
    part: Any


class Slotted:
    __slots__ = ("part",)

    def __init__(self, part: Any) -> None:
        self.part = part


LOCK = threading.Lock()


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (LOCK, "message = <unlocked"),
        ([1, LOCK], "message[1] = "),
        ({"a": (1, {"b": LOCK})}, "message['a'][1]['b'] = "),
        (Holder([Slotted(LOCK)]), "message.part[0].part = "),
        ((lambda: LOCK), "message: <lambda> uses LOCK = "),
    ],
    ids=["alone", "list", "nested", "attributes", "function"],
)
def test_the_path_to_the_culprit_is_named(value, path):
    with pytest.raises(EncodeError) as raised:
        encode(RUNTIME_DIR, value)
    assert path in str(raised.value)
    assert "cannot pickle" in str(raised.value)
    assert raised.value.__cause__ is not None


def test_a_closures_culprit_is_named():
    inner = threading.Lock()
    with pytest.raises(EncodeError, match="uses inner = "):
        encode(RUNTIME_DIR, lambda: inner)


def test_a_class_that_breaks_when_it_is_pickled_is_an_encode_error():
    with pytest.raises(EncodeError, match="Fault: on purpose"):
        encode(RUNTIME_DIR, [BreaksWhenPickled("exception")])


def test_an_interrupt_while_pickling_is_no_encode_error():
    with pytest.raises(KeyboardInterrupt):
        encode(RUNTIME_DIR, [BreaksWhenPickled("keyboard interrupt")])


def test_a_connection_is_refused_since_it_would_arrive_as_a_bare_number():
    ends = multiprocessing.Pipe()
    with pytest.raises(EncodeError, match="a Connection cannot travel in a message"):
        encode(RUNTIME_DIR, {"end": ends[0]})
    for end in ends:
        end.close()


def test_what_does_not_load_is_a_decode_error_with_its_cause():
    encoded = encode(RUNTIME_DIR, BreaksWhenLoaded("exception"))
    with pytest.raises(DecodeError, match=r"could not be unpickled: .*Fault: on purpose") as raised:
        decode(*encoded)
    assert type(raised.value.__cause__).__name__ == "Fault"


@given(st.binary(max_size=100))
def test_any_bytes_decode_or_raise_a_decode_error(data):
    with contextlib.suppress(DecodeError):
        decode(data)


def test_a_broken_repr_does_not_hide_the_culprit():
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("no")

        def __reduce__(self) -> Any:
            raise ValueError("not this one")

    with pytest.raises(EncodeError, match=r"message\[0\] = <Shy>: ValueError: not this one"):
        encode(RUNTIME_DIR, [Shy()])
