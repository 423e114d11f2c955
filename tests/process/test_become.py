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


def no_parameters():
    """Take nothing."""


def two_parameters(message, other):
    """Take more than a message."""


def keyword_only(message, *, word):
    """Take a word as well."""


def test_what_a_message_does_not_fit_is_refused_at_once(system):
    door = system.spawn(Door)
    for handler in (no_parameters, two_parameters, keyword_only):
        name = handler.__name__
        with pytest.raises(InvalidSpec, match=f"with the message alone, and .*{name}.* cannot"):
            door.ask(Door.wrong, handler)
    with pytest.raises(InvalidSpec, match=r"say become\(self\.opened\)"):
        door.ask(Door.wrong, Door.opened)
    with pytest.raises(InvalidSpec, match="Methods has no receive, so none is ever sent to it"):
        system.spawn(Methods).ask(Methods.turn)
    assert door.ask("a") == "closed: a"


def test_whatever_takes_a_message_may_have_it(system):
    door = system.spawn(Door)
    for handler in (len, str.upper, print, with_default, with_word, Takes(), latest):
        door.ask(Door.wrong, handler)
        assert door.ask("a") == handler("a")
    door.ask(Door.wrong, functools.partial(pow, 2))
    assert door.ask(3) == 8


def with_default(message, other=1, *, word=2):
    """Take a message, and more if need be."""
    return message


def with_word(message, *, word=1):
    """Take a message, and a word if need be."""
    return message


def latest(*messages):
    """Take as many as there are."""
    return messages[-1]


class Takes:
    """A handler that is an object."""

    def __call__(self, message):
        return message


class Methods(Actor):
    """Takes no messages as values."""

    def turn(self):
        self.context.become(print)
