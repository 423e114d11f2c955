"""What a system tells of itself: progress from handlers, however deep."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from time import monotonic

import pytest

from procactors import (
    Actor,
    ActorSystem,
    AsyncActorSystem,
    Crashed,
    DeadLettered,
    Event,
    GaveUp,
    MailboxOverflow,
    Overflow,
    Progress,
    Restarting,
    SlowHandler,
    Started,
    Stopped,
    current_context,
)
from procactors.errors import ActorDied, ActorStopped, ForeignProcess, MailboxFull
from procactors.wire.mailbox.black_box import LISTENED
from procactors.wire.transport import SUPERVISOR
from tests.support.actors import Relay, Sleeper
from tests.support.waiting import SHORT_S, aside, eventually


def count_to(total):
    """A plain function, of no actor in particular."""
    for done in range(total + 1):
        current_context().progress(done, total)
    return total


def report_from_a_copy(_):
    try:
        current_context().progress(1)
    except ForeignProcess:
        return "foreign"


class Worker(Actor):
    """Tells how far it is."""

    def on_start(self):
        self.context.progress(0)

    def work(self, total):
        for done in range(total + 1):
            self.context.progress(done, total)

    def tell(self, done, total=None):
        self.context.progress(done, total)

    def call(self, function, value):
        return function(value)

    def fork(self):
        with multiprocessing.get_context("fork").Pool(1) as pool:
            return pool.map(report_from_a_copy, [1])

    def is_listened_to(self):
        words = self.context.system._endpoint.words(SUPERVISOR)
        return bool(words[LISTENED])


@pytest.fixture
def seen(system):
    """What a subscriber of the system has seen."""
    seen = []
    with system.events.subscribe(seen.append, (Progress,)):
        yield seen


def last(seen):
    """Wait for the event that completes a total; return it."""
    return eventually(
        lambda: seen[-1] if seen and seen[-1].done == seen[-1].total else None, "the last step"
    )


@pytest.mark.methods
def test_progress_comes_with_source_handler_time_and_its_last_step(system, seen):
    before = monotonic()
    ref = system.options(name="w").spawn(Worker)
    ref.ask(Worker.work, 1000)
    event = last(seen)
    assert event == Progress(actor="w", time=event.time, done=1000, total=1000, what="Worker.work")
    assert before < event.time < monotonic()
    assert seen[0] == Progress(actor="w", time=seen[0].time, done=0)
    assert [one.time for one in seen] == sorted(one.time for one in seen)
    assert len(seen) < 1000


def test_a_plain_function_reports_for_the_actor_that_it_runs_in(system, seen):
    ref = system.options(name="w").spawn(Worker)
    ref.ask(Worker.call, count_to, 3)
    assert last(seen).actor == "w"


def test_a_bad_count_is_the_handlers_error(system):
    ref = system.spawn(Worker)
    with pytest.raises(ValueError, match="done is at most the total, 1, not 2"):
        ref.ask(Worker.tell, 2, 1)
    with pytest.raises(ValueError, match="whole number from 0 on, not 'all'"):
        ref.ask(Worker.tell, "all")


def test_while_nobody_listens_actors_know_it(system):
    ref = system.spawn(Worker)
    assert not ref.ask(Worker.is_listened_to)
    with system.events.subscribe(print, (Progress,)):
        assert ref.ask(Worker.is_listened_to)
        with system.events.subscribe(print, (Event,)):
            pass
        assert ref.ask(Worker.is_listened_to)
    assert not ref.ask(Worker.is_listened_to)


def test_a_forked_copy_of_an_actor_may_not_report_for_it(system, seen):
    assert system.spawn(Worker).ask(Worker.fork) == ["foreign"]


def test_a_loop_over_the_events_ends_with_the_system(start_method):
    with ActorSystem(start_method=start_method) as system:
        rest = aside(list, system.events.stream((Progress,)))
        ref = system.spawn(Worker)
        ref.ask(Worker.work, 10)
        ref.ask(Worker.work, 0)
    events = rest.result(SHORT_S)
    assert [(one.done, one.total) for one in events if one.done == one.total] == [(10, 10), (0, 0)]


class Mortal(Actor):
    """Dies in its handler, for a caller or for none."""

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def live(self):
        return os.getpid()


def kinds(events, actor):
    return [type(event) for event in events if event.actor == actor]


@pytest.mark.methods
def test_the_turns_of_a_life_come_in_order(start_method):
    with ActorSystem(start_method=start_method) as system:
        rest = aside(list, iter(system.events))
        ref = system.options(name="m", max_restarts=1).spawn(Mortal)
        pids = [ref.ask(Mortal.live)]
        with pytest.raises(ActorDied):
            ref.ask(Mortal.die)
        pids.append(ref.ask(Mortal.live))
        ref.tell(Mortal.die)
        ref.wait(SHORT_S)
    events = rest.result(SHORT_S)
    assert kinds(events, "m") == [
        Started,
        Crashed,
        Restarting,
        Started,
        Crashed,
        DeadLettered,
        GaveUp,
        Stopped,
    ]
    started, crashed, restarting, again, _, letter, gave_up, stopped = events
    assert [started.pid, again.pid] == pids
    assert [started.incarnation, crashed.incarnation, again.incarnation] == [1, 1, 2]
    assert crashed.report.handler == "Mortal.die"
    assert str(crashed.reason) == str(restarting.reason) == "ended by signal SIGKILL"
    assert (letter.handler, letter.killed) == ("Mortal.die", True)
    assert "allowed are 1" in gave_up.reason
    assert str(stopped.reason) == "ended by signal SIGKILL"
    assert [event.time for event in events] == sorted(event.time for event in events)


def test_what_is_left_in_a_mailbox_is_told_before_the_end(system, gate):
    stream = system.events.stream((DeadLettered, Stopped))
    ref = system.options(name="s").spawn(Sleeper)
    ref.submit(Sleeper.sleep, gate)
    gate.arrival()
    for _ in range(3):
        ref.tell(Sleeper.pid)
    ref.kill()
    events = [next(stream) for _ in range(4)]
    assert kinds(events, "s") == [DeadLettered] * 3 + [Stopped]
    assert [event.serial for event in events[:3]] == [one.serial for one in system.dead_letters]


def test_a_full_mailbox_is_told_of_by_whoever_meets_it(system, gate):
    stream = system.events.stream((MailboxOverflow,))
    ref = system.options(name="s", mailbox=1, overflow=Overflow.RAISE).spawn(Sleeper)
    relay = system.options(name="relay").spawn(Relay, ref)
    ref.submit(Sleeper.sleep, gate)
    gate.arrival()
    with pytest.raises(MailboxFull):
        for _ in range(10):
            ref.tell(Sleeper.pid)
    event = next(stream)
    assert (event.actor, event.sender, event.capacity) == ("s", "", 1)
    for _ in range(5):
        with pytest.raises(MailboxFull):
            relay.ask(Relay.tell, Sleeper.pid)
    event = next(stream)
    assert (event.actor, event.sender, event.capacity) == ("s", "relay", 1)
    gate.open()


def test_a_handler_that_takes_long_is_told_of(start_method, gate):
    with ActorSystem(start_method=start_method, slow_after=0.05) as system:
        ref = system.options(name="s").spawn(Sleeper)
        reply = ref.submit(Sleeper.sleep, gate)
        gate.arrival()
        stream = system.events.stream((SlowHandler,))  # the handler was there before
        event = next(stream)
        assert (event.actor, event.handler, event.incarnation) == ("s", "Sleeper.sleep", 1)
        assert event.busy_s >= 0.05
        gate.open()
        reply.result(SHORT_S)


def test_an_event_loop_gets_them_until_the_system_ends():
    async def program():
        async with AsyncActorSystem() as system:
            stream = system.events.stream((Started, Stopped))
            everything = asyncio.create_task(collect(aiter(system.events)))
            ref = await system.options(name="m").spawn(Mortal)
            assert type(await anext(stream)) is Started
            await ref.stop()
            assert type(await anext(stream)) is Stopped
            left = asyncio.create_task(anext(stream))
            await asyncio.sleep(0)
            stream.close()
            with pytest.raises(StopAsyncIteration):
                await left
        return await everything

    async def collect(stream):
        return [event async for event in stream]

    assert kinds(asyncio.run(program()), "m") == [Started, Stopped]


def test_a_loop_that_is_slow_loses_the_oldest_and_no_other():
    async def program():
        async with AsyncActorSystem() as system:
            stream = system.events.stream((Progress,), bound=3)
            for done in range(10):
                system.sync.events.publish(Progress(actor="w", done=done))
            assert [(await anext(stream)).done for _ in range(3)] == [7, 8, 9]
            assert stream.dropped == 7
            waits = asyncio.create_task(anext(stream))
            await asyncio.sleep(0)
            waits.cancel()  # loses nothing
            await asyncio.wait([waits])
            system.sync.events.publish(Progress(actor="w", done=10))
            assert (await anext(stream)).done == 10
            del stream, waits
            assert not system.sync.events.is_listened

    asyncio.run(program())


def test_the_async_half_may_subscribe_a_callback():
    async def program():
        seen = []
        async with AsyncActorSystem() as system:
            with system.events.subscribe(seen.append, (Started,)):
                await system.options(name="m").spawn(Mortal)
                await asyncio.to_thread(eventually, lambda: seen, "the event")
        with pytest.raises(ActorStopped):
            system.events.subscribe(seen.append)
        assert [event async for event in system.events] == []
        return seen

    assert kinds(asyncio.run(program()), "m") == [Started]
