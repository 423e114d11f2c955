"""Who takes messages as values: a stack that goes with the incarnation."""

from __future__ import annotations

import pytest

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
