"""A program that holds several systems: what becomes of a ref of one in a message to another."""

from __future__ import annotations

import itertools

import pytest

from procactors import Actor, ActorSystem
from procactors.errors import ActorStopped, UnsupportedOnBackend
from tests.conformance.actors import Counter

PAIRS = list(itertools.permutations(("processes", "threads", "inline"), 2))


class Source(Actor):
    def numbers(self, to):
        yield from range(to)


class Caller(Actor):
    """Uses what it is sent."""

    def __init__(self, ref=None):
        self.ref = ref

    def use(self, ref, times=3):
        for _ in range(times):
            ref.tell(Counter.increment)
        return ref.ask(Counter.get), ref.submit(Counter.increment, 10).result(), ref

    def keep(self, ref):
        self.ref = ref

    def kept(self, by):
        return self.ref.ask(Counter.increment, by)

    def pass_on(self, ref):
        return self.ref.ask(Caller.same, ref)

    def same(self, ref):
        return ref

    def streamed(self):
        return list(self.ref.stream(Source.numbers, 3))

    def fail(self, refs):
        return refs[0].ask(Counter.fail)


def check_travels(mine, other):
    """An actor of `other` uses one of `mine`, however it comes to its ref."""
    counter, caller = mine.spawn(Counter), other.spawn(Caller)
    value, more, again = caller.ask(Caller.use, counter)
    assert (value, more) == (3, 13)
    assert again == counter  # it comes home as itself
    assert counter.ask(Counter.get) == 13
    with pytest.raises(ValueError, match="on purpose"):
        caller.ask(Caller.fail, [counter])  # within something, and what it raises
    caller = other.spawn(Caller, counter)
    assert caller.ask(Caller.kept, 2) == 15
    counter.stop()
    with pytest.raises(ActorStopped, match=f"{counter.name} has stopped"):
        caller.ask(Caller.kept, 1)


@pytest.mark.parametrize(("here", "there"), [*PAIRS, ("threads", "threads")])
def test_a_ref_travels_from_one_system_to_another(here, there):
    with ActorSystem(backend=here) as mine, ActorSystem(backend=there) as other:
        if here == "inline":
            counter, caller = mine.spawn(Counter), other.spawn(Caller)
            with pytest.raises(UnsupportedOnBackend, match="to an actor of another system"):
                caller.ask(Caller.use, counter)
            with pytest.raises(UnsupportedOnBackend):
                other.spawn(Caller, counter)
            return
        check_travels(mine, other)


def test_what_is_sent_when_the_other_system_has_ended_is_an_error_at_the_sender():
    with ActorSystem(backend="processes") as mine:
        with ActorSystem(backend="threads") as other:
            counter, caller = other.options(name="c").spawn(Counter), mine.spawn(Caller)
            caller.ask(Caller.keep, counter)
            assert caller.ask(Caller.kept, 1) == 1
        with pytest.raises(ActorStopped):
            caller.ask(Caller.kept, 1)
        assert caller.ask(Caller.use, mine.spawn(Counter))[:2] == (3, 13)  # all else goes on


def test_a_ref_goes_both_ways_between_two_systems_of_processes():
    with ActorSystem() as mine, ActorSystem() as other:
        counter, near, far = mine.spawn(Counter), mine.spawn(Caller), other.spawn(Caller)
        near.ask(Caller.keep, far)  # an actor of mine knows one of the other system ...
        assert near.ask(Caller.pass_on, counter) == counter  # ... and sends it one of its own


def test_a_stream_does_not_go_from_one_system_to_another():
    with ActorSystem(backend="threads") as mine, ActorSystem() as other:
        caller = other.spawn(Caller, mine.spawn(Source))
        with pytest.raises(UnsupportedOnBackend, match="a stream does not go"):
            caller.ask(Caller.streamed)
