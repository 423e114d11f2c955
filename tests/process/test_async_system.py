"""The system in an event loop: start, spawn, trees, stop, and what a cancellation leaves."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest

from procactors import (
    Actor,
    ActorSystem,
    AsyncActorRef,
    AsyncActorSystem,
    AsyncSupervisorRef,
    Supervisor,
    errors,
    spec,
)
from procactors.crash import ExitKind
from tests.support.actors import Counter, Crasher, Sleeper
from tests.support.loops import LOOPS, Pulse, arrived, run, until
from tests.support.programs import running
from tests.support.waiting import eventually


class Starter(Actor):
    """Stands at a gate while it starts, and writes a file at its end."""

    def __init__(self, gate, ended):
        self.ended = ended
        gate.wait()

    def on_stop(self, reason):
        self.ended.write_text(str(reason))


@pytest.mark.methods
@pytest.mark.parametrize("how", LOOPS)
def test_a_system_starts_serves_and_stops_in_a_loop(start_method, how):
    async def main():
        async with AsyncActorSystem(name="service", start_method=start_method) as system:
            counter = await system.options(name="one").spawn(Counter, 10)
            assert isinstance(counter, AsyncActorRef)
            assert await counter.ask(Counter.increment) == 11
            assert await system.find("one") == counter
            assert await system.find("two") is None
            assert await system.actors() == [counter]
            assert system.name == "service"
            assert system.failure is None
            shared = await system.share([1, 2])
            assert len(await system.shares()) == 1
            shared.release()
            assert isinstance(system.sync, ActorSystem)
            assert (await system.sync.aio.find("one")) == counter
        with pytest.raises(errors.ActorStopped):
            await counter.ask(Counter.increment)
        return await system.stop()

    assert run(main, how).clean


def test_a_system_and_a_pool_may_be_awaited_and_stopped_by_hand(start_method):
    async def main():
        system = await AsyncActorSystem(start_method=start_method)
        pool = await system.options(size=1).pool()
        assert await pool.ask(len, "four") == 4
        await pool.stop()
        waits = asyncio.ensure_future(system.wait())
        assert not await system.wait(0.01)
        report = await system.stop(5.0)
        assert await waits
        assert await system.wait()
        return report

    assert run(main).clean


def test_what_is_not_started_says_how_to_start_it():
    system = AsyncActorSystem()
    assert repr(system) == "<AsyncActorSystem (not started)>"
    for use in (lambda: system.name, system.options, lambda: system.sync):
        with pytest.raises(RuntimeError, match="async with AsyncActorSystem"):
            use()

    async def main():
        with pytest.raises(errors.InvalidSpec, match="spares"):
            async with AsyncActorSystem(spares=-1):
                pass
        with pytest.raises(RuntimeError, match="not started"):
            await system.spawn(Counter)

    run(main)


def test_the_start_of_an_actor_does_not_hold_up_the_loop(system, gate, tmp_path):
    async def main():
        spawning = asyncio.ensure_future(system.aio.spawn(Starter, gate, tmp_path / "ended"))
        await arrived(gate)
        async with Pulse() as pulse:
            await until(lambda: pulse.beats > 100)
        assert not spawning.done()
        gate.open()
        return await spawning

    assert run(main).sync.is_alive()


def test_a_failed_start_says_why(system):
    async def main():
        with pytest.raises(errors.SpawnError):
            await system.aio.spawn(Crasher, "on_start")
        with pytest.raises(errors.InvalidSpec):
            await system.aio.options(size=2).spawn(Counter)
        with pytest.raises(TypeError):
            await system.aio.spawn(Counter, 1, 2, 3)
        await system.aio.options(name="taken").spawn(Counter)
        with pytest.raises(errors.NameTaken):
            await system.aio.options(name="taken").spawn(Counter)

    run(main)


@pytest.mark.methods
def test_a_cancelled_spawn_leaves_no_actor(system, gate, tmp_path):
    """It goes on to its start, and is stopped in order then."""
    ended = tmp_path / "ended"

    async def main():
        spawning = asyncio.ensure_future(system.aio.spawn(Starter, gate, ended))
        await arrived(gate)
        spawning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await spawning

    run(main)
    assert len(system.actors()) == 1
    gate.open()
    eventually(lambda: not system.actors(), "the actor that nobody knows to end")
    assert ended.read_text() == "stopped"


def test_a_spawn_cancelled_at_any_moment_leaves_no_actor(system):
    async def main():
        for delay in range(12):
            spawning = asyncio.ensure_future(system.aio.spawn(Counter))
            await asyncio.sleep(delay / 1000)
            if spawning.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await spawning
            else:
                await (await spawning).stop()

    run(main)
    eventually(lambda: not system.actors(), "the actors that nobody knows to end")


def test_a_loop_that_ends_while_it_spawns_leaves_no_actor(system, gate, tmp_path):
    async def main():
        spawning = asyncio.ensure_future(system.aio.spawn(Starter, gate, tmp_path / "ended"))
        await arrived(gate)
        return spawning  # asyncio.run cancels it

    run(main)
    gate.open()
    eventually(lambda: not system.actors(), "the actor that nobody knows to end")


def test_trees_are_looked_after_in_a_loop(system):
    async def main():
        tree = Supervisor(spec(Counter, 1).options(name="a"), spec(Counter, 2).options(name="b"))
        root = await system.aio.supervise(tree)
        assert isinstance(root, AsyncSupervisorRef)
        assert root == root.sync.aio
        assert [child.name for child in await root.children()] == ["a", "b"]
        assert (await root.count_children()).active == 2
        await root.terminate_child(await system.aio.find("a"))
        again = await root.restart_child("a")
        assert await again.ask(Counter.get_value) == 1
        third = await root.start_child(spec(Counter, 3))
        assert await third.ask(Counter.get_value) == 3
        await root.terminate_child(third)
        await root.delete_child(third.name)
        assert await root.is_alive()
        with pytest.raises(errors.AskTimeout):
            await root.wait(0.01)
        assert (await root.stop()).kind is ExitKind.STOPPED
        assert not await root.is_alive()
        with pytest.raises(errors.InvalidSpec):
            await system.aio.supervise("tree")

    run(main)


def test_a_cancelled_tree_is_stopped_when_it_is_up(system, gate, tmp_path):
    async def main():
        tree = Supervisor(spec(Counter), spec(Starter, gate, tmp_path / "ended"))
        starting = asyncio.ensure_future(system.aio.supervise(tree))
        await arrived(gate)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    run(main)
    gate.open()
    eventually(lambda: not system.actors(), "the tree that nobody knows to end")


# -- the end ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", LOOPS)
def test_a_block_that_is_left_by_an_error_breaks_off(start_method, gate, how):
    async def main():
        async with AsyncActorSystem(start_method=start_method) as system:
            sleeper = await system.spawn(Sleeper)
            reply = sleeper.submit(Sleeper.sleep, gate)
            await arrived(gate)
            raise KeyError(reply)

    with pytest.raises((KeyError, BaseException)) as raised:
        run(main, how)
    error = raised.value
    while not isinstance(error, KeyError):  # anyio's groups
        (error,) = error.exceptions
    assert isinstance(error.args[0].exception(0), errors.ActorDied)


@pytest.mark.parametrize("how", LOOPS)
def test_a_cancelled_stop_of_the_system_ends_its_patience_and_leaves_nothing(
    start_method, gate, how
):
    """SIGTERM for what runs, SIGKILL a second later; the cancellation comes when all is over."""

    async def main():
        system = await AsyncActorSystem(start_method=start_method, stop_timeout=1000.0)
        sleeper = await system.spawn(Sleeper)
        reply = sleeper.submit(Sleeper.sleep, gate)
        await arrived(gate)
        stopping = asyncio.ensure_future(system.stop())
        await until(lambda: system.sync._closing)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert system.sync._ended.is_set()
        assert isinstance(reply.exception(0), errors.ActorDied)

    run(main, how)


def test_cancelled_twice_the_stop_kills(start_method, gate):
    async def main():
        system = await AsyncActorSystem(start_method=start_method, stop_timeout=1000.0)
        crasher = await system.spawn(Crasher)
        await crasher.ask(Crasher.ignore_sigterm)
        crasher.submit(Crasher.crash_at, "exception", gate)
        await arrived(gate)
        stopping = asyncio.ensure_future(system.stop())
        await until(lambda: system.sync._closing)
        stopping.cancel()
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert system.sync._ended.is_set()

    run(main)


def test_a_cancelled_start_leaves_no_system(start_method):
    async def main():
        for delay in (0.0, 0.01, 0.05, 0.2):
            system = AsyncActorSystem(start_method=start_method)
            starting = asyncio.ensure_future(system._start())
            await asyncio.sleep(delay)
            if starting.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await starting
                assert system._handle is None
            else:
                await starting
                await system.stop()

    run(main)
    eventually(
        lambda: not [one for one in threading.enumerate() if one.name == "procactors-aside"],
        "the end of the threads",
    )


def test_a_scope_of_anyio_that_is_cancelled_stops_in_order(start_method, gate):
    """Its cancellation comes anew in each turn of the loop: that is no second Ctrl-C."""
    import anyio

    async def main():
        with anyio.CancelScope() as scope:
            async with AsyncActorSystem(start_method=start_method) as system:
                sleeper = await system.spawn(Sleeper)
                reply = sleeper.submit(Sleeper.sleep, gate)
                await arrived(gate)
                scope.cancel()
                await anyio.sleep(10)
        assert scope.cancelled_caught
        return reply.exception(0)

    error = run(main, "anyio")
    assert isinstance(error, errors.ActorDied)
    assert error.report.reason.code != signal.SIGKILL


PROGRAM = """
    import asyncio, sys
    from procactors import Actor, AsyncActorSystem

    class Sleeper(Actor):
        def sleep(self):
            import time
            time.sleep(1000)

    async def main():
        async with AsyncActorSystem(name=sys.argv[1]) as system:
            sleepers = [await system.spawn(Sleeper) for _ in range(2)]
            print("up", flush=True)
            await asyncio.gather(*(sleeper.ask(Sleeper.sleep) for sleeper in sleepers))

    asyncio.run(main())
"""


def test_ctrl_c_in_asyncio_run_ends_the_program_and_all_of_its_actors():
    with running(PROGRAM, "interrupted") as program:
        assert program.line() == "up"
        program.process.send_signal(signal.SIGINT)
        code, _, said = program.end()
        program.await_nothing_left("interrupted")
    assert code == -signal.SIGINT
    assert said.rstrip().endswith("KeyboardInterrupt")


def test_each_loop_may_have_a_system_of_its_own(start_method):
    results = []

    def loop(number):
        async def main():
            async with (
                AsyncActorSystem(start_method=start_method) as system,
                system.options(size=1).pool() as pool,
            ):
                return [value async for value in pool.map(abs, range(-number, 0))]

        results.append(run(main))

    threads = [threading.Thread(target=loop, args=(number,)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [[1], [2, 1], [3, 2, 1]]
