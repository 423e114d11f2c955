"""What a system counts, on each backend."""

from __future__ import annotations

import logging

import pytest

from procactors import Actor, metrics
from procactors.errors import ActorStopped
from tests.conformance.actors import Counter
from tests.conformance.test_flows import Source


@pytest.mark.sample
def test_each_message_of_each_method_is_counted(world):
    system = world.system
    counter = system.options(name="counter").spawn(Counter)
    for _ in range(20):
        counter.tell(Counter.increment)
    assert counter.ask(Counter.get) == 20
    with pytest.raises(ValueError, match="on purpose"):
        counter.ask(Counter.fail)
    # An answer is sent before its message is counted.
    world.eventually(lambda: metrics.snapshot(system).actor("counter").handled == 22, "the counts")
    actor = metrics.snapshot(system).actor("counter")
    assert (actor.class_name, actor.incarnation, actor.mailbox) == ("Counter", 1, 0)
    assert [(one.name, one.handled, one.errors) for one in actor.methods] == [
        ("Counter.fail", 1, 1),
        ("Counter.get", 1, 0),
        ("Counter.increment", 20, 0),
    ]
    assert actor.method("increment").handling.count == 20
    assert metrics.snapshot(system).round_trip("get").count == 1


def _handled(system, name):
    method = metrics.snapshot(system).method(name)
    return method.handled if method is not None else 0


def test_counts_outlive_their_actors(world):
    system = world.system
    counter = system.options(name="counter").spawn(Counter)
    counter.ask(Counter.increment)
    world.eventually(lambda: _handled(system, "increment") == 1, "the first count")
    world.crash(counter)
    counter.ask(Counter.increment)
    counter.stop()
    (group,) = metrics.snapshot(system).groups()
    assert (group.name, group.actors, group.restarts) == ("counter", 0, 1)
    assert group.method("increment").handled == 2


def test_items_of_streams_and_pools_are_counted(world):
    system = world.system
    source = system.options(name="source").spawn(Source)
    assert len(list(source.stream(Source.numbers, 30))) == 30
    with system.options(size=2, name="pool").pool(Counter) as pool:
        list(pool.map(Counter.increment, range(10)))
        world.eventually(lambda: _items(system, "pool-*") == 10, "the pool's items")
    world.eventually(lambda: _items(system, "source") == 30, "the stream's items")


def _items(system, group):
    found = [one for one in metrics.snapshot(system).groups() if one.name == group]
    return sum(method.items for one in found for method in one.methods)


def test_a_system_that_is_stopped_has_no_counts(system):
    system.stop()
    with pytest.raises(ActorStopped):
        metrics.snapshot(system)


class Speaks(Actor):
    def speak(self, text):
        self.context.log.warning("said %s", text)


@pytest.mark.sample
def test_what_an_actor_logs_says_who_has_logged_it(world, caplog):
    speaks = world.system.options(name="speaker").spawn(Speaks)
    speaks.ask(Speaks.speak, "this")
    world.system.flush_logs()
    (record,) = [one for one in caplog.records if one.getMessage() == "said this"]
    assert record.name.endswith("test_counts.Speaks")
    assert (record.actor, record.incarnation) == ("speaker", 1)
    assert (record.handler, record.processName) == ("Speaks.speak", "speaker")
    logging.getLogger("mine").warning("my own")
    assert not hasattr(caplog.records[-1], "actor")
