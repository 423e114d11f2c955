"""Refs in an event loop: tell, ask, submit and an actor's life, without blocking the loop."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import pickle
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from procactors import Actor, ActorRef, AsyncActorRef, Overflow, errors
from procactors.crash import ExitKind
from procactors.runtime.loop_port import port_here
from tests.support.actors import (
    Counter,
    Crasher,
    Echo,
    GetValue,
    Increment,
    MessageCounter,
    Relay,
    Sleeper,
)
from tests.support.faults import Fault
from tests.support.gates import new_gate
from tests.support.loops import LOOPS, Pulse, arrived, new_uvloop, run, until
from tests.support.programs import environment
from tests.support.waiting import SHORT_S, aside, eventually

LARGE = 3_000_000


@pytest.mark.methods
@pytest.mark.parametrize("how", LOOPS)
def test_a_ref_does_in_a_loop_what_it_does_without(system, how):
    counter = system.spawn(Counter, 10).aio

    async def main():
        await counter.tell(Counter.increment, 5)
        replies = [counter.submit(Counter.increment) for _ in range(3)]
        values = [await reply for reply in replies]
        status = await counter.status()
        return await counter.ask(Counter.get_value), values, status.name, await counter.is_alive()

    assert run(main, how) == (18, [16, 17, 18], counter.name, True)


@pytest.mark.parametrize("how", LOOPS)
def test_ten_thousand_asks_at_once_come_to_their_own_questions(system, how):
    echoes = [system.spawn(Echo).aio for _ in range(20)]

    async def main():
        asks = (echoes[n % 20].ask(Echo.echo, n) for n in range(10_000))
        async with Pulse() as pulse:
            values = await asyncio.gather(*asks)
        return values, pulse.beats

    values, beats = run(main, how)
    assert values == list(range(10_000))
    # The loop goes round once for each 16 of them, and once more for their answers.
    assert beats >= 10_000 // 16


@pytest.mark.parametrize("how", LOOPS)
def test_many_are_told_in_order_and_the_loop_goes_on(system, how):
    keeper = system.spawn(Keeper).aio

    async def main():
        await keeper.tell(Keeper.keep, 0)
        async with Pulse() as pulse:
            await keeper.tell_many(Keeper.keep, ((n,) for n in range(1, 10_000)))
        await keeper.tell(Keeper.keep, 10_000)
        return await keeper.ask(Keeper.kept), pulse.beats

    seen, beats = run(main, how)
    assert seen == list(range(10_001))
    assert beats >= 10_000 // 256


class Keeper:
    def __init__(self) -> None:
        self.values: list[Any] = []

    def keep(self, value: Any) -> None:
        self.values.append(value)

    def kept(self) -> list[Any]:
        return self.values


def test_of_many_that_are_not_all_sent_it_is_said_how_many_were(system, gate):
    sleeper = system.options(mailbox=300).spawn(Sleeper)
    sleeper.tell(Sleeper.sleep, gate)
    gate.arrival()  # the message in hand keeps its place

    async def main():
        with pytest.raises(errors.MailboxFull) as raised:
            await sleeper.options(timeout=0.5).aio.tell_many(Sleeper.pid, [()] * 600)
        return raised.value.sent

    assert run(main) == 299


def test_each_of_many_has_the_whole_patience_for_its_place(system):
    """All together wait for longer than the time limit of one."""
    slow = system.options(mailbox=1).spawn(Slow)

    async def main():
        limited = slow.options(timeout=1.0).aio
        await limited.tell_many(Slow.add, [(0.2,)] * 8)
        return await slow.aio.ask(Slow.count)

    assert run(main) == 8


class Slow:
    def __init__(self) -> None:
        self.added = 0

    def add(self, seconds: float) -> None:
        time.sleep(seconds)
        self.added += 1

    def count(self) -> int:
        return self.added


def test_of_many_that_are_given_up_no_more_are_sent(system, gate):
    sleeper = system.options(mailbox=5).spawn(Taker)

    async def main():
        ref = sleeper.aio
        await ref.tell(Taker.wait, gate)
        await arrived(gate)
        many = asyncio.ensure_future(ref.tell_many(Taker.take, ((n,) for n in range(1000))))
        await until(lambda: sleeper.status().mailbox == 4)
        many.cancel()
        await asyncio.wait([many])
        await until(lambda: not port_here().lanes)
        gate.open()
        return await ref.ask(Taker.taken)

    assert run(main) == list(range(4))


def test_what_many_tuples_come_before_is_sent_before_it_is_raised(system):
    counter = system.spawn(Counter).aio

    def numbers():
        yield from [(1,)] * 300
        raise Fault

    async def main():
        with pytest.raises(Fault):
            await counter.tell_many(Counter.increment, numbers())
        with pytest.raises(TypeError, match="tuple"):
            await counter.tell_many(Counter.increment, [(1,), 1])
        with pytest.raises(TypeError, match="expected a method"):
            await counter.tell_many("increment", [(1,)])
        return await counter.ask(Counter.get_value)

    assert run(main) == 301


def test_many_large_payloads_are_told_one_by_one(system):
    keeper = system.spawn(Keeper).aio

    def payloads():
        for n in range(3):
            yield (bytes([n]) * LARGE,)

    async def main():
        await keeper.tell_many(Keeper.keep, payloads())
        return await keeper.ask(Keeper.kept)

    assert run(main) == [bytes([n]) * LARGE for n in range(3)]


def test_messages_as_values_are_asked_and_told(system):
    counter = system.spawn(MessageCounter, 1).aio

    async def main():
        await counter.tell(Increment(4))
        return await counter.ask(GetValue())

    assert run(main) == 5


def test_an_ask_raises_what_the_handler_raised(system):
    crasher = system.spawn(Crasher).aio

    async def main():
        with pytest.raises(Fault, match="on purpose") as raised:
            await crasher.ask(Crasher.crash, "exception")
        assert "in crash" in str(raised.value.__cause__)

    run(main)


def test_an_exception_that_asyncio_refuses_ends_the_ask(system):
    echo = system.spawn(Stopper).aio

    async def main():
        with pytest.raises(RuntimeError) as raised:
            await echo.ask(Stopper.stop_iteration)
        assert type(raised.value.__cause__) is StopIteration

    run(main)


class Stopper:
    def stop_iteration(self) -> None:
        raise StopIteration


def test_a_mistake_is_an_error_at_the_call(system):
    counter = system.spawn(Counter).aio

    async def main():
        with pytest.raises(TypeError):
            await counter.ask(Counter.increment, 1, 2)
        with pytest.raises(errors.EncodeError):
            await counter.tell(Counter.increment, threading.Lock())
        with pytest.raises(errors.EncodeError):
            counter.submit(Counter.increment, threading.Lock())
        with pytest.raises(AttributeError, match="ask"):
            counter.increment()

    run(main)


# -- the actor's end ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", LOOPS)
def test_a_kill_under_awaits_ends_the_one_in_hand_and_the_next_life_answers_the_rest(
    system, gate, how
):
    crasher = system.spawn(Crasher).aio

    async def main():
        died = asyncio.ensure_future(crasher.ask(Crasher.crash_at, "SIGKILL", gate))
        await arrived(gate)
        behind = [asyncio.ensure_future(crasher.ask(Crasher.pid)) for _ in range(100)]
        await asyncio.sleep(0)
        gate.open()
        with pytest.raises(errors.ActorDied) as raised:
            await died
        assert raised.value.report.reason.kind is ExitKind.SIGNAL
        return set(await asyncio.gather(*behind))

    assert len(run(main, how)) == 1


def test_an_actor_that_is_killed_or_stopped_ends_all_awaits(system, gate):
    sleeper = system.spawn(Sleeper).aio
    other = system.spawn(Counter).aio

    async def main():
        asks = [asyncio.ensure_future(sleeper.ask(Sleeper.sleep, gate)) for _ in range(5)]
        await arrived(gate)
        ended = asyncio.ensure_future(sleeper.wait())
        reason = await sleeper.kill()
        assert reason.kind is ExitKind.KILLED
        kinds = [type(error) for error in await asyncio.gather(*asks, return_exceptions=True)]
        assert kinds == [errors.ActorDied, *[errors.ActorStopped] * 4]
        assert (await ended).kind is ExitKind.KILLED
        assert not await sleeper.is_alive()
        await other.tell(Counter.increment)
        value = other.submit(Counter.get_value)
        assert (await other.stop()).kind is ExitKind.STOPPED
        assert await value == 1  # behind all that was sent to it
        with pytest.raises(errors.ActorStopped):
            await other.ask(Counter.get_value)

    run(main)


def test_a_cancelled_stop_stops_all_the_same(system, gate):
    sleeper = system.spawn(Sleeper).aio

    async def main():
        asked = sleeper.submit(Sleeper.sleep, gate)
        await arrived(gate)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(sleeper.stop(), 0.05)
        gate.open()
        await asked
        return await sleeper.wait(SHORT_S)

    assert run(main).kind is ExitKind.STOPPED


def test_waiting_for_an_end_has_a_limit(system):
    counter = system.spawn(Counter).aio

    async def main():
        with pytest.raises(errors.AskTimeout):
            await counter.wait(0.05)
        return await counter.ask(Counter.get_value)

    assert run(main) == 0


# -- time limits and cancellation ---------------------------------------------------------------


@pytest.mark.parametrize("how", LOOPS)
def test_time_limits_end_the_await_and_not_the_actor(system, gate, how):
    sleeper = system.spawn(Sleeper).aio

    async def main():
        in_hand = sleeper.submit(Sleeper.sleep, gate)
        await arrived(gate)
        with pytest.raises(errors.AskTimeout):
            await sleeper.options(timeout=0.05).ask(Sleeper.pid)
        with pytest.raises(errors.AskTimeout):
            await sleeper.options(timeout=0.05).submit(Sleeper.pid)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(sleeper.ask(Sleeper.pid), 0.05)
        gate.open()
        return await in_hand == await sleeper.ask(Sleeper.pid)

    assert run(main, how)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout came with Python 3.11")
def test_the_timeout_of_asyncio_ends_the_await(system, gate):
    sleeper = system.spawn(Sleeper).aio

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await sleeper.ask(Sleeper.sleep, gate)
        gate.open()
        return await sleeper.ask(Sleeper.pid)

    assert run(main)


def test_an_ask_that_was_cancelled_lets_its_answer_go(system, gate):
    """The answer is large: left alone, it would keep its segment."""
    giver = system.spawn(Giver).aio

    async def main():
        ask = asyncio.ensure_future(giver.ask(Giver.give_at, LARGE, gate))
        await arrived(gate)
        ask.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ask
        gate.open()
        assert len(await giver.ask(Giver.give, LARGE)) == LARGE

    run(main)
    eventually(lambda: not _unread(system), "the segments to be let go")


class Giver:
    def give(self, size: int) -> bytes:
        return bytes(size)

    def give_at(self, size: int, gate: Any) -> bytes:
        gate.wait()
        return bytes(size)


def _unread(system):
    """Return the segments of a system that nobody has read or let go."""
    folders = Path(system._endpoint.path, "segments").iterdir()
    files = [file for folder in folders for file in folder.iterdir()]
    words = {file: struct.unpack("=QQ", file.read_bytes()[:16]) for file in files}
    return [file for file, (generation, consumed) in words.items() if generation != consumed]


def test_a_cancelled_reply_is_given_up_in_the_loop_too(system, gate):
    sleeper = system.spawn(Sleeper).aio

    async def main():
        reply = sleeper.submit(Sleeper.sleep, gate)
        waits = asyncio.ensure_future(_awaited(reply))
        await arrived(gate)
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        assert reply.cancelled()
        with pytest.raises(asyncio.CancelledError):
            await reply
        gate.open()
        return await sleeper.ask(Sleeper.pid)

    assert run(main)


async def _awaited(reply):
    return await reply


# -- a full mailbox -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", LOOPS)
def test_a_full_mailbox_holds_its_senders_and_not_the_loop(system, tmp_path, gate, how):
    with new_gate(tmp_path / "first") as first:
        taker = system.options(mailbox=2).spawn(Taker).aio

        async def main():
            await taker.tell(Taker.wait, first)
            await arrived(first)
            tells = [asyncio.ensure_future(taker.tell(Taker.take, n)) for n in range(20)]
            replies = [taker.submit(Taker.take, n) for n in range(20, 30)]
            asks = [asyncio.ensure_future(taker.ask(Taker.take, n)) for n in range(30, 40)]
            async with Pulse() as pulse:
                await until(lambda: pulse.beats > 100)
            assert not all(tell.done() for tell in tells)
            assert not any(reply.done() for reply in replies)
            first.open()
            await asyncio.gather(*tells)
            values = [await reply for reply in replies], await asyncio.gather(*asks)
            assert values == ([*range(20, 30)], [*range(30, 40)])
            await until(lambda: not port_here().lanes)  # its thread ends a moment later
            return await taker.ask(Taker.taken)

        taken = run(main, how)
        # The replies were submitted before the tasks began.
        assert sorted(taken) == list(range(40))
        for part in (range(20), range(20, 30), range(30, 40)):
            assert [n for n in taken if n in part] == list(part)


class Taker:
    def __init__(self) -> None:
        self.numbers: list[int] = []

    def wait(self, gate: Any) -> None:
        gate.wait()

    def take(self, number: int, *rest: Any) -> int:
        self.numbers.append(number)
        return number

    def taken(self) -> list[int]:
        return self.numbers


def test_what_waits_for_a_place_and_is_given_up_is_not_sent(system, gate):
    taker = system.options(mailbox=2).spawn(Taker).aio

    async def main():
        await taker.tell(Taker.wait, gate)
        await arrived(gate)
        await taker.tell(Taker.take, 1)
        told = asyncio.ensure_future(taker.tell(Taker.take, 2))
        asked = asyncio.ensure_future(taker.ask(Taker.take, 3))
        last = asyncio.ensure_future(taker.ask(Taker.take, 5))
        await asyncio.sleep(0)
        submitted = taker.submit(Taker.take, 4)
        told.cancel()
        asked.cancel()
        assert submitted.cancel()
        with pytest.raises(errors.MailboxFull):
            await taker.options(timeout=0.05).tell(Taker.take, 6)
        with pytest.raises(errors.MailboxFull):
            await taker.options(timeout=0.05).submit(Taker.take, 7)
        await asyncio.gather(told, asked, return_exceptions=True)
        gate.open()
        await last
        return await taker.ask(Taker.taken)

    assert run(main) == [1, 5]


def test_overflow_options_hold_in_a_loop(system, gate):
    raising = system.options(mailbox=2, overflow=Overflow.RAISE).spawn(Taker).aio
    dropping = system.options(mailbox=2, overflow=Overflow.DROP).spawn(Taker).aio

    async def main():
        for taker in (raising, dropping):
            await taker.tell(Taker.wait, gate)
        await arrived(gate)
        await arrived(gate)
        for taker in (raising, dropping):
            await taker.tell(Taker.take, 1)
        with pytest.raises(errors.MailboxFull):
            await raising.tell(Taker.take, 2)
        with pytest.raises(errors.MailboxFull):
            raising.submit(Taker.take, 2)
        await dropping.tell(Taker.take, 2)
        with pytest.raises(errors.MailboxFull):
            await dropping.ask(Taker.take, 2)
        gate.open()

    run(main)
    eventually(lambda: system.dead_letters.total == 1, "the dead letter")


def test_the_end_of_an_actor_ends_what_waits_for_a_place(system, gate):
    taker = system.options(mailbox=2).spawn(Taker).aio

    async def main():
        await taker.tell(Taker.wait, gate)
        await arrived(gate)
        await taker.tell(Taker.take, 1)
        waits = [asyncio.ensure_future(taker.tell(Taker.take, n)) for n in (2, 3)]
        await asyncio.sleep(0)
        await taker.kill()
        ended = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(error) for error in ended] == [errors.ActorStopped] * 2

    run(main)


# -- large payloads -----------------------------------------------------------------------------


class Heavy:
    """Notes the thread in which it is pickled."""

    nbytes = LARGE
    threads: ClassVar[list[int]] = []

    def __reduce__(self) -> Any:
        Heavy.threads.append(threading.get_ident())
        return (bytes, (LARGE,))


def test_a_large_payload_is_pickled_in_a_thread_and_keeps_its_turn(system):
    taker = system.spawn(Taker).aio

    async def main():
        Heavy.threads.clear()
        replies = [taker.submit(Taker.take, 0, Heavy())]
        replies += [taker.submit(Taker.take, n) for n in (1, 2, 3)]
        await taker.tell(Taker.take, 4, Heavy())
        await taker.ask(Taker.take, 5, [Heavy()])
        assert [await reply for reply in replies] == [0, 1, 2, 3]
        assert await taker.ask(Taker.taken) == [0, 1, 2, 3, 4, 5]
        assert len(Heavy.threads) == 3
        assert threading.get_ident() not in Heavy.threads

    run(main)


def test_a_stop_comes_behind_a_large_payload_that_is_on_its_way(system):
    taker = system.spawn(Taker).aio

    async def main():
        reply = taker.submit(Taker.take, 7, bytes(10 * LARGE))
        await taker.stop()
        return await reply

    assert run(main) == 7


def test_large_answers_come_whole(system):
    giver = system.spawn(Giver).aio

    async def main():
        sizes = [0, 5_000, 70_000, LARGE]
        asked = await asyncio.gather(*(giver.ask(Giver.give, size) for size in sizes))
        submitted = [await giver.submit(Giver.give, size) for size in sizes]
        return [len(one) for one in (*asked, *submitted)] == 2 * sizes

    assert run(main)


# -- many loops, and their ends -----------------------------------------------------------------


@pytest.mark.parametrize("how", LOOPS)
def test_many_loops_use_one_ref_at_once(system, how):
    echo = system.spawn(Echo).aio

    def loop(number):
        async def main():
            return await asyncio.gather(*(echo.ask(Echo.echo, (number, n)) for n in range(300)))

        return run(main, how)

    results = [aside(loop, number) for number in range(4)]
    for number, result in enumerate(results):
        assert result.result(SHORT_S) == [(number, n) for n in range(300)]


def test_a_reply_may_be_awaited_in_another_loop_and_waited_for_in_a_thread(system, gate):
    reply = system.spawn(Sleeper).submit(Sleeper.sleep, gate)
    waits = [aside(run, lambda: _awaited(reply)) for _ in range(3)] + [aside(reply.result)]
    eventually(lambda: len(reply._sleepers) == 4, "all to wait")
    gate.open()
    assert len({wait.result(SHORT_S) for wait in waits}) == 1


@pytest.mark.parametrize("how", ["asyncio", "uvloop"])
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_closed_with_replies_pending_leaves_nothing(system, gate, how, caplog):
    sleeper = system.spawn(Sleeper).aio
    loop = new_uvloop() if how == "uvloop" else asyncio.new_event_loop()

    async def begin():
        tasks = [asyncio.ensure_future(sleeper.ask(Sleeper.sleep, gate)) for _ in range(10)]
        await asyncio.sleep(0.01)
        return tasks, [sleeper.submit(Sleeper.pid) for _ in range(10)]

    tasks, replies = loop.run_until_complete(begin())
    loop.close()
    for task in tasks:
        task._log_destroy_pending = False
    del tasks, loop
    gc.collect()
    gate.open()
    assert len({reply.result(SHORT_S) for reply in replies}) == 1
    assert not system._endpoint._reply_reader().pending
    assert sleeper.sync.ask(Sleeper.pid)


# -- views and values ---------------------------------------------------------------------------


def test_the_views_lead_to_each_other(system):
    counter = system.spawn(Counter)
    assert counter.aio.sync is counter
    assert counter.aio == counter.aio
    assert hash(counter.aio) == hash(counter.aio)
    assert counter.aio != counter
    assert counter.aio.name == counter.name
    assert counter.aio.options(timeout=3.0).sync == counter
    assert repr(counter.aio) == f"<AsyncActorRef {counter.name}>"
    again = pickle.loads(pickle.dumps(counter.aio))
    assert isinstance(again, AsyncActorRef)
    assert again == counter.aio


def test_a_submit_outside_of_a_loop_is_the_blocking_one(system):
    assert system.spawn(Counter).aio.submit(Counter.increment).result(SHORT_S) == 1


class Fetcher(Actor):
    """Uses the asyncio half in a plain handler."""

    def gather(self, refs: list[ActorRef[Any]]) -> list[int]:
        async def main() -> list[int]:
            return await asyncio.gather(*(ref.aio.ask(Counter.get_value) for ref in refs))

        return asyncio.run(main())

    def ask_itself(self) -> Any:
        return asyncio.run(self.context.ref.aio.ask(Fetcher.ask_itself))

    def hire(self) -> int:
        async def main() -> int:
            child = await self.context.options(name="child").aio.spawn(Counter, 3)
            return await child.ask(Counter.get_value)

        return asyncio.run(main())


def test_an_actor_uses_a_loop_of_its_own(system):
    refs = [system.spawn(Counter, number) for number in range(10)]
    fetcher = system.spawn(Fetcher)
    assert fetcher.ask(Fetcher.gather, refs) == list(range(10))
    assert fetcher.ask(Fetcher.hire) == 3
    with pytest.raises(errors.AskCycleError):
        fetcher.ask(Fetcher.ask_itself)
    fetcher.stop()
    assert system.find("child") is None


def test_a_circle_of_askers_is_refused_under_an_await(system):
    one, other = system.spawn(Relay), system.spawn(Relay)
    one.ask(Relay.aim, other)
    other.ask(Relay.aim, one)

    async def main():
        with pytest.raises(errors.AskCycleError):
            await one.aio.ask(Relay.ask, Relay.ask, Relay.ask, Relay.aim, None)

    run(main)


def test_asyncio_is_not_imported_for_those_who_do_not_use_it():
    code = (
        "import sys, procactors\n"
        "with procactors.ActorSystem() as system:\n"
        "    system.spawn(dict)\n"
        "assert 'asyncio' not in sys.modules\n"
        "procactors.AsyncActorSystem\n"
        "assert 'asyncio' in sys.modules\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], env=environment(), check=False)
    assert ended.returncode == 0


def test_the_context_of_a_task_is_that_of_its_pickling(system):
    """Context variables hold for user code that runs in a thread of the runtime's."""
    giver = system.spawn(Echo).aio

    async def main():
        _variable.set("seen")
        return await giver.ask(Echo.echo, [bytes(LARGE), Contextual()])

    assert run(main)[1] == "seen"


_variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


class Contextual:
    def __reduce__(self) -> Any:
        return (str, (_variable.get("lost"),))
