"""Cancelling a call: it never begins, or its handler is told, or its process is killed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import signal
import threading

import pytest

from procactors import Checkpoint, Delivery, Recycle, errors
from tests.support.actors import recorded
from tests.support.cancellable import Keeper, Patient, Waiter, hold_at, note, work_at
from tests.support.copies import ended, forked
from tests.support.segments import in_use
from tests.support.waiting import LONG_S, eventually


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def patient(system, log):
    return system.spawn(Patient, log)


@pytest.fixture
def held(patient, gate):
    """An actor that stands in a handler; all that is sent to it now waits."""
    reply = patient.submit(Patient.hold, 0, gate)
    gate.arrival()
    yield patient
    gate.open()
    with contextlib.suppress(concurrent.futures.CancelledError, errors.ProcActorsError):
        reply.result(LONG_S)


# -- of what waits -------------------------------------------------------------------------------


@pytest.mark.methods
def test_a_call_that_waits_never_runs(held, gate, log):
    replies = [held.submit(Patient.note, number) for number in range(1, 7)]
    assert [reply.cancel() for reply in replies[::2]] == [True] * 3
    assert [reply.cancelled() for reply in replies] == [True, False] * 3
    assert replies[0].cancel()
    assert replies[0].done()
    with pytest.raises(concurrent.futures.CancelledError):
        replies[0].result()
    gate.open()
    assert [reply.result() for reply in replies[1::2]] == [2, 4, 6]
    assert recorded(log) == [0, 2, 4, 6]


class Interrupted(threading.Condition):
    """A condition in whose code a signal handler raises, right behind its lock."""

    def __enter__(self):
        super().__enter__()
        raise RuntimeError("the handler")


def test_no_signal_handler_can_leave_the_lock_of_a_cancelled_reply_held(held):
    reply = held.submit(Patient.note, 1)
    reply._condition = Interrupted(reply._guard)
    assert reply.cancel()
    # As the thread that reads replies will want it.
    with concurrent.futures.ThreadPoolExecutor(1) as other:
        assert other.submit(reply._guard.acquire, timeout=LONG_S / 10).result()
        other.submit(reply._guard.release).result()


def test_what_was_cancelled_counts_as_no_message_that_was_handled(held, gate):
    replies = [held.submit(Patient.note, number) for number in range(50)]
    for reply in replies:
        assert reply.cancel()
    gate.open()
    held.ask(Patient.pid)
    # An answer comes a moment before its message counts as handled.
    eventually(lambda: held.status().handled == 2, "the two that were handled", LONG_S)
    status = held.status()
    assert (status.handled, status.mailbox, status.expired) == (2, 0, 0)


def test_a_cancelled_call_wakes_all_that_wait_for_it(held):
    first, second = (held.submit(Patient.note, number) for number in (1, 2))
    called = threading.Event()
    first.add_done_callback(lambda _: called.set())
    ends = []

    def wait() -> None:
        try:
            first.result(LONG_S)
        except concurrent.futures.CancelledError:
            ends.append("cancelled")

    thread = threading.Thread(target=wait)
    thread.start()
    each = concurrent.futures.as_completed([first, second], timeout=LONG_S)
    assert first.cancel()
    assert next(each) is first
    thread.join(LONG_S)
    assert ends == ["cancelled"]
    assert called.wait(LONG_S)
    assert concurrent.futures.wait([first]).done == {first}


def test_the_payload_of_a_cancelled_call_is_freed(system, held, gate):
    replies = [held.submit(Patient.note, number, b"x" * 300_000) for number in range(5)]
    assert in_use(system._endpoint.path)
    assert all(reply.cancel() for reply in replies)
    gate.open()
    held.ask(Patient.pid)
    eventually(lambda: not in_use(system._endpoint.path), "the segments to be free", LONG_S)


def test_a_cancelled_call_gives_its_place_in_a_bounded_mailbox_back(system, log, gate):
    patient = system.options(mailbox=4).spawn(Patient, log).options(timeout=LONG_S)
    patient.submit(Patient.hold, 0, gate)
    gate.arrival()
    gate.open()
    for number in range(40):
        reply = patient.submit(Patient.note, number)
        reply.cancel()
        concurrent.futures.wait([reply])
        patient.ask(Patient.pid)
    assert patient.status().mailbox == 0  # none waits


def test_a_call_beyond_a_full_pipe_is_cancelled_too(held, gate, log):
    replies = [held.submit(Patient.note, number, b"x" * 3_000) for number in range(1, 60)]
    assert all(reply.cancel() for reply in replies[30:])
    gate.open()
    assert [reply.result() for reply in replies[:30]] == list(range(1, 31))
    held.ask(Patient.pid)
    assert recorded(log) == list(range(31))


def test_a_call_that_waits_for_the_next_life_is_cancelled(system, log, gate):
    patient = system.spawn(Patient, log)
    patient.submit(Patient.hold, 0, gate)
    pid = gate.arrival()
    waiting = [patient.submit(Patient.note, number) for number in (1, 2)]
    assert waiting[0].cancel()
    os.kill(pid, signal.SIGKILL)
    assert waiting[1].result() == 2
    assert recorded(log) == [0, 2]


@pytest.mark.parametrize(
    "options",
    [
        {"recycle_after": Recycle(messages=2)},
        {"checkpoint": Checkpoint(messages=1)},
        {"checkpoint": Checkpoint(messages=1), "delivery": Delivery.AT_LEAST_ONCE},
    ],
    ids=["recycled", "checkpoint", "effectively once"],
)
def test_what_stands_before_the_mailbox_passes_a_cancelled_call_on(system, log, gate, options):
    keeper = system.options(**options).spawn(Keeper, log)
    held = keeper.submit(Keeper.hold, 0, gate)
    gate.arrival()
    replies = [keeper.submit(Keeper.note, number) for number in range(1, 9)]
    assert [reply.cancel() for reply in replies[::2]] == [True] * 4
    assert held.cancel() is False
    gate.open()
    assert held.result() == 0
    assert [reply.result() for reply in replies[1::2]] == [2, 4, 6, 8]
    assert recorded(log) == [0, 2, 4, 6, 8]


# -- of what has begun ---------------------------------------------------------------------------


@pytest.mark.methods
def test_a_handler_is_told_and_its_result_comes(patient, gate, log):
    reply = patient.submit(Patient.until_cancelled, 1, gate)
    gate.arrival()
    assert reply.cancel() is False
    assert not reply.cancelled()
    gate.open()
    assert reply.result() == "cancelled"
    assert reply.cancel() is False
    assert not patient.ask(Patient.is_cancelled)
    assert recorded(log) == [1]


def test_a_reply_that_has_come_is_not_cancelled(patient, log):
    reply = patient.submit(Patient.note, 1)
    assert reply.result() == 1
    assert reply.cancel() is False
    assert reply.cancel(kill=True) is False
    assert reply.result() == 1


def test_a_redelivered_call_has_begun(system, log, gate):
    patient = system.options(delivery=Delivery.AT_LEAST_ONCE).spawn(Patient, log)
    reply = patient.submit(Patient.hold, 1, gate)
    os.kill(gate.arrival(), signal.SIGKILL)
    gate.arrival()
    assert reply.cancel() is False
    gate.open()
    assert reply.result() == 1
    assert recorded(log) == [1, 1]


def test_of_many_threads_that_cancel_one_call_all_hear_the_same(held):
    for number in range(20):
        reply = held.submit(Patient.note, number)
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            said = [threads.submit(reply.cancel) for _ in range(4)]
        assert [one.result() for one in said] == [True] * 4


def test_a_signal_handler_may_cancel(held, log, gate):
    reply = held.submit(Patient.note, 1)
    said = []
    before = signal.signal(signal.SIGUSR1, lambda *_: said.append(reply.cancel()))
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert said == [True]
    gate.open()
    held.ask(Patient.pid)
    assert recorded(log) == [0]


def test_a_cancellation_that_is_broken_off_leaves_a_reply_that_ends(held, log, gate, monkeypatch):
    from procactors.wire import taking_back

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    reply = held.submit(Patient.note, 1)
    monkeypatch.setattr(taking_back, "pause", interrupt)
    with pytest.raises(KeyboardInterrupt):
        reply.cancel()
    monkeypatch.undo()
    gate.open()
    with pytest.raises(concurrent.futures.CancelledError):
        reply.result(LONG_S)
    assert recorded(log) == [0]


def test_nothing_is_cancelled_in_a_forked_copy(held, gate, log):
    reply = held.submit(Patient.note, 1)

    def cancel() -> None:
        with pytest.raises(errors.ForeignProcess):
            reply.cancel()

    assert ended(forked(cancel)) == 0
    gate.open()
    assert reply.result() == 1


def test_a_reply_of_a_system_that_was_stopped_is_not_cancelled(system, log, gate):
    patient = system.spawn(Patient, log)
    patient.submit(Patient.hold, 0, gate)
    gate.arrival()
    reply = patient.submit(Patient.note, 1)
    system.stop(0.1)
    assert reply.cancel() is False
    assert isinstance(reply.exception(), errors.ProcActorsError)


def test_without_room_nothing_is_cancelled(held, gate, monkeypatch):
    from procactors.wire.mailbox import cancels

    def full(*_: object) -> int:
        raise OSError(28, "no space left")

    reply = held.submit(Patient.note, 1)
    monkeypatch.setattr(cancels.CancelLog, "append", full)
    assert reply.cancel() is False
    monkeypatch.undo()
    assert reply.cancel() is True
    gate.open()
    assert held.ask(Patient.pid)


# -- with a kill ---------------------------------------------------------------------------------


@pytest.mark.methods
def test_a_kill_ends_the_process_and_the_next_life_goes_on(system, log, gate):
    patient = system.options(max_restarts=0).spawn(Patient, log)
    pid = patient.ask(Patient.pid)
    reply = patient.submit(Patient.hold, 1, gate)
    behind = patient.submit(Patient.note, 2)
    gate.arrival()
    assert reply.cancel(kill=True) is False
    assert reply.cancelled()
    assert reply.cancel() is False, "it has run"
    assert behind.result() == 2
    assert patient.ask(Patient.pid) != pid
    status = patient.status()
    assert (status.incarnation, status.reason) == (2, None)
    assert "cancelled it" in str(status.last_crash)
    assert recorded(log) == [1, 2]


def test_a_call_that_was_killed_is_not_delivered_again(system, log, gate):
    patient = system.options(delivery=Delivery.AT_LEAST_ONCE).spawn(Patient, log)
    reply = patient.submit(Patient.hold, 1, gate)
    gate.arrival()
    assert reply.cancel(kill=True) is False
    assert reply.cancelled()
    patient.ask(Patient.pid)
    assert recorded(log) == [1]


def test_a_kill_is_for_what_has_begun_alone(held, gate, log):
    pid = held.status().pid
    reply = held.submit(Patient.note, 1)
    assert reply.cancel(kill=True) is True
    gate.open()
    assert held.ask(Patient.pid) == pid
    assert recorded(log) == [0]


# -- asyncio -------------------------------------------------------------------------------------


def test_cancelling_the_task_cancels_the_message(patient, gate, log):
    async def main() -> None:
        ref = patient.aio
        running = asyncio.create_task(ref.ask(Patient.until_cancelled, 1, gate))
        waiting = [asyncio.create_task(ref.ask(Patient.note, number)) for number in (2, 3)]
        await asyncio.to_thread(gate.arrival)
        reply = ref.submit(Patient.note, 4)
        waits = asyncio.create_task(_await(reply))
        await asyncio.sleep(0)
        for task in (running, waiting[0], waits):
            task.cancel()
        ends = await asyncio.gather(running, waiting[0], waits, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends)
        assert reply.cancelled()
        gate.open()
        assert await waiting[1] == 3

    asyncio.run(main())
    assert recorded(log) == [1, 3]


def test_a_timeout_of_asyncio_cancels_the_message(held, gate, log):
    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(held.aio.ask(Patient.note, 1), 0.05)
        gate.open()
        assert await held.aio.ask(Patient.note, 2) == 2

    asyncio.run(main())
    assert recorded(log) == [0, 2]


def test_a_message_that_waits_for_a_place_in_a_loop_is_not_sent(system, log, gate):
    async def main() -> None:
        ref = system.options(mailbox=1).spawn(Patient, log).aio
        held = ref.submit(Patient.hold, 0, gate)
        await asyncio.to_thread(gate.arrival)
        filling = ref.submit(Patient.note, 1)
        waiting = [ref.submit(Patient.note, number) for number in (2, 3, 4)]
        await asyncio.sleep(0.01)
        assert waiting[0].cancel() is True
        assert waiting[2].cancel() is True
        gate.open()
        assert [await held, await filling, await waiting[1]] == [0, 1, 3]
        await ref.ask(Patient.pid)

    asyncio.run(main())
    assert recorded(log) == [0, 1, 3]


async def _await(reply):
    return await reply


@pytest.mark.parametrize("most", [1, 2])
def test_the_task_of_a_coroutine_is_cancelled(system, log, gate, most):
    waiter = system.options(max_concurrency=most).spawn(Waiter, log)
    for number in (1, 2):
        reply = waiter.submit(Waiter.linger, number, gate)
        gate.arrival()
        gate.let_pass()
        rest = [waiter.submit(Waiter.linger, 10 + n, gate) for n in range(most - 1)]
        for _ in rest:
            gate.arrival()
        waiting = waiter.submit(Waiter.note, 100)
        assert waiting.cancel() is True
        assert reply.cancel() is False
        if number == 1:
            with pytest.raises(errors.HandlerCancelled):
                reply.result(LONG_S)
        else:
            assert reply.result(LONG_S) == "cancelled"
        for one in rest:
            gate.let_pass()
            assert one.cancel() is False
            assert one.result(LONG_S) == "cancelled"
    assert 100 not in recorded(log)
    assert {1, -1, 2, -2} <= set(recorded(log))


# -- deadlines -----------------------------------------------------------------------------------


def test_a_message_past_its_callers_time_is_not_begun(held, gate, log):
    brief = held.options(timeout=0.05)
    reply = brief.submit(Patient.note, 1)
    with pytest.raises(errors.AskTimeout, match="never will"):
        brief.ask(Patient.note, 2)
    with pytest.raises(errors.AskTimeout):
        reply.result()
    gate.open()
    assert held.options(timeout=LONG_S).ask(Patient.note, 3) == 3
    assert recorded(log) == [0, 3]
    assert held.status().expired == 2


def test_what_has_begun_is_finished_past_its_time_in_the_next_life_too(system, log, gate):
    patient = system.options(delivery=Delivery.AT_LEAST_ONCE).spawn(Patient, log)
    reply = patient.options(timeout=1.5).submit(Patient.hold, 1, gate)
    pid = gate.arrival()
    with pytest.raises(errors.AskTimeout):
        reply.result()
    os.kill(pid, signal.SIGKILL)
    gate.arrival()
    gate.open()
    patient.ask(Patient.pid)
    assert recorded(log) == [1, 1]
    assert patient.status().expired == 0


# -- pools ---------------------------------------------------------------------------------------


@pytest.fixture
def pool(system):
    with system.options(size=1).pool() as pool:
        yield pool


def test_a_call_in_the_hand_of_a_worker_is_told(pool, gate, log):
    reply = pool.submit(work_at, log, 1, gate)
    gate.arrival()
    assert reply.cancel() is False
    gate.open()
    assert reply.result() == "cancelled"


def test_calls_that_a_worker_has_and_has_not_begun_never_run(pool, gate, log):
    for number in range(100, 120):  # so that a worker is given more than one at a time
        assert pool.ask(note, log, number) == number
    held = pool.submit(hold_at, log, 0, gate)
    gate.arrival()
    replies = [pool.submit(note, log, number) for number in range(1, 9)]
    assert [reply.cancel() for reply in replies[::2]] == [True] * 4
    gate.open()
    assert held.result() == 0
    assert [reply.result() for reply in replies[1::2]] == [2, 4, 6, 8]
    assert sorted(recorded(log)[20:]) == [0, 2, 4, 6, 8]


def test_calls_of_one_batch_are_cancelled_one_by_one(pool, gate, log):
    for number in range(100, 120):
        pool.ask(hold_and_pass, log, number, None)
    first = pool.submit(hold_at, log, 50, gate)
    gate.arrival()
    # Alike, and short by what is known of them: they go together, as soon as there is room.
    replies = [pool.submit(hold_and_pass, log, n, gate if n == 0 else None) for n in range(6)]
    gate.let_pass()
    assert first.result() == 50
    gate.arrival()  # the first of them is in hand, the others are in the same batch or behind it
    assert replies[3].cancel() is True
    assert replies[0].cancel() is False
    gate.open()
    assert [replies[n].result() for n in (0, 1, 2, 4, 5)] == [0, 1, 2, 4, 5]
    assert sorted(recorded(log)[21:]) == [0, 1, 2, 4, 5]


def hold_and_pass(log, number, gate):
    note(log, number)
    if gate is not None:
        gate.wait()
    return number


def test_a_kill_ends_the_worker_and_no_other_call_is_lost(pool, gate, log):
    reply = pool.submit(hold_at, log, 0, gate)
    behind = [pool.submit(note, log, number) for number in (1, 2, 3)]
    gate.arrival()
    assert reply.cancel(kill=True) is False
    assert reply.cancelled()
    assert [one.result() for one in behind] == [1, 2, 3]
    assert recorded(log) == [0, 1, 2, 3]


def test_a_killed_call_of_a_pool_is_not_tried_again(system, gate, log):
    with system.options(size=1, delivery=Delivery.AT_LEAST_ONCE).pool() as pool:
        reply = pool.submit(hold_at, log, 0, gate)
        gate.arrival()
        assert reply.cancel(kill=True) is False
        assert reply.cancelled()
        assert pool.ask(note, log, 1) == 1
    assert recorded(log) == [0, 1]


def test_cancelling_the_task_takes_a_call_of_a_pool_back(pool, gate, log):
    async def main() -> None:
        running = asyncio.create_task(pool.aio.ask(work_at, log, 1, gate))
        await asyncio.to_thread(gate.arrival)
        waiting = asyncio.create_task(pool.aio.ask(note, log, 2))
        await asyncio.sleep(0.01)
        running.cancel()
        waiting.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
        gate.open()
        assert await pool.aio.ask(note, log, 3) == 3

    asyncio.run(main())
    assert recorded(log) == [1, 3]
