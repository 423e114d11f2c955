"""The method table: which method a reference means, and whether its arguments fit."""

from __future__ import annotations

import functools

import pytest

from procactors import Actor
from procactors.errors import UnknownMethod
from procactors.runner.method_table import is_method_reference, key_of, table_of


def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


class Base:
    def work(self, value):
        return value

    def shared(self):
        return "base"


class Derived(Base):
    def work(self, value):
        return -value

    @staticmethod
    def fixed(a, b=1):
        return a + b

    @classmethod
    def made(cls, a):
        return a

    @logged
    @logged
    def decorated(self, a, *, b=2):
        return a + b

    def _private(self):
        return 1

    def double(self):
        return 1

    twice = double

    async def later(self):
        return 1

    def each(self):
        yield 1

    receive = None


class Stranger:
    def work(self, value):
        return value


class Many:
    def positional(self, a, b=1, /, c=2):
        pass

    def variadic(self, *values):
        pass

    def keyword(self, *, needed, other=1):
        pass

    def free(self, **words):
        pass


def found(cls, reference):
    return table_of(cls).method(reference).name


def test_a_method_is_found_by_its_reference():
    assert found(Derived, Derived.work) == "work"


def test_a_reference_to_the_bases_method_means_the_override():
    """The name is what is called, so an override wins."""
    assert found(Derived, Base.work) == "work"
    assert found(Derived, Base.shared) == "shared"


def test_static_and_class_methods_are_found():
    assert found(Derived, Derived.fixed) == "fixed"
    assert table_of(Derived).method(Derived.fixed).most == 2


def test_a_decorated_method_is_found_by_the_wrapper_and_by_what_it_wraps():
    assert found(Derived, Derived.decorated) == "decorated"
    assert found(Derived, Derived.decorated.__wrapped__) == "decorated"
    assert table_of(Derived).method(Derived.decorated).most == 1


def test_an_alias_means_the_method_under_its_own_name():
    assert found(Derived, Derived.twice) == "double"


def test_a_method_of_another_class_is_refused_and_the_own_ones_are_named():
    with pytest.raises(UnknownMethod, match=r"Stranger\.work is not a method of Derived; it has"):
        found(Derived, Stranger.work)
    with pytest.raises(UnknownMethod, match=r"\['decorated', 'double', 'each'"):
        found(Derived, Stranger.work)


class Hooked(Actor):
    def on_stop(self, reason):
        """Override a hook."""

    def work(self):
        """Be called."""


def test_hooks_that_were_left_as_they_are_are_not_offered():
    with pytest.raises(UnknownMethod, match=r"it has \['on_stop', 'work'\]$"):
        found(Hooked, Stranger.work)


def test_a_function_is_refused():
    with pytest.raises(UnknownMethod, match="<lambda> is not a method of Derived"):
        found(Derived, lambda self: 1)
    with pytest.raises(UnknownMethod):
        found(Derived, len)


def test_two_names_of_a_function_that_has_neither_are_refused():
    def nameless(self):
        return 1

    nameless.__qualname__ = nameless.__name__ = "elsewhere"
    cls = type("Twins", (), {"one": nameless, "two": nameless})
    with pytest.raises(UnknownMethod, match=r"several names in Twins: \['one', 'two'\]"):
        found(cls, nameless)


def test_generators_are_streamed_and_plain_methods_are_not():
    table = table_of(Derived)
    for _ in range(2):
        with pytest.raises(UnknownMethod, match=r"a generator, .*say stream\(Derived.each"):
            table.method(Derived.each)
        assert table.generator(Derived.each).name == "each"
        with pytest.raises(UnknownMethod, match=r"no generator.*say ask\(Derived.double"):
            table.generator(Derived.double)
        assert table.method(Derived.double).name == "double"


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("positional", (1,), {}),
        ("positional", (1, 2, 3), {}),
        ("positional", (1,), {"c": 3}),
        ("variadic", (), {}),
        ("variadic", tuple(range(50)), {}),
        ("keyword", (), {"needed": 1}),
        ("free", (), {"any": 1, "word": 2}),
    ],
)
def test_arguments_that_fit_pass(name, args, kwargs):
    table_of(Many).method(getattr(Many, name)).check(args, kwargs)


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("positional", (), {}),
        ("positional", (1, 2, 3, 4), {}),
        ("positional", (), {"a": 1}),
        ("keyword", (), {}),
        ("keyword", (1,), {"needed": 1}),
        ("keyword", (), {"needed": 1, "more": 2}),
        ("free", (1,), {}),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_the_signature(name, args, kwargs):
    method = table_of(Many).method(getattr(Many, name))
    with pytest.raises(TypeError, match=rf"^{name}\("):
        method.check(args, kwargs)


def test_a_method_of_an_instance_or_a_class_is_a_message():
    assert is_method_reference(Derived.work)
    assert is_method_reference(len)
    assert not is_method_reference(Derived().work)
    assert not is_method_reference(Derived)
    assert not is_method_reference("work")


def test_a_table_is_made_once_and_travels_by_name():
    assert table_of(Derived) is table_of(Derived)
    key = key_of(Base.work)
    assert key == f"{__name__}:Base.work".encode()
    assert table_of(Derived).by_key[key] == "work"


def test_receives_tells_whether_messages_are_taken():
    class Receiver:
        def receive(self, message):
            pass

    assert table_of(Receiver).receives
    assert not table_of(Derived).receives
