"""What is said of systems on a Ray cluster alone."""

from __future__ import annotations

import os
import signal
import time

import pytest

from procactors import Actor, ActorSystem, Limits, Recycle, feed
from procactors.errors import (
    ActorDied,
    HandlerCancelled,
    InvalidSpec,
    ItemTimeout,
    UnsupportedOnBackend,
)
from procactors.testing import Faults, record
from tests.conformance.actors import Counter, Desk, Keeper
from tests.conformance.test_async import Sleeper
from tests.conformance.test_messages import Holder
from tests.support.waiting import SHORT_S

pytestmark = [pytest.mark.ray, pytest.mark.sample]


@pytest.fixture
def backend() -> str:
    return "ray"


def test_a_process_that_is_killed_from_outside_is_a_death_with_a_cause(world):
    desk = world.system.spawn(Desk)
    holder = world.system.options(name="holder").spawn(Holder, desk)
    held, waiting = holder.submit(Holder.hold), holder.submit(Holder.noted)
    world.eventually(lambda: desk.ask(Desk.count), "the message in hand")
    os.kill(holder.status().pid, signal.SIGKILL)
    with pytest.raises(ActorDied, match="its process has died") as caught:
        held.result()
    assert caught.value.report.handler == "Holder.hold"
    assert waiting.result() == 0  # by the next life
    assert holder.status().incarnation == 2
    desk.ask(Desk.answer)


def test_the_programs_own_connection_stays_behind_the_last_system(cluster):
    import ray

    with ActorSystem(backend="ray") as first, ActorSystem(backend="ray") as second:
        counters = [system.spawn(Counter, at) for at, system in enumerate((first, second))]
        assert [counter.ask(Counter.get) for counter in counters] == [0, 1]
    assert ray.is_initialized()


def test_words_of_rays_go_to_ray_and_others_are_refused(system):
    import ray

    counter = system.options(ray={"num_cpus": 0.5}, env={"HERE": "there"}).spawn(Counter, 5)
    assert counter.ask(Counter.get) == 5
    assert ray.available_resources()["CPU"] == ray.cluster_resources()["CPU"] - 0.5
    with pytest.raises(InvalidSpec, match="max_restarts"):
        system.options(ray={"max_restarts": 3})
    with pytest.raises(InvalidSpec, match="address"):
        ActorSystem(backend="threads", address="auto")


def test_what_ray_does_not_promise_is_an_error_at_the_call(system, tmp_path):
    for options in (
        {"limits": Limits(memory=1 << 30)},
        {"limits": Limits(nice=5)},
        {"recycle_after": Recycle(messages=3)},
    ):
        with pytest.raises(UnsupportedOnBackend, match='backend="ray" has no'):
            system.options(**options).spawn(Counter)
    keeper = system.spawn(Keeper)
    for call in (
        lambda: system.share([1]),
        lambda: keeper.tell(Keeper.keep, feed([1])),
        lambda: record(system, tmp_path / "run"),
        lambda: Faults(system.aio),
    ):
        with pytest.raises(UnsupportedOnBackend):
            call()
    with pytest.raises(UnsupportedOnBackend, match="crash_dir"):
        ActorSystem(backend="ray", crash_dir="here")
    assert system.actors() == [keeper]
    assert not any(tmp_path.iterdir())


def test_an_array_arrives_as_a_copy_that_may_be_changed(system):
    numpy = pytest.importorskip("numpy")
    keeper = system.spawn(Keeper)
    array = numpy.arange(1 << 18)
    keeper.tell(Keeper.keep, array)
    (found,) = keeper.ask(Keeper.take)
    found[0] = 7
    assert found.sum() == array.sum() + 7


def test_an_actor_has_a_pool_of_its_own(system):
    boss = system.spawn(Boss)
    large = [bytes([number]) * 200_000 for number in range(3)]
    assert boss.ask(Boss.work, large) == [(one[:1], len(one)) for one in large]
    assert boss.ask(Boss.fail, [1, 2, 3]) == [1, "ActorDied", 3]


class Boss(Actor):
    def work(self, data):
        with self.context.options(size=2).pool() as pool:
            echoed = list(pool.map(echo, data))
        return [(one[:1], len(one)) for one in echoed]

    def fail(self, numbers):
        with self.context.options(size=1).pool() as pool:
            found = list(pool.map(leave_at_two, numbers, on_error="collect"))
        return [type(one).__name__ if isinstance(one, Exception) else one for one in found]


def test_an_item_that_ends_its_worker_fails_alone_in_its_batch(system):
    with system.options(size=1).pool() as pool:
        found = list(pool.map(end_at_five, range(12), chunk=12, on_error="collect"))
    assert [at for at, one in enumerate(found) if isinstance(one, ActorDied)] == [5]
    assert [one for one in found if not isinstance(one, ActorDied)] == [*range(5), *range(6, 12)]


def end_at_five(number):
    if number == 5:
        os._exit(4)  # without an exception: Ray keeps nothing of such a process
    return number


def echo(data):
    return data


def leave_at_two(number):
    if number == 2:
        raise SystemExit(4)
    return number


def test_what_waits_behind_quick_messages_is_in_order_and_once(world):
    keeper, counter = world.system.spawn(Keeper), world.system.spawn(Counter)
    for number in range(300):
        keeper.tell(Keeper.keep, number)
    replies = [counter.submit(Counter.increment) for _ in range(100)]
    assert [reply.result() for reply in replies] == list(range(1, 101))
    world.crash(counter)
    assert counter.ask(Counter.get) == 0
    world.crash(keeper)
    for number in range(300, 320):
        keeper.tell(Keeper.keep, number)
    kept = keeper.ask(Keeper.take)
    letters = [one for one in world.system.dead_letters if one.handler == "Keeper.keep"]
    assert kept == sorted(set(kept))
    assert kept[-20:] == list(range(300, 320))
    assert len(letters) <= 16


def test_a_call_that_is_cancelled_on_its_way_ends_when_it_begins(world):
    sleeper = world.system.spawn(Sleeper)
    world.system.crash(sleeper)

    def sent_and_cancelled():
        reply = sleeper.submit(Sleeper.sleep, 300)
        return None if reply.cancel() else reply

    # The next life's process has it as soon as that is ordered, and is seconds from its first turn.
    reply = world.eventually(sent_and_cancelled, "a call that is handed over")
    with pytest.raises(HandlerCancelled):
        reply.result(SHORT_S)
    assert sleeper.ask(Sleeper.sleep, 0, "there") == "there"


class Divider(Actor):
    """Has a pool of its own."""

    def divide(self, items):
        with self.context.system.options(size=2).pool() as pool:
            return list(pool.map(_hang_at_two, items, chunk=4, timeout=0.5, on_error="collect"))


def _hang_at_two(number):
    if number == 2:
        time.sleep(1000)
    return number


def test_an_item_of_an_actors_own_pool_that_hangs_fails_alone(system):
    found = system.spawn(Divider).ask(Divider.divide, [0, 1, 2, 3])
    assert isinstance(found.pop(2), ItemTimeout)
    assert found == [0, 1, 3]
