"""Submit: ask, and get the reply as a future."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import logging
import os
import sys
import threading
import weakref
from typing import Any

import pytest

from procactors import ActorSystem, errors
from procactors.wire.replies import reader
from tests.support.actors import Counter, Crasher, Echo, Relay, Sleeper
from tests.support.faults import Fault
from tests.support.gates import new_gate
from tests.support.waiting import SHORT_S, eventually


def test_a_submit_returns_at_once_and_its_reply_comes(system, gate):
    sleeper = system.spawn(Sleeper)
    reply = sleeper.submit(Sleeper.sleep, gate)
    pid = gate.arrival()
    assert not reply.done()
    with pytest.raises(concurrent.futures.TimeoutError):
        reply.result(timeout=0)
    gate.open()
    assert reply.result() == pid
    assert reply.result() == pid
    assert reply.exception() is None


@pytest.mark.methods
def test_replies_come_to_their_own_questions(system):
    echo = system.spawn(Echo)
    replies = [echo.submit(Echo.echo, number) for number in range(5000)]
    assert [reply.result() for reply in replies] == list(range(5000))


def test_replies_of_all_sizes_come_to_their_own_questions(system):
    echo = system.spawn(Echo)
    sizes = [0, 100, 3_900, 4_200, 70_000, 1_500_000] * 5
    replies = [echo.submit(Echo.echo, b"x" * size) for size in sizes]
    assert [len(reply.result()) for reply in replies] == sizes


def test_a_reply_raises_what_the_handler_raised(system):
    crasher = system.spawn(Crasher)
    reply = crasher.submit(Crasher.crash, "exception")
    with pytest.raises(Fault, match="on purpose") as raised:
        reply.result()
    assert isinstance(reply.exception(), Fault)
    assert "in crash" in str(raised.value.__cause__)


def test_a_reply_is_a_future_of_the_standard_library(system):
    echo = system.spawn(Echo)
    replies = [echo.submit(Echo.echo, number) for number in range(20)]
    assert all(isinstance(reply, concurrent.futures.Future) for reply in replies)
    done, left = concurrent.futures.wait(replies, timeout=SHORT_S)
    assert len(done) == 20
    assert not left
    results = [reply.result() for reply in concurrent.futures.as_completed(replies)]
    assert sorted(results) == list(range(20))


def test_callbacks_run_in_order_in_one_thread_and_may_submit_again(system):
    echo = system.spawn(Echo)
    seen: list[tuple[int, str]] = []
    last = threading.Event()

    def note(reply: Any) -> None:
        number = reply.result()
        seen.append((number, threading.current_thread().name))
        if number < 100:
            echo.submit(Echo.echo, number + 1).add_done_callback(note)
        else:
            last.set()

    echo.submit(Echo.echo, 0).add_done_callback(note)
    assert last.wait(SHORT_S)
    assert [number for number, _ in seen] == list(range(101))


def test_a_callback_that_asks_does_not_stop_the_replies(system):
    echo = system.spawn(Echo)
    answers: list[Any] = []
    reply = echo.submit(Echo.echo, 1)
    reply.add_done_callback(lambda _: answers.append(echo.ask(Echo.echo, 2)))
    more = [echo.submit(Echo.echo, number) for number in range(100)]
    assert [one.result() for one in more] == list(range(100))
    eventually(lambda: answers == [2], "the callback's own answer")


def test_a_callback_that_raises_does_not_stop_the_next(system, caplog):
    echo = system.spawn(Echo)
    later = threading.Event()
    reply = echo.submit(Echo.echo, 1)
    reply.add_done_callback(lambda _: 1 / 0)
    reply.add_done_callback(lambda _: later.set())
    assert later.wait(SHORT_S)
    other = threading.Event()
    echo.submit(Echo.echo, 2).add_done_callback(lambda _: other.set())
    assert other.wait(SHORT_S)


def test_a_callback_that_would_end_its_thread_does_not_stop_the_next(system, caplog):
    """What is no `Exception`, as a `sys.exit()`, is not caught by futures."""
    counter = system.spawn(Counter)
    called = threading.Event()
    counter.submit(Counter.increment).add_done_callback(lambda _: sys.exit(3))
    counter.submit(Counter.increment).add_done_callback(lambda _: called.set())
    assert called.wait(SHORT_S)
    assert "the next are served" in caplog.text


def test_an_error_goes_with_the_last_reference_to_it(system):
    """No circle keeps the frames of whoever met it until the garbage collector comes by."""
    crasher = system.spawn(Crasher)
    gc.collect()
    gc.disable()
    try:
        reply = crasher.submit(Crasher.crash, "exception")
        with contextlib.suppress(Fault):
            reply.result(SHORT_S)
        gone = threading.Event()
        watched = weakref.ref(reply, lambda _: gone.set())
        del reply
        assert gone.wait(SHORT_S), watched
    finally:
        gc.enable()


def test_a_newer_asyncio_that_asks_for_a_snapshot_gets_it_decoded(system, monkeypatch):
    """From Python 3.14 on it takes result and exception by a method of the future's own."""

    def plain(future):
        return True, False, future._result, future._exception

    monkeypatch.setattr(concurrent.futures.Future, "_get_snapshot", plain, raising=False)
    good = system.spawn(Echo).submit(Echo.echo, "five")
    bad = system.spawn(Crasher).submit(Crasher.crash, "exception")
    concurrent.futures.wait([good, bad])
    assert good._get_snapshot() == (True, False, "five", None)
    assert isinstance(bad._get_snapshot()[3], Fault)


def test_a_reply_can_be_awaited(system):
    echo = system.spawn(Echo)

    async def main() -> list[Any]:
        first = await echo.submit(Echo.echo, 1)
        rest = await asyncio.gather(
            *(asyncio.wrap_future(echo.submit(Echo.echo, n)) for n in range(20))
        )
        return [first, *rest]

    assert asyncio.run(main()) == [1, *range(20)]


def test_an_awaited_reply_raises_what_the_handler_raised(system):
    crasher = system.spawn(Crasher)

    async def main() -> None:
        await crasher.submit(Crasher.crash, "exception")

    with pytest.raises(Fault):
        asyncio.run(main())


def test_a_reply_with_a_timeout_ends_in_time(system, gate):
    sleeper = system.spawn(Sleeper)
    reply = sleeper.options(timeout=0.1).submit(Sleeper.sleep, gate)
    with pytest.raises(errors.AskTimeout):
        reply.result()
    assert isinstance(reply.exception(), errors.AskTimeout)


def test_an_awaited_reply_with_a_timeout_ends_in_time(system, gate):
    sleeper = system.spawn(Sleeper)

    async def main() -> None:
        await asyncio.wait_for(asyncio.shield(wait()), SHORT_S / 3)

    async def wait() -> None:
        await sleeper.options(timeout=0.1).submit(Sleeper.sleep, gate)

    with pytest.raises(errors.AskTimeout):
        asyncio.run(main())


def test_an_error_that_nobody_looked_at_is_logged(system, caplog):
    crasher = system.spawn(Crasher)
    reply = crasher.submit(Crasher.crash, "exception")
    concurrent.futures.wait([reply], timeout=SHORT_S)
    with caplog.at_level(logging.ERROR, "procactors"):
        del reply
        gc.collect()
        text = "was never looked at: Fault('on purpose')"
        eventually(lambda: text in caplog.text, "the word on it")  # from the callbacks' thread


def called_back(replies: list[Any]) -> None:
    called = threading.Semaphore(0)
    for reply in replies:
        reply.add_done_callback(lambda _: called.release())
    for _ in replies:
        assert called.acquire(timeout=SHORT_S)


async def awaited(replies: list[Any]) -> list[Any]:
    return [await reply for reply in replies]


WAITS = {
    "result": lambda replies: [reply.result() for reply in replies],
    "exception": lambda replies: [reply.exception() for reply in replies],
    "wait": concurrent.futures.wait,
    "as_completed": lambda replies: list(concurrent.futures.as_completed(replies)),
    "done": lambda replies: eventually(lambda: all(reply.done() for reply in replies), "the end"),
    "callback": called_back,
    "await": lambda replies: asyncio.run(awaited(replies)),
}


@pytest.mark.parametrize("how", WAITS)
def test_answers_gather_until_somebody_waits_for_one(system, gate, monkeypatch, how):
    """However that is done, it ends the rest of the thread that reads them."""
    monkeypatch.setattr(reader, "_REST_S", 1000.0)
    sleeper, echo = system.spawn(Sleeper), system.spawn(Echo)
    held = [sleeper.submit(Sleeper.sleep, gate)]
    held += [sleeper.submit(Sleeper.pid) for _ in range(20)]
    gate.arrival()
    echo.submit(Echo.echo, 1)  # behind its answer there is a rest, with so many on their way
    reading = system._endpoint._reply_reader()
    eventually(lambda: reading._resting, "the rest")
    reply = echo.submit(Echo.echo, 2)
    WAITS[how]([reply])
    assert reply.result() == 2
    assert not any(reply.done() for reply in held)
    gate.open()


def test_waits_for_many_replies_are_told_of_each_once(system, gate):
    """A wait that came while some had ended is not told of these again."""
    echo, sleeper = system.spawn(Echo), system.spawn(Sleeper)
    slow = sleeper.submit(Sleeper.sleep, gate)
    gate.arrival()
    for _ in range(100):
        replies = [echo.submit(Echo.echo, number) for number in range(3)]
        _, left = concurrent.futures.wait([*replies, slow], timeout=0.001)
        assert slow in left
        _, left = concurrent.futures.wait(replies, timeout=SHORT_S)
        assert not left
    gate.open()
    assert slow.result() > 0


def test_outstanding_submits_end_when_the_actor_dies(system, gate):
    sleeper = system.spawn(Sleeper)
    replies = [sleeper.submit(Sleeper.sleep, gate)]
    os_pid = gate.arrival()
    replies += [sleeper.submit(Sleeper.pid) for _ in range(100)]
    os.kill(os_pid, 9)
    with pytest.raises(errors.ActorDied) as died:
        replies[0].result()
    assert died.value.report.reason.signal_name == "SIGKILL"
    # The others were in the mailbox, which survives: the next incarnation answers.
    assert len({reply.result() for reply in replies[1:]} - {os_pid}) == 1


def test_everything_submitted_before_the_end_of_the_system_is_answered(start_method):
    with ActorSystem(start_method=start_method) as system:
        echo = system.spawn(Echo)
        replies = [echo.submit(Echo.echo, number) for number in range(2000)]
    assert [reply.result() for reply in replies] == list(range(2000))


def test_replies_that_the_end_of_the_system_cuts_off_end_with_an_error(start_method, tmp_path):
    called = []
    with new_gate(tmp_path / "g") as gate, ActorSystem(start_method=start_method) as system:
        sleeper = system.spawn(Sleeper)
        replies = [sleeper.submit(Sleeper.sleep, gate) for _ in range(3)]
        for reply in replies:
            reply.add_done_callback(called.append)
        gate.arrival()
        system.stop(0.1)
        kinds = [type(reply.exception()) for reply in replies]
    assert kinds == [errors.ActorDied, errors.ActorStopped, errors.ActorStopped]
    eventually(lambda: len(called) == 3, "the callbacks")


def test_actors_submit_too(system):
    relay = system.spawn(Submitter, system.spawn(Echo))
    assert relay.ask(Submitter.sum_of, 500) == sum(range(500))


class Submitter(Relay):
    def sum_of(self, count: int) -> int:
        replies = [self.target.submit(Echo.echo, number) for number in range(count)]
        return sum(reply.result() for reply in replies)
