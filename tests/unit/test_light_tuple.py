"""A light named tuple is what `typing.NamedTuple` makes of the same body."""

from __future__ import annotations

import copy
import pickle
import typing

import pytest

from procactors.light_tuple import NamedTuple


class Light(NamedTuple):
    """One."""

    a: int
    b: Unknown | None = None  # noqa: F821 - nobody looks at it
    c: str = "c"

    @property
    def both(self) -> tuple[int, str]:
        """Return two."""
        return self.a, self.c

    def __str__(self) -> str:
        return f"{self.a} of {self.c}"


class Typed(typing.NamedTuple):
    """One."""

    a: int
    b: None = None
    c: str = "c"


@pytest.mark.parametrize("name", ["_fields", "_field_defaults", "__match_args__", "__doc__"])
def test_it_says_of_itself_what_the_other_does(name):
    assert getattr(Light, name) == getattr(Typed, name)


def test_it_is_made_compared_and_changed_alike():
    assert Light(1) == Typed(1) == (1, None, "c")
    assert Light(1, c="d")._replace(b=2)._asdict() == {"a": 1, "b": 2, "c": "d"}
    assert repr(Light(1)) == "Light(a=1, b=None, c='c')"
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        Light()


def test_what_else_stands_in_the_body_is_there():
    assert Light(1).both == (1, "c")
    assert str(Light(1)) == "1 of c"
    assert (Light.__module__, Light.__qualname__) == (__name__, "Light")


def test_it_travels():
    assert pickle.loads(pickle.dumps(Light(1))) == Light(1)
    assert type(copy.copy(Light(1))) is Light


def test_a_field_without_a_default_behind_one_with_a_default_is_refused():
    with pytest.raises(TypeError):

        class Broken(NamedTuple):
            a: int = 1
            b: int
