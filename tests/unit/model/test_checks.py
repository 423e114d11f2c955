"""Arguments: what is plain by its meaning is made plain, all else is refused."""

from __future__ import annotations

import enum
import functools
import pathlib
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from procactors.errors import InvalidSpec
from procactors.model import checks
from procactors.model.handlers import check_function, kind_of


class Number(enum.IntEnum):
    THREE = 3


class Text(str):
    __slots__ = ()

    def __str__(self):
        return "changed"


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    "value", [3, np.int8(3), np.uint64(3), Number.THREE, np.array(3)], ids=repr
)
def test_whole_numbers_of_all_kinds_are_plain_ones(value):
    found = checks.whole("n", value, 1)
    assert (found, type(found)) == (3, int)


@pytest.mark.parametrize("value", [3.0, "3", True, np.True_, None, np.float64(3), np.array([3, 4])])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(InvalidSpec, match=r"^n is a whole number of at least 1, not "):
        checks.whole("n", value, 1)


@pytest.mark.parametrize(
    "value", [0.5, np.float32(0.5), np.float64(0.5), Fraction(1, 2), Decimal("0.5")], ids=repr
)
def test_real_numbers_of_all_kinds_are_plain_ones(value):
    found = checks.number("x", value, 0.0)
    assert (found, type(found)) == (0.5, float)
    assert type(checks.number("x", np.int64(2), 0.0)) is int


BAD = ["1", True, np.True_, None, 1j, np.complex64(1), float("nan"), np.nan, Decimal("sNaN"), [1]]
BAD += [np.array([1.0, 2.0]), -1, np.float64(-0.5), b"1"]


@pytest.mark.parametrize("value", BAD, ids=repr)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(InvalidSpec, match=r"^x is a number of at least 0.0, not "):
        checks.number("x", value, 0.0)
    with pytest.raises(InvalidSpec, match=r"^x is a number of seconds from 0 on, not "):
        checks.deadline("x", value)


def test_a_wait_beyond_all_clocks_is_one_for_ever():
    for value in (float("inf"), 10**400, 1e300, checks.LONGEST_S * 2):
        assert checks.patience("t", value) is None
        assert checks.deadline("t", value) == checks.LONGEST_S
    assert checks.patience("t", 5) == 5
    assert checks.patience("t", None) is None


def test_texts_and_paths_are_plain(tmp_path):
    assert checks.text("name", Text("x")) == "x"
    assert type(checks.text("name", Text("x"))) is str
    assert checks.path("p", tmp_path) == str(tmp_path)
    assert checks.path("p", b"/\xff") == "/\udcff"
    for bad in ("", None, 3, "a\0b", pathlib.Path("a\0b")):
        with pytest.raises(InvalidSpec, match=r"^p is a path"):
            checks.path("p", bad)


def test_a_member_may_be_meant_by_its_name_or_value():
    checks.member("colour", Colour.RED, Colour)
    for meant in ("red", "RED", "Colour.RED"):
        with pytest.raises(InvalidSpec, match=r"is one of Colour.RED, not .*; say Colour.RED$"):
            checks.member("colour", meant, Colour)
    with pytest.raises(InvalidSpec, match=r"is one of Colour.RED, not 'blue'$"):
        checks.member("colour", "blue", Colour)


def test_flags_are_true_or_false():
    assert checks.flag("f", np.True_) is True
    assert checks.flag("f", False) is False
    for bad in (1, "yes", None, np.int8(1)):
        with pytest.raises(InvalidSpec, match="f is True or False, not"):
            checks.flag("f", bad)


# -- handlers -----------------------------------------------------------------------------------


class Calls:
    async def __call__(self, _):
        return 1

    async def method(self):
        return 1


async def later(_):
    return 1


def generate(_):
    yield 1


async def generate_later(_):
    yield 1


def plain(_):
    return (number for number in range(3))


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (later, "async def"),
        (generate, "a generator"),
        (generate_later, "an async generator"),
        (functools.partial(later), "async def"),
        (functools.partial(functools.partial(generate), 1), "a generator"),
        (Calls().method, "async def"),
        (plain, ""),
        (len, ""),
        (int, ""),
        (lambda x: x, ""),
        (functools.partial(plain), ""),
    ],
)
def test_what_does_not_return_its_result_is_known(function, kind):
    assert kind_of(function) == kind
    if kind:
        with pytest.raises(InvalidSpec, match=f"is {kind}: a pool calls plain functions"):
            check_function(function)
    else:
        check_function(function)


def test_an_object_with_an_async_call_is_no_function_for_a_pool():
    with pytest.raises(InvalidSpec, match="is async def: a pool calls plain functions"):
        check_function(Calls())
