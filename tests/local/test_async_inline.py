"""Coroutines in a deterministic system: its own time, and an order that is drawn from the seed."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import textwrap
import time

import pytest

from procactors import Actor, ActorSystem, AsyncActorSystem
from procactors.errors import AskTimeout, UnsupportedOnBackend
from procactors.testing import explore
from tests.conformance.actors import Counter, Keeper
from tests.conformance.test_async import Sleeper
from tests.support.lost_update import Store


class Incrementer(Actor):
    def __init__(self, store):
        self.store = store

    async def increment(self):
        value = await self.store.aio.ask(Store.get)
        await self.store.aio.tell(Store.set, value + 1)


class Outsider(Actor):
    """Does what has to do with the machine."""

    async def connect(self):
        await asyncio.open_connection("127.0.0.1", 9)

    async def run(self):
        await asyncio.create_subprocess_exec("true")

    async def wait_for_nothing(self):
        await asyncio.get_running_loop().create_future()

    async def aside(self, function, *args):
        return await asyncio.to_thread(function, *args)

    async def clean_up(self, keeper):
        try:
            await asyncio.sleep(300)
        finally:
            await keeper.aio.tell(Keeper.keep, "by the dead")


class Plain(Actor):
    """Runs an event loop of its own in a handler."""

    def __init__(self, counter):
        self.counter = counter

    def count(self, times):
        async def count():
            asks = [self.counter.aio.ask(Counter.increment) for _ in range(times)]
            return await asyncio.gather(*asks)

        return asyncio.run(count())


def test_an_hour_awaited_takes_no_time():
    began = time.monotonic()
    with ActorSystem(backend="inline") as system:
        sleeper = system.options(max_concurrency=2).spawn(Sleeper)
        naps = [sleeper.submit(Sleeper.sleep, hours * 3600, hours) for hours in (2, 1)]
        assert naps[1].result() == 1
        assert system.clock.now == pytest.approx(3600, abs=1)
        assert not naps[0].done()
        assert naps[0].result() == 2
    assert time.monotonic() - began < 60


def test_a_race_of_two_actors_that_await_is_found():
    def program(system):
        store = system.spawn(Store)
        both = [system.spawn(Incrementer, store) for _ in range(2)]
        for reply in [one.submit(Incrementer.increment) for one in both]:
            reply.result()
        assert store.ask(Store.get) == 2, "an update is lost"

    with pytest.raises(AssertionError, match="an update is lost") as found:
        explore(program, seeds=1000)
    with pytest.raises(AssertionError) as again:
        explore(program, seeds=[found.value.seed])
    assert again.value.history == found.value.history


def test_what_the_machine_brings_is_refused():
    with ActorSystem(backend="inline") as system:
        outsider = system.spawn(Outsider)
        for method in (Outsider.connect, Outsider.run):
            with pytest.raises(UnsupportedOnBackend, match="sockets, pipes and processes"):
                outsider.ask(method)


def test_a_call_beside_the_loop_has_its_turn_and_its_errors():
    with ActorSystem(backend="inline") as system:
        outsider = system.options(max_concurrency=2).spawn(Outsider)
        assert outsider.ask(Outsider.aside, max, 2, 3) == 3
        with pytest.raises(ZeroDivisionError):
            outsider.ask(Outsider.aside, divmod, 1, 0)


def test_what_never_comes_is_an_error_of_the_latest_that_awaits_it():
    with ActorSystem(backend="inline") as system:
        outsider = system.spawn(Outsider)
        with pytest.raises(AskTimeout, match="will never come"):
            outsider.ask(Outsider.wait_for_nothing)

    async def program():
        async with AsyncActorSystem(backend="inline") as system:
            outsider = await system.options(max_concurrency=2).spawn(Outsider)
            first = asyncio.ensure_future(outsider.ask(Outsider.wait_for_nothing))
            with pytest.raises(AskTimeout, match="will never come"):
                await outsider.ask(Outsider.wait_for_nothing)
            first.cancel()

    asyncio.run(program())


def test_a_task_that_may_still_send_is_waited_for():
    async def program():
        async with AsyncActorSystem(backend="inline") as system:
            sleeper = await system.options(max_concurrency=2).spawn(Sleeper)
            keeper = await system.spawn(Keeper)
            await sleeper.ask(Sleeper.know, keeper.sync)
            reply = keeper.submit(Keeper.sleep)  # answered by nobody, as far as anyone knows
            waits = asyncio.ensure_future(_outcome(reply))
            await asyncio.sleep(0.05)  # the machine's time
            assert not waits.done()
            await keeper.kill()
            assert "killed" in await waits

    async def _outcome(reply):
        try:
            return await reply
        except Exception as error:
            return str(error)

    asyncio.run(program())


def test_two_systems_and_one_of_threads_share_a_loop():
    async def program():
        async with AsyncActorSystem(backend="inline") as one:
            async with AsyncActorSystem(backend="inline") as two:
                async with AsyncActorSystem(backend="threads") as three:
                    counters = [await system.spawn(Counter) for system in (one, two, three)]
                    for _ in range(3):
                        await asyncio.gather(*(ref.ask(Counter.increment) for ref in counters))
                    assert [await ref.ask(Counter.get) for ref in counters] == [3, 3, 3]
                    sleeper = await one.spawn(Sleeper)
                    await sleeper.ask(Sleeper.sleep, 3600)
                    assert one.sync.clock.now == pytest.approx(3600, abs=1)

    asyncio.run(program())


def test_a_plain_handler_may_run_a_loop_of_its_own():
    with ActorSystem(backend="inline") as system:
        plain = system.spawn(Plain, system.spawn(Counter))
        assert plain.ask(Plain.count, 3) == [1, 2, 3]


def test_the_loop_of_the_program_is_not_the_systems_time():
    async def program():
        async with AsyncActorSystem(backend="inline") as system:
            sleeper = await system.spawn(Sleeper)
            waits = asyncio.ensure_future(sleeper.ask(Sleeper.sleep, 3600))
            for _ in range(50):  # as long as another task goes on, no time passes
                await asyncio.sleep(0)
            assert system.sync.clock.now < 1
            await waits
            assert await system.wait(3600) is False
            assert system.sync.clock.now == pytest.approx(7200, abs=1)

    asyncio.run(program())


@pytest.mark.parametrize("backend", ["inline", "threads"])
def test_what_awaits_in_a_life_that_is_killed_has_no_effect_and_says_nothing(backend, caplog):
    with caplog.at_level(logging.WARNING, "asyncio"), ActorSystem(backend=backend) as system:
        keeper = system.spawn(Keeper)
        outsider = system.options(max_concurrency=4).spawn(Outsider)
        replies = [outsider.submit(Outsider.clean_up, keeper) for _ in range(3)]
        while len(outsider.status().in_hand) < 3:
            pass
        system.crash(outsider)
        for reply in replies:
            assert reply.exception() is not None
        assert outsider.ask(Outsider.aside, max, 1, 2) == 2
        assert keeper.ask(Keeper.take) == []
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]


PROGRAM = textwrap.dedent(
    """
    import asyncio
    from procactors import Actor, ActorSystem


    class Hub(Actor):
        def __init__(self):
            self.seen = []

        def note(self, what):
            self.seen.append(what)

        def take(self):
            return self.seen


    class Node(Actor):
        def __init__(self, hub, number):
            self.hub, self.number = hub, number

        def know(self, others):
            self.others = others

        async def on_stop(self, reason):
            await self.hub.aio.tell(Hub.note, (self.number, "stop"))

        async def wave(self, left):
            await self.hub.aio.tell(Hub.note, (self.number, left))
            if not left:
                return 0
            tasks = {asyncio.ensure_future(one.aio.ask(Node.wave, left - 1)) for one in self.others}
            done, _ = await asyncio.wait(tasks)
            for task in done:  # a set: in the same order each time
                await self.hub.aio.tell(Hub.note, (self.number, task.result()))
            asyncio.ensure_future(self.linger())
            return sum(task.result() for task in done) + 1

        async def linger(self):
            try:
                await asyncio.sleep(300)
            finally:
                await self.hub.aio.tell(Hub.note, (self.number, "unwound"))


    with ActorSystem(backend="inline", seed=11) as system:
        hub = system.options(name="hub").spawn(Hub)
        nodes = [system.options(max_concurrency=50).spawn(Node, hub, n) for n in range(3)]
        for number, node in enumerate(nodes):
            node.ask(Node.know, [one for one in nodes if one != node])
        first = nodes[0].ask(Node.wave, 3)
        system.crash(nodes[1])
        try:
            nodes[2].ask(Node.wave, 1)
        except Exception as error:
            print(type(error).__name__)
        for node in nodes:
            node.stop()
        print(first, hub.ask(Hub.take), *system.history, sep="\\n")
    """
)


def test_the_same_seed_is_the_same_run_in_any_interpreter(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    runs = []
    for hash_seed in ("1", "2"):
        environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, str(program)],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            env=environ,
        )
        runs.append(done.stdout)
    assert runs[0].count("\n") > 50
    assert runs[0] == runs[1]


@pytest.mark.parametrize("backend", ["inline", "threads"])
def test_a_caller_that_gives_up_loses_nothing(backend, caplog):
    async def program():
        async with AsyncActorSystem(backend=backend) as system:
            keeper = await system.spawn(Keeper)
            sleeper = await system.options(max_concurrency=2).spawn(Sleeper, keeper.sync)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(sleeper.ask(Sleeper.forever), 0.1)
            while "cancelled" not in await keeper.ask(Keeper.take):
                pass
            await sleeper.stop()

    asyncio.run(program())
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
