"""Metrics: what is handled is counted for its method, and any process of the user can read it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from procactors import (
    Actor,
    ActorSystem,
    Checkpoint,
    Overflow,
    Recycle,
    Supervisor,
    metrics,
    spec,
)
from procactors.errors import ActorStopped, AskTimeout, InvalidSpec
from procactors.metrics import snapshot, snapshot_of
from tests.support.actors import Counter, Increment, MessageCounter
from tests.support.programs import environment
from tests.support.waiting import LONG_S, eventually


class Busy(Actor):
    """Handlers of all kinds."""

    def __init__(self):
        self.kept = []

    def ok(self, *_):
        return None

    def fail(self):
        raise ValueError("as it should")

    def hold(self, gate):
        gate.wait()

    def rows(self, count):
        yield from range(count)

    def put_aside(self):
        if self.context.deliveries == 1 and not self.kept:
            self.kept.append(1)
            self.context.stash()

    def go_on(self):
        self.context.unstash_all()

    def later(self):
        self.kept.append(self.context.reply_later())

    def answer(self):
        self.kept.pop().send("late")

    def ask_other(self, other):
        return other.ask(Counter.increment)

    def look(self):
        return snapshot(self.context.system)

    def pid(self):
        return os.getpid()


class Async(Actor):
    async def quick(self):
        return 1

    def plain(self):
        return 2

    async def rows(self, count):
        for number in range(count):
            yield number


class Kept(Counter):
    def snapshot(self):
        return self.value

    def restore(self, value):
        self.value = value


def double(number):
    return 2 * number


def counted(system, name, method):
    """Return what an actor has counted of a method; 0 if nothing."""
    actor = snapshot(system).actor(name)
    found = actor.method(method) if actor is not None else None
    return found.handled if found is not None else 0


def in_the_end(system, name, method, count):
    """Wait until that many are counted: an answer goes out before its message is stepped behind."""
    eventually(
        lambda: counted(system, name, method) == count, f"{method} to be counted {count} times"
    )


@pytest.mark.methods
def test_each_message_is_counted_for_its_method(system):
    ref = system.options(name="one").spawn(Counter)
    for _ in range(3):
        ref.ask(Counter.increment)
        ref.tell(Counter.increment)
    ref.tell_many(Counter.increment, [(1,)] * 500)
    for reply in [ref.submit(Counter.get_value) for _ in range(20)]:
        reply.result()
    in_the_end(system, "one", "get_value", 20)
    (actor,) = snapshot(system).actors
    assert {method.name: method.handled for method in actor.methods} == {
        "Counter.increment": 506,
        "Counter.get_value": 20,
    }
    assert (actor.handled, actor.class_name, actor.group) == (526, "Counter", "one")
    assert actor.pid == ref.status().pid
    assert actor.handled == ref.status().handled


def test_what_raises_is_an_error_of_its_method(system):
    ref = system.options(name="one").spawn(Busy)
    for _ in range(4):
        with pytest.raises(ValueError, match="as it should"):
            ref.ask(Busy.fail)
    ref.ask(Busy.ok)
    in_the_end(system, "one", "ok", 1)
    actor = snapshot(system).actor("one")
    assert (actor.method("fail").handled, actor.method("fail").errors) == (4, 4)
    assert actor.method("ok").errors == 0


def test_a_handlers_time_and_its_callers_are_what_a_clock_says(system, gate):
    ref = system.options(name="one").spawn(Busy)
    first = ref.submit(Busy.hold, gate)
    gate.arrival()
    waiting = ref.submit(Busy.ok)
    eventually(lambda: ref.status().busy_s > 0.2, "the handler to have been at it for a while")
    assert snapshot(system).actor("one").mailbox == 1
    gate.open()
    first.result(), waiting.result()
    in_the_end(system, "one", "ok", 1)
    found = snapshot(system)
    actor = found.actor("one")
    assert actor.mailbox == 0
    assert actor.method("hold").handling.mean > 0.2
    assert actor.method("hold").handling.quantile(0.5) > 0.16  # of its column
    assert actor.method("ok").waiting.count == 1
    assert 0 < actor.method("ok").waiting.sum_s < actor.method("hold").handling.sum_s + 1
    assert found.round_trip("hold").sum_s > actor.method("hold").handling.sum_s * 0.99
    assert found.round_trip("ok").count == 1


def test_round_trips_are_by_the_actor_that_asks(system):
    counter = system.options(name="asked").spawn(Counter)
    ref = system.options(name="asker").spawn(Busy)
    ref.ask(Busy.ask_other, counter)
    counter.ask(Counter.increment)
    calls = {(call.caller, call.method): call.round_trip for call in snapshot(system).calls}
    assert set(calls) == {
        ("asker", "Counter.increment"),
        ("", "Busy.ask_other"),
        ("", "Counter.increment"),
    }
    assert all(0 < trip.sum_s < LONG_S for trip in calls.values())


def test_messages_as_values_are_counted_as_receive(system):
    ref = system.options(name="one").spawn(MessageCounter)
    for _ in range(5):
        ref.tell(Increment(2))
    in_the_end(system, "one", "receive", 5)


def test_the_items_of_streams_and_of_batches_are_counted(system):
    ref = system.options(name="one").spawn(Busy)
    for count in (10, 1000):
        assert len(list(ref.stream(Busy.rows, count))) == count
    in_the_end(system, "one", "rows", 2)
    assert snapshot(system).actor("one").method("rows").items == 1010
    with system.options(size=2).pool() as pool:
        assert sum(pool.map(double, range(5000))) == 2 * sum(range(5000))
        found = eventually(
            lambda: next((g for g in snapshot(system).groups() if g.name == "worker-pool-*"), None),
            "the workers' group",
        )
        assert found.actors == 2
    method = snapshot(system).method("double")
    assert method.items == 5000
    assert 0 < method.handled < 5000


@pytest.mark.parametrize("concurrency", [1, 4])
def test_handlers_that_await_are_counted_too(system, concurrency):
    ref = system.options(name="one", max_concurrency=concurrency).spawn(Async)
    for reply in [ref.submit(Async.quick) for _ in range(30)]:
        assert reply.result() == 1
    for _ in range(5):
        assert ref.ask(Async.plain) == 2
    assert list(ref.stream(Async.rows, 100)) == list(range(100))
    in_the_end(system, "one", "rows", 1)
    in_the_end(system, "one", "quick", 30)
    actor = snapshot(system).actor("one")
    assert actor.method("plain").handled == 5
    assert actor.method("rows").items == 100
    assert actor.method("quick").waiting.count > 0
    assert sum(method.handled for method in actor.methods) == actor.handled


def test_what_takes_another_way_is_counted_once(system):
    ref = system.options(name="one").spawn(Busy)
    aside = ref.submit(Busy.put_aside)
    ref.ask(Busy.ok)
    assert counted(system, "one", "put_aside") == 0
    ref.ask(Busy.go_on)
    aside.result()
    late = ref.submit(Busy.later)
    ref.ask(Busy.answer)
    assert late.result() == "late"
    for method, count in (("put_aside", 1), ("later", 1), ("answer", 1), ("go_on", 1), ("ok", 1)):
        in_the_end(system, "one", method, count)
    actor = snapshot(system).actor("one")
    assert sum(method.handled for method in actor.methods) == actor.handled == 5


@pytest.mark.parametrize(
    "options",
    [
        {"mailbox": 10},
        {"recycle_after": Recycle(messages=7)},
        {"checkpoint": Checkpoint(messages=3)},
    ],
    ids=["bounded", "recycled", "checkpoints"],
)
def test_options_that_stand_before_the_mailbox_change_no_count(system, options):
    ref = system.options(name="one", **options).spawn(Kept)
    for _ in range(30):
        ref.tell(Counter.increment)
    ref.ask(Counter.get_value)
    in_the_end(system, "one", "get_value", 1)
    assert counted(system, "one", "increment") == 30


def test_what_expires_or_is_cancelled_is_no_methods(system, gate):
    ref = system.options(name="one").spawn(Busy)
    held = ref.submit(Busy.hold, gate)
    gate.arrival()
    with pytest.raises(AskTimeout):
        ref.options(timeout=0.01).ask(Busy.ok)
    waiting = ref.submit(Busy.ok)
    assert waiting.cancel()
    gate.open()
    held.result()
    ref.ask(Busy.pid)
    in_the_end(system, "one", "pid", 1)
    actor = snapshot(system).actor("one")
    assert {method.name: method.handled for method in actor.methods} == {
        "Busy.hold": 1,
        "Busy.pid": 1,
    }
    assert actor.expired == 1


@pytest.mark.methods
def test_counts_survive_the_process_that_made_them(system):
    ref = system.options(name="one").spawn(Busy)
    ref.tell_many(Busy.ok, [()] * 300)
    pid = ref.ask(Busy.pid)
    os.kill(pid, signal.SIGKILL)
    ref.tell_many(Busy.ok, [()] * 300)
    assert ref.ask(Busy.pid) != pid
    # An answer goes out before its message is stepped behind; the first life may have died there.
    eventually(
        lambda: counted(system, "one", "pid") == ref.status().handled - 600, "all to be counted"
    )
    actor = snapshot(system).actor("one")
    assert actor.incarnation == 2
    assert actor.method("ok").handled == 600
    assert sum(method.handled for method in actor.methods) == actor.handled


def test_counts_of_a_group_never_go_down(system):
    seen = 0
    for number in range(1, 6):
        ref = system.spawn(Counter)
        ref.ask(Counter.increment)
        ref.ask(Counter.increment)
        eventually(lambda: snapshot(system).actors[0].handled == 2, "both to be stepped behind")
        if number % 2:
            ref.stop()
        else:
            os.kill(ref.status().pid, signal.SIGKILL)
            ref.ask(Counter.get_value)
            ref.kill()
        eventually(lambda: not snapshot(system).actors, "the actor to be gone")
        (group,) = snapshot(system).groups()
        assert (group.name, group.actors) == ("counter-*", 0)
        assert group.method("increment").handled == 2 * number
        total = sum(method.handled for method in group.methods)
        assert total > seen
        seen = total
        assert group.restarts == number // 2


def test_dead_letters_are_counted(system, gate):
    ref = system.options(name="one", mailbox=1, overflow=Overflow.DROP).spawn(Busy)
    ref.tell(Busy.hold, gate)
    gate.arrival()
    for _ in range(6):
        ref.tell(Busy.ok)
    eventually(lambda: snapshot(system).dead_letters == 6, "six that had no place")
    assert len(system.dead_letters) == 6
    gate.open()


def test_without_metrics_nothing_is_counted(start_method):
    with ActorSystem(start_method=start_method, metrics=False) as system:
        ref = system.options(name="one").spawn(Counter)
        for _ in range(10):
            ref.ask(Counter.increment)
            ref.tell(Counter.increment)
        eventually(lambda: ref.status().handled == 20, "all to be handled")
        actor = snapshot(system).actors[0]
        assert (actor.handled, actor.methods, snapshot(system).calls) == (20, (), ())
        assert not {"metrics", "trips"} & set(os.listdir(f"{snapshot(system).path}/actors/1"))


def test_metrics_is_yes_or_no():
    with pytest.raises(InvalidSpec, match="metrics is True or False"):
        ActorSystem(metrics="yes")


def test_an_actor_reads_its_own_system(system):
    ref = system.options(name="one").spawn(Busy)
    ref.ask(Busy.ok)
    found = ref.ask(Busy.look)
    assert found.actor("one").method("ok").handled == 1


READER = """
import sys
from procactors.metrics import snapshot_of
found = snapshot_of(sys.argv[1])
print(found.actor("one").method("increment").handled, found.actor("one").handled)
"""


def test_another_process_reads_it_though_the_actor_is_stopped(system):
    """By a signal: nobody there answers anything."""
    ref = system.options(name="one").spawn(Counter)
    for _ in range(10):
        ref.ask(Counter.increment)
    in_the_end(system, "one", "increment", 10)
    pid = ref.status().pid
    os.kill(pid, signal.SIGSTOP)
    try:
        done = subprocess.run(
            [sys.executable, "-c", READER, snapshot(system).path],
            capture_output=True,
            text=True,
            check=True,
            timeout=LONG_S,
            env=environment(),
        )
    finally:
        os.kill(pid, signal.SIGCONT)
    assert done.stdout.split() == ["10", "10"]


def test_a_system_that_has_stopped_has_no_metrics(start_method):
    with ActorSystem(start_method=start_method) as system:
        path = snapshot(system).path
    for read in (lambda: snapshot(system), lambda: snapshot_of(path)):
        with pytest.raises(ActorStopped, match="no running system"):
            read()
    with pytest.raises(TypeError, match="expected an actor system"):
        snapshot(object())


def test_the_actors_of_a_tree_are_counted_as_others_are(system):
    """The specs' blueprints lie beside the actors' folders."""
    system.supervise(Supervisor(spec(Counter).options(name="leaf")))
    system["leaf"].ask(Counter.increment)
    eventually(lambda: snapshot(system).actor("leaf").handled == 1, "it to be counted")


def test_a_directory_that_others_may_enter_is_refused(tmp_path):
    os.chmod(tmp_path, 0o755)
    with pytest.raises(PermissionError):
        snapshot_of(tmp_path)


def test_beyond_its_rows_the_methods_of_an_actor_are_others(system):
    names = [f"m{number}" for number in range(70)]
    cls = type("Many", (Actor,), {name: _named(name) for name in names})
    ref = system.options(name="one").spawn(cls)
    for name in names:
        getattr(ref.proxy(), name)()
    eventually(lambda: snapshot(system).actor("one").handled == 70, "all to be counted")
    methods = snapshot(system).actor("one").methods
    assert sum(method.handled for method in methods) == 70
    assert len(methods) == 64
    assert snapshot(system).actor("one").method("other").handled == 7


def _named(name):
    def method(self):
        return name

    method.__name__, method.__qualname__ = name, f"Many.{name}"
    return method


def test_the_parts_are_what_the_package_offers():
    assert set(metrics.__all__) <= set(dir(metrics))
    for name in metrics.__all__:
        assert getattr(metrics, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = metrics.nothing
