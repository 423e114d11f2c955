"""A probe says what it expected, and what came instead; and loses none of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from procactors import ActorSystem, Terminated
from procactors.errors import InvalidSpec
from procactors.testing import Probe, probe


class Teller:
    def tell(self, to: Any, *messages: Any) -> None:
        for message in messages:
            to.tell(message)


@pytest.fixture
def system() -> Iterator[Any]:
    with ActorSystem(backend="inline") as system:
        yield system


@pytest.fixture
def receiver(system: Any) -> Probe:
    return probe(system)


@pytest.fixture
def teller(system: Any) -> Any:
    return system.spawn(Teller)


def complaint(call: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def test_values_and_classes_are_expected_in_order(teller, receiver):
    teller.tell(Teller.tell, receiver.ref, 1, "two", 3.0)
    assert receiver.expect(1) == 1
    assert receiver.expect(str) == "two"
    assert receiver.expect(float, where=lambda value: value > 2) == 3.0
    assert receiver.received == [1, "two", 3.0]
    receiver.expect_nothing()


def test_what_came_instead_is_told_with_what_is_behind_it_and_kept(teller, receiver):
    teller.tell(Teller.tell, receiver.ref, 1, 2, 3)
    receiver.expect(1)
    said = complaint(receiver.expect, "five")
    assert said == ("expected 'five', but 2 came\nbehind it:\n  3\nit had received before:\n  1")
    assert "expected int where " in complaint(receiver.expect, int, where=lambda value: value > 9)
    assert "expected nothing for 0.1 s, but 2 came" in complaint(receiver.expect_nothing)
    assert receiver.expect(2) + receiver.expect(3) == 5


def test_a_message_that_does_not_come_is_awaited_in_the_systems_own_time(system, receiver):
    before = system.clock.now
    said = complaint(receiver.expect, int, within=60)
    assert said == "expected int within 60 s, but nothing came"
    assert system.clock.now == pytest.approx(before + 60)


def test_one_of_several_and_all_of_several(teller, receiver):
    teller.tell(Teller.tell, receiver.ref, "b", 2, 1, "a")
    assert receiver.expect_any(int, "b") == "b"
    assert receiver.expect_all(1, 2, "a") == [1, 2, "a"]
    teller.tell(Teller.tell, receiver.ref, 2, 1)
    assert "expected 3 within 1 s\nthere is instead:\n  2\n  1" in complaint(
        receiver.expect_all, 1, 2, 3
    )
    assert "expected 'x' or 'y', but 2 came" in complaint(receiver.expect_any, "x", "y")
    assert "expected 1 and 9, but 2 came" in complaint(receiver.expect_all, 1, 9)
    assert [receiver.expect(int), receiver.expect(int)] == [2, 1]


def test_an_end_passes_over_messages_which_are_kept(system, teller, receiver):
    other = system.spawn(Teller)
    said = complaint(receiver.expect_terminated, other)
    assert said == f"expected the end of {other.name} within 1 s, but nothing came"
    teller.tell(Teller.tell, receiver.ref, "first", "second")
    system.run_until_idle()
    teller.stop()
    other.stop()
    assert receiver.expect_terminated(teller).ref == teller
    assert receiver.expect("first") == "first"
    said = complaint(receiver.expect, Terminated, where=lambda event: event.ref == teller)
    assert re.match("expected Terminated where .*, but 'second' came\nbehind it:\n  Term", said)
    receiver.expect("second")
    assert receiver.expect(Terminated).ref == other


def test_an_expectation_that_makes_no_sense_is_refused_and_takes_nothing(teller, receiver):
    teller.tell(Teller.tell, receiver.ref, 1)
    for call in (
        lambda: receiver.expect(1, within="soon"),
        lambda: receiver.expect(1, where=3),
        receiver.expect_any,
        receiver.expect_all,
        lambda: receiver.expect_nothing(within=-1),
        lambda: receiver.expect_terminated(teller, within=None),
    ):
        with pytest.raises(InvalidSpec):
            call()
    receiver.expect(1)
