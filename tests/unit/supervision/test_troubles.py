"""Crash reports and dead letters as lists, for who looks in from outside."""

from __future__ import annotations

import dataclasses

import pytest

from procactors.deadletters.letter import DeadLetter
from procactors.deadletters.store import DeadLetters
from procactors.errors import ActorStopped, DeliveryError
from procactors.model import commands as c
from procactors.supervision.troubles import answer
from tests.unit.supervision.world import World


class FakeEndpoint:
    """Takes what is sent again."""

    def __init__(self):
        self.told = []

    def check_process(self):
        pass

    def tell(self, actor, name, method, encoded, timeout=None):
        assert timeout == 0.0, "the supervisor waits for nobody"
        self.told.append((actor, method, bytes(encoded.head)))


@pytest.fixture
def world():
    return World()


@pytest.fixture
def endpoint():
    return FakeEndpoint()


@pytest.fixture
def letters(endpoint):
    letters = DeadLetters()
    letters.connect(endpoint, {"here": 7}.get)
    return letters


def add(letters, actor="here", **facts):
    at, serial = letters.stamp()
    letter = DeadLetter(actor, "Actor.work", "it has stopped", 2, 0, b"x", serial=serial, at=at)
    letters.add(dataclasses.replace(letter, **facts))
    return serial


def crash(world, name, times):
    for _ in range(times):
        world.hosts[name].exit(3)
        world.wait(0.5)


def test_crashes_are_numbered_and_come_a_few_at_a_time(world):
    world.spawn("a", max_restarts=1000)
    assert answer(c.ListCrashes(0), world.core, DeadLetters()) == c.CrashList(0, ())
    crash(world, "a", 7)
    first = answer(c.ListCrashes(0), world.core, DeadLetters())
    assert (first.last, [number for number, _ in first.reports]) == (7, [1, 2, 3, 4, 5])
    assert {report.actor for _, report in first.reports} == {"a"}
    assert [report.incarnation for _, report in first.reports] == [1, 2, 3, 4, 5]
    rest = answer(c.ListCrashes(5), world.core, DeadLetters())
    assert [number for number, _ in rest.reports] == [6, 7]
    assert answer(c.ListCrashes(7), world.core, DeadLetters()) == c.CrashList(7, ())


def test_the_last_crashes_are_kept_and_the_numbers_go_on(world):
    world.spawn("a", max_restarts=1000)
    crash(world, "a", 60)
    crashes = answer(c.ListCrashes(0), world.core, DeadLetters())
    assert (crashes.last, crashes.reports[0][0]) == (60, 11)


def test_what_was_ordered_is_no_crash(world):
    world.spawn("a")
    world.get(c.Kill(world.id_of("a")))
    assert world.end_of("a") == "was killed by the runtime with SIGKILL"
    assert answer(c.ListCrashes(0), world.core, DeadLetters()).last == 0


def test_letters_are_listed_once_for_each_change(world, letters):
    seen = answer(c.ListLetters(0, 10), world.core, letters)
    assert (seen.total, seen.kept, seen.letters) == (0, 0, ())
    assert answer(c.ListLetters(seen.number, 10), world.core, letters) is None
    serials = [add(letters, reason=f"reason {number}") for number in range(5)]
    seen = answer(c.ListLetters(seen.number, 3), world.core, letters)
    assert (seen.total, seen.kept) == (5, 5)
    assert [row.serial for row in seen.letters] == serials[2:]
    assert seen.letters[0].reason == "reason 2"
    assert seen.letters[0].has_content
    assert seen.letters[0].deliveries == 2


def test_a_letter_shows_no_content_and_a_long_reason_is_cut(world, letters):
    add(letters, head=b"secret", reason="x" * 100_000)
    add(letters, head=b"")
    rows = answer(c.ListLetters(0, 10), world.core, letters).letters
    assert len(rows[0].reason) < 3000
    assert "secret" not in repr(rows)
    assert [row.has_content for row in rows] == [True, False]


def test_a_letter_is_sent_again_once(world, letters, endpoint):
    serial = add(letters, method=b"module:Actor.work")
    seen = answer(c.ListLetters(0, 10), world.core, letters)
    assert answer(c.RequeueLetter(serial), world.core, letters) is None
    assert endpoint.told == [(7, b"module:Actor.work", b"x")]
    after = answer(c.ListLetters(seen.number, 10), world.core, letters)
    assert (after.total, after.kept, after.letters) == (1, 0, ())
    with pytest.raises(DeliveryError, match="not in the list"):
        answer(c.RequeueLetter(serial), world.core, letters)


def test_a_letter_whose_actor_is_over_stays(world, letters):
    serial = add(letters, actor="nobody")
    with pytest.raises(ActorStopped):
        answer(c.RequeueLetter(serial), world.core, letters)
    assert answer(c.ListLetters(0, 10), world.core, letters).kept == 1
