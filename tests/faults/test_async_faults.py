"""Handlers that await, under faults: whatever breaks in one, each message in hand has its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from procactors import Actor, ActorRef, Delivery, ExitKind, errors
from procactors.runner.async_loop import AsyncLoop
from procactors.runner.held import Held
from procactors.wire.mailbox.hands import Hands
from tests.faults.test_call_faults import ENDS
from tests.support.faults import ERRORS, FAULTS, BreaksWhenLoaded, BreaksWhenPickled, commit
from tests.support.gates import Gate
from tests.support.segments import in_use
from tests.support.steps import arm, die
from tests.support.waiting import SHORT_S, eventually

OFTEN = {"max_restarts": 100_000, "max_concurrency": 4}
BIG = b"x" * 200_000


class Crash(Actor):
    """Breaks in a coroutine, before or behind its first await, while others wait."""

    async def crash(self, how: str, later: bool) -> None:
        if later:
            await asyncio.sleep(0.01)
        commit(how)

    async def wait(self, body: bytes = b"") -> int:
        """Wait for ever; begun again, do not."""
        if self.context.deliveries == 1:
            await asyncio.sleep(3600)
        return self.context.deliveries

    async def give(self, how: str) -> Any:
        await asyncio.sleep(0)
        return BreaksWhenPickled(how)

    async def take(self, value: Any) -> int:
        await asyncio.sleep(0)
        return os.getpid()

    async def relay(self, other: ActorRef[Any]) -> Any:
        return await other.aio.ask(Crash.wait)

    async def echo(self, value: Any, seconds: float = 0) -> Any:
        await asyncio.sleep(seconds)
        return value

    async def large(self, size: int, gate: Gate) -> bytes:
        await asyncio.to_thread(gate.wait)
        return bytes(size)

    def pid(self) -> int:
        return os.getpid()


def in_hand(ref, count):
    eventually(lambda: len(ref.status().in_hand) == count, f"{count} messages in hand")
    return ref.status().pid


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("how", [how for how in ENDS if how != "SIGTERM"])
def test_whatever_ends_the_process_each_caller_is_told(system, how, later):
    ref = system.options(**OFTEN).spawn(Crash)
    other = ref.submit(Crash.wait, BIG)
    in_hand(ref, 1)
    culprit = ref.submit(Crash.crash, how, later)
    reports = []
    for reply in (other, culprit):
        died = reply.exception(SHORT_S)
        assert isinstance(died, errors.ActorDied)
        reports.append(died.report)
    report, way = reports[0], FAULTS[how]
    assert report.to_dict() == reports[1].to_dict()
    assert {message.handler for message in report.in_hand} == {"Crash.wait", "Crash.crash"}
    if way.signal:
        assert (report.reason.kind, report.reason.signal_name) == (
            ExitKind.SIGNAL,
            way.signal.name,
        )
    elif way.exit_code is not None:
        assert (report.reason.kind, report.reason.code) == (ExitKind.EXIT, way.exit_code)
    else:
        assert report.reason.kind is ExitKind.ERROR
    assert ref.ask(Crash.pid) != report.pid
    eventually(lambda: not in_use(system._endpoint.path), "the payload to be freed")


@pytest.mark.parametrize("how", ERRORS)
def test_an_error_is_the_callers_and_the_others_go_on(system, how):
    ref = system.options(**OFTEN).spawn(Crash)
    other = ref.submit(Crash.wait)
    in_hand(ref, 1)
    kind = FAULTS[how].raises if how != "unrebuildable" else errors.RemoteError
    for later in (False, True):
        with pytest.raises(kind) as raised:
            ref.ask(Crash.crash, how, later)
        assert "in crash" in str(raised.value.__cause__)
    assert not other.done()
    assert ref.status().incarnation == 1
    ref.kill()  # a stop would wait for it


def test_what_breaks_where_it_is_loaded_or_pickled_ends_as_in_a_plain_handler(system):
    ref = system.options(**OFTEN, delivery=Delivery.AT_LEAST_ONCE).spawn(Crash)
    pid = ref.ask(Crash.pid)
    with pytest.raises(errors.DecodeError):
        ref.ask(Crash.take, BreaksWhenLoaded("exception", pid))
    assert ref.ask(Crash.take, 1) == pid
    other = ref.submit(Crash.wait)
    in_hand(ref, 1)
    assert ref.ask(Crash.take, BreaksWhenLoaded("os._exit(7)", pid)) != pid, "handed again"
    assert other.result(SHORT_S) == 2
    with pytest.raises(errors.ResultEncodeError):
        ref.ask(Crash.give, "exception")
    with pytest.raises(errors.ActorDied):
        ref.ask(Crash.give, "os._exit(7)")


MOST = pytest.mark.parametrize("most", [1, 4])


@MOST
@pytest.mark.parametrize("how", [how for how in ENDS if how != "SIGTERM"])
def test_whatever_ends_the_process_in_a_coroutine_alone_its_caller_is_told(system, how, most):
    ref = system.options(**OFTEN | {"max_concurrency": most}).spawn(Crash)
    for later in (False, True):
        with pytest.raises(errors.ActorDied) as died:
            ref.ask(Crash.crash, how, later)
        assert died.value.report.handler == "Crash.crash"
    assert ref.ask(Crash.pid) != died.value.report.pid


@MOST
def test_a_late_answer_is_never_taken_for_anothers(system, most):
    ref = system.options(max_concurrency=most).spawn(Crash)
    hasty = ref.options(timeout=0.001)
    for number in range(50):
        with contextlib.suppress(errors.AskTimeout):
            assert hasty.ask(Crash.echo, number, 0.002) == number
        assert ref.ask(Crash.echo, -number) == -number


@MOST
def test_threads_get_their_own_answers(system, most):
    ref = system.options(max_concurrency=most).spawn(Crash)
    with ThreadPoolExecutor(8) as threads:
        calls = [(number, number % 3 / 2_000) for number in range(400)]
        answers = list(threads.map(lambda call: ref.ask(Crash.echo, *call), calls))
    assert answers == list(range(400))


@MOST
def test_a_huge_answer_that_nobody_awaits_holds_nobody_up(system, gate, most):
    ref = system.options(max_concurrency=most).spawn(Crash)
    with pytest.raises(errors.AskTimeout):
        ref.options(timeout=0.1).ask(Crash.large, 100_000_000, gate)
    gate.open()
    assert ref.options(timeout=SHORT_S).ask(Crash.echo, 1) == 1
    eventually(lambda: not in_use(system._endpoint.path), "the answer to be freed")


@MOST
def test_a_caller_that_dies_leaves_the_actor_well(system, most):
    ref = system.options(**OFTEN | {"max_concurrency": most}).spawn(Crash)
    caller = system.options(**OFTEN).spawn(Crash)
    waiting = caller.submit(Crash.relay, ref)
    pid = in_hand(ref, 1)
    os.kill(caller.ask(Crash.pid), signal.SIGKILL)
    assert isinstance(waiting.exception(SHORT_S), errors.ActorDied)
    if most > 1:  # else it is busy for an hour with what nobody awaits
        assert ref.ask(Crash.take, 1) == pid
    status = ref.status()
    assert (status.incarnation, status.pid) == (1, pid)
    ref.kill()  # a stop would wait for it


#: Where the loop is killed: before each line of these, with messages in hand, taken and ending.
STEPS = [
    AsyncLoop._take_some,
    AsyncLoop._take_next,
    AsyncLoop._is_skipped,
    AsyncLoop._hand_of,
    AsyncLoop._begin,
    AsyncLoop._call,
    AsyncLoop._opened,
    AsyncLoop._go_on,
    AsyncLoop._start_task,
    AsyncLoop._finished,
    AsyncLoop._answer_with,
    AsyncLoop._end,
    Held.hold,
    Held.finish,
    Hands.hold,
]


class Stepper(Crash):
    """Kills itself before a line of the loop, when a file says so, in its first life."""

    def __init__(self, path: str) -> None:
        self.path = path

    async def on_start(self) -> None:
        if self.context.incarnation == 1:
            with open(self.path) as file:  # noqa: ASYNC230 - a number
                arm(int(file.read()), STEPS, die)

    async def work(self, number: int, body: bytes) -> tuple[int, int]:
        await asyncio.sleep(0.001 * number)
        return number, self.context.deliveries


def test_killed_before_each_line_of_the_loop_each_message_has_its_end(system, tmp_path, seed):
    """With `AT_LEAST_ONCE` that is an answer, whatever the line."""
    path, step, stride = tmp_path / "step", seed % 7, 7
    options = {"delivery": Delivery.AT_LEAST_ONCE, "max_deliveries": 2, **OFTEN}
    while True:
        path.write_text(str(step))
        ref = system.options(**options).spawn(Stepper, str(path))
        bodies = [b"", BIG, b"", BIG]
        replies = [ref.submit(Stepper.work, n, body) for n, body in enumerate(bodies)]
        results = [reply.result(SHORT_S) for reply in replies]
        assert [number for number, _ in results] == [0, 1, 2, 3]
        assert {deliveries for _, deliveries in results} <= {1, 2}
        lived = ref.status().incarnation == 1
        ref.kill()
        eventually(lambda: not in_use(system._endpoint.path), "the payloads to be freed")
        if lived:
            break
        step += stride
    assert step > 100
