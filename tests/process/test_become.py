"""Who takes messages as values: a stack that goes with the incarnation."""

from __future__ import annotations

import functools

import pytest

from procactors import Actor
from procactors.errors import ActorDied, InvalidSpec
from tests.support.conversations import Door


def test_the_latest_handler_takes_messages_and_goes_back_step_by_step(system):
    door = system.spawn(Door)
    said = [door.ask(word) for word in ["a", "open", "b", "close", "c", "open", "lock", "open"]]
    assert said == [
        "closed: a",
        "closed: open",
        "open: b",
        "open: close",
        "closed: c",
        "closed: open",
        "open: lock",
        "locked: open",
    ]
    door.ask(Door.back)  # calls are not affected
    assert door.ask("x") == "open: x"
    for _ in range(3):
        door.ask(Door.back)
    assert door.ask("y") == "closed: y"


def test_it_goes_with_the_incarnation(system):
    door = system.spawn(Door)
    door.ask("open")
    with pytest.raises(ActorDied):
        door.ask("die")
    assert door.ask("a") == "closed: a"


def no_parameters():
    """Take nothing."""


def two_parameters(message, other):
    """Take more than a message."""


def keyword_only(message, *, word):
    """Take a word as well."""


@pytest.mark.parametrize("handler", [no_parameters, two_parameters, keyword_only])
def test_what_a_message_does_not_fit_is_refused_at_once(system, handler):
    door = system.spawn(Door)
    with pytest.raises(InvalidSpec, match=f"with the message alone, and .*{handler.__name__}.*can"):
        door.ask(Door.wrong, handler)


def test_a_method_that_is_not_bound_is_named(system):
    with pytest.raises(InvalidSpec, match=r"say become\(self\.opened\)"):
        system.spawn(Door).ask(Door.wrong, Door.opened)


@pytest.mark.parametrize("handler", [len, repr, functools.partial(pow, 2), str.upper, print])
def test_whatever_takes_a_message_may_have_it(system, handler):
    door = system.spawn(Door)
    door.ask(Door.wrong, handler)
    message = 3 if isinstance(handler, functools.partial) else "a"
    assert door.ask(message) == handler(message)


def test_what_has_a_default_for_the_rest_takes_a_message(system):
    door = system.spawn(Door)
    for handler in (with_default, with_word, lambda *messages: messages[0], Takes()):
        door.ask(Door.wrong, handler)
        assert door.ask("a") == "a"


def with_default(message, other=1, *, word=2):
    """Take a message, and more if need be."""
    return message


def with_word(message, *, word=1):
    """Take a message, and a word if need be."""
    return message


class Takes:
    """A handler that is an object."""

    def __call__(self, message):
        return message


class Methods(Actor):
    """Takes no messages as values."""

    def turn(self):
        self.context.become(print)


def test_who_is_sent_no_messages_cannot_have_them_handled_otherwise(system):
    with pytest.raises(InvalidSpec, match="Methods has no receive, so none is ever sent to it"):
        system.spawn(Methods).ask(Methods.turn)


def test_on_start_may_become(system):
    door = system.spawn(Door, True)
    assert [door.ask(word) for word in ["a", "close", "b"]] == [
        "open: a",
        "open: close",
        "closed: b",
    ]


def test_what_cannot_take_a_message_is_refused(system):
    door = system.spawn(Door)
    with pytest.raises(InvalidSpec, match="takes a function or a bound method"):
        door.ask(Door.wrong, "opened")
    with pytest.raises(InvalidSpec, match="async def"):
        door.ask(Door.coroutine)
    assert door.ask("a") == "closed: a"
