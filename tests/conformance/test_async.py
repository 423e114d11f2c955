"""Actors with coroutines, and programs with an event loop, on each backend."""

from __future__ import annotations

import asyncio

import pytest

from procactors import Actor, AsyncActorSystem, Started, Stopped
from procactors.errors import ActorDied, AskTimeout, HandlerCancelled, MailboxFull
from procactors.model.choices import Overflow
from tests.conformance.actors import Counter, Keeper, Watcher


class Sleeper(Actor):
    """Awaits."""

    def __init__(self, keeper=None, counter=None):
        self.keeper = keeper
        self.counter = counter
        self.at_once = self.most = 0

    async def on_start(self):
        await asyncio.sleep(0.01)
        await self.note("start")

    async def on_stop(self, reason):
        await asyncio.sleep(0.01)
        await self.note(f"stop {reason.kind.value}")

    async def on_terminated(self, event):
        await self.note(f"terminated {event.ref.name}")

    async def note(self, what):
        if self.keeper is not None:
            await self.keeper.aio.tell(Keeper.keep, what)

    async def sleep(self, seconds, what=None):
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            await self.note("cancelled")
            raise
        finally:
            self.at_once -= 1
        return what

    async def forever(self):
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.note("cancelled")

    def together(self):
        return self.most

    async def fail(self):
        await asyncio.sleep(0.01)
        raise ValueError("on purpose")

    async def count_by(self, by):
        return await self.counter.aio.ask(Counter.increment, by)

    async def count_aside(self, by):
        return await asyncio.to_thread(self.counter.ask, Counter.increment, by)

    async def begin(self, name):
        child = await self.context.options(name=name).aio.spawn(Counter)
        self.context.watch(child.sync)
        await child.stop()
        return await child.is_alive()

    async def again(self, seconds):
        self.timer = self.context.every(seconds, Sleeper.tick)

    async def tick(self):
        await asyncio.sleep(0.01)
        await self.note("tick")

    async def items(self, count):
        try:
            for number in range(count):
                await asyncio.sleep(0.001)
                yield number
        finally:
            await self.note("closed")

    async def sum_of(self, other, count):
        return sum([number async for number in other.stream(Sleeper.items, count)])

    async def know(self, other):
        self.other = other

    async def through(self):
        return await self.other.aio.ask(Sleeper.sleep, 0.01, "through")

    async def and_back(self):
        return await self.other.aio.ask(Sleeper.through)


class Lister(Actor):
    """Has no other coroutine than a generator."""

    async def items(self, count):
        for number in range(count):
            await asyncio.sleep(0.001)
            yield number


def test_one_message_at_a_time_is_in_hand_or_as_many_as_the_options_say(system):
    one = system.spawn(Sleeper)
    many = system.options(max_concurrency=4).spawn(Sleeper)
    for actor, most in ((one, 1), (many, 4)):
        replies = [actor.submit(Sleeper.sleep, 0.05, number) for number in range(4)]
        assert [reply.result() for reply in replies] == [0, 1, 2, 3]
        assert actor.ask(Sleeper.together) == most


@pytest.mark.sample
def test_hooks_are_awaited_and_what_a_handler_raises_is_its_callers(world):
    keeper = world.system.spawn(Keeper)
    sleeper = world.system.spawn(Sleeper, keeper)
    with pytest.raises(ValueError, match="on purpose"):
        sleeper.ask(Sleeper.fail)
    assert sleeper.ask(Sleeper.begin, "child") is False
    world.eventually(lambda: "terminated child" in keeper.ask(Keeper.take), "the hook")
    sleeper.stop()
    assert keeper.ask(Keeper.take) == ["start", "terminated child", "stop stopped"]


def test_a_tell_that_raises_ends_the_life_and_what_awaits_beside_it_is_answered(world):
    sleeper = world.system.options(max_concurrency=2).spawn(Sleeper)
    beside = sleeper.submit(Sleeper.sleep, 300)
    sleeper.tell(Sleeper.fail)
    with pytest.raises(ActorDied, match="on purpose"):
        beside.result()
    world.eventually(lambda: sleeper.status().incarnation == 2, "the second life")
    assert sleeper.ask(Sleeper.sleep, 0.01, "again") == "again"


@pytest.mark.sample
def test_a_handler_that_awaits_is_cancelled_with_its_call(world):
    keeper = world.system.spawn(Keeper)
    sleeper = world.system.spawn(Sleeper, keeper)
    reply = sleeper.submit(Sleeper.sleep, 300)
    world.eventually(lambda: sleeper.status().in_hand, "the handler")
    assert reply.cancel() is False  # it has begun
    with pytest.raises(HandlerCancelled):
        reply.result()
    assert "cancelled" in keeper.ask(Keeper.take)
    assert sleeper.ask(Sleeper.sleep, 0, "there") == "there"


def test_a_crash_ends_what_awaits_and_the_next_life_serves(world):
    sleeper = world.system.spawn(Sleeper)
    reply = sleeper.submit(Sleeper.sleep, 300)
    world.eventually(lambda: sleeper.status().in_hand, "the handler")
    world.crash(sleeper)
    with pytest.raises(ActorDied):
        reply.result()
    assert sleeper.ask(Sleeper.sleep, 0.01, "there") == "there"


@pytest.mark.sample
def test_an_asynchronous_generator_streams_until_its_reader_leaves(world):
    keeper = world.system.spawn(Keeper)
    sleeper = world.system.options(max_concurrency=2).spawn(Sleeper, keeper)
    assert list(sleeper.stream(Sleeper.items, 3)) == [0, 1, 2]
    with sleeper.options(buffer=2).stream(Sleeper.items, 1 << 30) as stream:
        assert [next(stream) for _ in range(3)] == [0, 1, 2]
    world.eventually(lambda: keeper.ask(Keeper.take)[1:] == ["closed"] * 2, "the end of both")
    assert world.system.spawn(Sleeper).ask(Sleeper.sum_of, sleeper, 5) == 10
    assert list(world.system.spawn(Lister).stream(Lister.items, 3)) == [0, 1, 2]


def test_timers_await_too(world):
    keeper = world.system.spawn(Keeper)
    sleeper = world.system.spawn(Sleeper, keeper)
    sleeper.ask(Sleeper.again, 0.02)
    world.eventually(lambda: keeper.ask(Keeper.take).count("tick") >= 2, "two ticks")


def test_actors_that_await_each_other_go_on_meanwhile(system):
    one, two = (system.options(max_concurrency=2).spawn(Sleeper) for _ in range(2))
    one.ask(Sleeper.know, two)
    two.ask(Sleeper.know, one)
    assert one.ask(Sleeper.and_back) == "through"  # one, two, and one again


def test_an_actor_asks_others_beside_its_loop(system):
    sleeper = system.options(max_concurrency=2).spawn(Sleeper, None, system.spawn(Counter))
    assert sleeper.ask(Sleeper.count_by, 2) == 2
    assert sleeper.ask(Sleeper.count_aside, 3) == 5


# -- programs with an event loop ------------------------------------------------------------------


def run(backend, program):
    async def main():
        async with AsyncActorSystem(backend=backend) as system:
            return await asyncio.wait_for(program(system), 60)

    return asyncio.run(main())


@pytest.mark.sample
def test_a_program_awaits_what_it_asks(backend):
    async def program(system):
        counter = await system.options(name="counter").spawn(Counter)
        assert await counter.ask(Counter.increment) == 1
        await counter.tell(Counter.increment, 2)
        assert await asyncio.gather(*(counter.ask(Counter.get) for _ in range(40))) == [3] * 40
        reply = counter.submit(Counter.increment)
        assert await reply == 4
        assert await reply == 4
        with pytest.raises(ValueError, match="on purpose"):
            await counter.ask(Counter.fail)
        assert (await system.find("counter")) == counter
        assert not (await counter.stop()).is_abnormal
        assert not await counter.is_alive()

    run(backend, program)


def test_what_a_program_waits_for_too_long_is_given_up(backend):
    async def program(system):
        sleeper = await system.options(max_concurrency=3).spawn(Sleeper)
        with pytest.raises(AskTimeout):
            await sleeper.options(timeout=0.2).ask(Sleeper.sleep, 300)
        waits = asyncio.ensure_future(sleeper.ask(Sleeper.sleep, 300))
        for _ in range(20):
            await asyncio.sleep(0)
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        await sleeper.kill()
        sleeper = await system.spawn(Sleeper)
        assert await sleeper.ask(Sleeper.sleep, 0, "there") == "there"

    run(backend, program)


def test_one_task_brings_what_another_awaits(backend):
    async def program(system):
        keeper = await system.spawn(Keeper)
        bounded = await system.options(mailbox=1, overflow=Overflow.RAISE).spawn(Keeper)
        with pytest.raises(MailboxFull):
            for number in range(1000):
                await bounded.tell(Keeper.keep, number)

        async def wait():
            while "sent" not in await keeper.ask(Keeper.take):
                pass
            return "seen"

        waits = asyncio.ensure_future(wait())
        await asyncio.sleep(0.01)
        await keeper.tell(Keeper.keep, "sent")
        assert await waits == "seen"

    run(backend, program)


def test_a_full_mailbox_has_a_task_wait_for_a_place(backend):
    async def program(system):
        keeper = await system.options(mailbox=2).spawn(Keeper)
        await asyncio.gather(*(keeper.tell(Keeper.keep, number) for number in range(50)))
        await keeper.tell_many(Keeper.keep, [(number,) for number in range(50, 60)])
        assert await keeper.ask(Keeper.take) == list(range(60))

    run(backend, program)


def test_a_program_reads_streams_and_events_in_its_loop(backend):
    async def program(system):
        seen = system.events.stream([Started, Stopped])
        sleeper = await system.options(name="sleeper").spawn(Sleeper)
        assert [number async for number in sleeper.stream(Sleeper.items, 5)] == list(range(5))
        async for number in sleeper.stream(Sleeper.items, 1 << 30):
            if number == 3:
                break
        await sleeper.stop()
        kinds = [type(await anext(seen)).__name__ for _ in range(2)]
        assert kinds == ["Started", "Stopped"]

    run(backend, program)


@pytest.mark.sample
def test_a_pool_works_for_tasks(backend):
    async def program(system):
        async with system.options(size=2).pool(Counter) as pool:
            assert await pool.ask(Counter.increment) == 1
            assert sorted(await pool.gather(Counter.increment)) == [1, 2]
            assert await pool.first(Counter.name)
        async with system.options(size=2).pool() as pool:
            assert [one async for one in pool.map(abs, range(-300, 0))] == list(range(300, 0, -1))
            async for one in pool.map(abs, range(-300, 0)):
                assert one == 300
                break

    run(backend, program)


def test_a_watcher_hears_of_an_end_that_a_program_awaits(backend):
    async def program(system):
        watcher = await system.spawn(Watcher)
        counter = await system.options(name="counter").spawn(Counter)
        await watcher.ask(Watcher.watch, counter.sync)
        await counter.stop()
        while not (heard := await watcher.ask(Watcher.take)):
            pass
        assert heard == [("terminated", "counter", "stopped")]

    run(backend, program)


class Slow(Actor):
    """Gives items, and hands large messages on."""

    def __init__(self, other=None):
        self.other = other

    def rows(self, count):
        yield from range(count)

    async def items(self, count):
        for number in range(count):
            yield number

    async def hold(self, seconds):
        await asyncio.sleep(seconds)

    async def work(self, thing):
        self.context.forward(self.other)

    async def size(self, thing):
        return len(thing)


class Sizer(Actor):
    def work(self, thing):
        return len(thing)


@pytest.mark.parametrize("most", [1, 4])
def test_what_is_handed_on_takes_its_payload_along(system, most):
    slow = system.options(max_concurrency=most).spawn(Slow, system.spawn(Sizer))
    assert slow.ask(Slow.work, b"x" * 200_000) == 200_000
    assert slow.ask(Slow.size, b"x" * 200_000) == 200_000


def test_tasks_share_a_stream_and_a_full_mailbox_holds_no_loop(backend):
    async def program(system):
        slow = await system.options(mailbox=1).spawn(Slow)
        held = slow.submit(Slow.hold, 0.1)
        streams = [slow.stream(Slow.items, 20) for _ in range(3)]
        await held
        for stream in streams:

            async def read(stream):
                return [number async for number in stream]

            parts = await asyncio.gather(read(stream), read(stream))
            assert sorted(parts[0] + parts[1]) == list(range(20))

    run(backend, program)


def _is_resting(ref):
    return [message.busy_s for message in ref.status().in_hand] == [0.0]


@pytest.mark.sample
def test_a_slow_reader_is_no_hang_of_its_producer(world):
    options = world.system.options(handle_timeout=1.0 if world.backend == "inline" else 60.0)
    both = [options.spawn(Slow).options(buffer=2) for _ in range(2)]
    streams = [both[0].stream(Slow.items, 10), both[1].stream(Slow.rows, 10)]
    assert [next(stream) for stream in streams] == [0, 0]
    if world.backend == "inline":
        world.system.clock.advance(1.4)  # longer than a handler may take
    else:  # no time counts, so it needs none
        world.eventually(lambda: all(map(_is_resting, both)), "the wait for the reader")
    assert [list(stream) for stream in streams] == [list(range(1, 10))] * 2
    assert [slow.status().incarnation for slow in both] == [1, 1]


class Leaves(Actor):
    """Says that it leaves when it does already."""

    async def greet(self):
        return "hello"

    async def on_stop(self, reason):
        self.context.stop()
        await asyncio.sleep(0.01)


def test_an_orderly_end_is_one_whatever_has_the_loop_look_meanwhile(system):
    leaves = system.spawn(Leaves)
    assert leaves.ask(Leaves.greet) == "hello"
    leaves.stop()
    status = leaves.status()
    assert (status.state, status.last_crash) == ("stopped", None)
