"""What a value weighs as a message."""

from __future__ import annotations

import enum
from array import array
from dataclasses import dataclass

import pytest

from procactors.wire.pickling.weight import is_light, weighs_less

LIMIT = 100_000


@dataclass
class Message:
    number: int
    payload: object = None


class Slotted:
    __slots__ = ("payload",)

    def __init__(self, payload):
        self.payload = payload


class Command(enum.Enum):
    GO = "go"


class Listing(list):
    pass


class Odd:
    def __reduce__(self):
        raise ValueError


def deep(leaf):
    value = leaf
    for _ in range(100):
        value = [value]
    return value


LARGE = bytes(2 * LIMIT)


@pytest.mark.parametrize(
    "value",
    [
        None,
        (len, (1, 2.0, "three"), {}),
        [1] * 1000,
        {"a": [b"x" * 100]},
        Message(5, "x"),
        Command.GO,
        Listing([1, 2]),
        Slotted(b"small"),
        deep(1),
        lambda: 1,
        Odd(),
        Message,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_small_weighs_less(value):
    assert weighs_less(value, LIMIT)


@pytest.mark.parametrize(
    "value",
    [
        LARGE,
        bytearray(LARGE),
        "x" * len(LARGE),
        (len, (1, LARGE), {}),
        {LARGE: 1},
        {1: {2: {3: LARGE}}},
        Message(5, LARGE),
        Message(5, [Message(6, LARGE)]),
        Slotted(LARGE),
        Listing([LARGE]),
        list(range(LIMIT)),
        {number: str(number) for number in range(LIMIT)},
        array("d", range(LIMIT)),
        deep(LARGE),
        [bytes(size) for size in range(1000, 1100)],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_large_does_not(value):
    assert not weighs_less(value, LIMIT)


def test_arrays_are_not_copied_to_be_weighed():
    numpy = pytest.importorskip("numpy")
    assert weighs_less(numpy.zeros(10), LIMIT)
    assert not weighs_less(numpy.zeros(LIMIT), LIMIT)
    assert not weighs_less([numpy.zeros((LIMIT, 2)).T[::2]], LIMIT)


def test_a_quick_look_knows_numbers_and_short_texts():
    assert is_light((1, 2.0, "three", b"four", None, len))
    assert not is_light((bytes(5000),))
    assert not is_light(([],))
    assert not is_light((1,) * 5000)
